//! How many mails may be asked for in an hour, and how they are counted: by the ten minutes, so that what is long
//! past can be dropped, and so that there are never more than the limit in any hour.

use chrono::{DurationRound as _, TimeDelta};

use super::{Timestamp, policy, request::Mac};

/// What a limit holds for.
const WINDOW: TimeDelta = TimeDelta::hours(1);
/// How long the spans are that mails are counted by.
const SPAN: TimeDelta = TimeDelta::minutes(10);
/// Over how many rows the mails of a caller, and all mails, are spread: calls that add to one row come one after the
/// other, and those would be all.
const SHARDS: u16 = 16;

/// What mails are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailLimit {
    /// Those to one address.
    Address,
    /// Those that one caller has asked for.
    Caller,
    /// All.
    Total,
}

/// The settings' limits in an hour; `None` where there is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct MailLimits {
    /// To one address.
    pub per_address: Option<u32>,
    /// Of one caller.
    pub per_caller: Option<u32>,
    /// In all.
    pub total: Option<u32>,
}

/// A count that one more mail is added to, unless that would be too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailCounter {
    /// What is counted.
    pub limit: MailLimit,
    /// How many mails there may be in an hour.
    pub most: u32,
    /// What the count is known by: the first MAC is the one that is written, the others were, by another key.
    pub macs: Vec<Mac>,
    /// Which of the count's rows is added to.
    pub shard: u16,
}

/// A mail that would be one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many mails were asked for: {}", .limit.setting())]
pub struct MailLimitReached {
    /// By which limit.
    pub limit: MailLimit,
    /// How long it takes until fewer mails are counted.
    pub wait: TimeDelta,
}

impl MailLimit {
    /// The setting that says how many.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Address => "mail.limits.per_address_per_hour",
            Self::Caller => "mail.limits.per_caller_per_hour",
            Self::Total => "mail.limits.total_per_hour",
        }
    }
}

impl MailLimits {
    /// How many there may be, unless there may be any number.
    pub fn most(&self, limit: MailLimit) -> Option<u32> {
        match limit {
            MailLimit::Address => self.per_address,
            MailLimit::Caller => self.per_caller,
            MailLimit::Total => self.total,
        }
    }
}

impl MailCounter {
    /// A counter whose row is chosen by a random number, unless it has but one.
    pub fn new(limit: MailLimit, most: u32, macs: Vec<Mac>, number: u64) -> Self {
        let shard = match limit {
            // One row, so that its limit is exact: who is mailed that often has nothing to do at the same time.
            MailLimit::Address => 0,
            MailLimit::Caller | MailLimit::Total => u16::try_from(number % u64::from(SHARDS)).unwrap_or(0),
        };
        Self { limit, most, macs, shard }
    }

    /// The refusal at `now` when the oldest span that is counted began then.
    pub fn reached(&self, oldest_span: Timestamp, now: Timestamp) -> MailLimitReached {
        let free_time = oldest_span.checked_add_signed(WINDOW + SPAN).unwrap_or_else(policy::max_time);
        MailLimitReached { limit: self.limit, wait: (free_time - now).max(TimeDelta::zero()) }
    }
}

/// What an address is counted as: spellings that mail servers commonly deliver to one mailbox, in other case or with a
/// `+tag`, count as one. Whose address it is goes by the address itself.
pub fn counted_address(address: &str) -> String {
    let (local_part, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let mailbox = local_part.split('+').next().filter(|mailbox| !mailbox.is_empty()).unwrap_or(local_part);
    format!("{}@{domain}", mailbox.to_lowercase())
}

/// The beginning of the span that a mail of `now` is counted in.
pub fn span_of(now: Timestamp) -> Timestamp {
    now.duration_trunc(SPAN).unwrap_or(now)
}

/// Spans that began then or earlier are over, and no part of them is in the last hour.
pub fn last_span_past(now: Timestamp) -> Timestamp {
    now.checked_sub_signed(WINDOW + SPAN).unwrap_or_else(policy::min_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_mail_counts_for_an_hour_at_least_and_for_ten_minutes_more_at_most() {
        for (now, span) in [(0, 0), (599, 0), (600, 600), (4199, 3600), (-1, -600)] {
            assert_eq!(span_of(at(now)), at(span));
            let counts = |later: i64| span_of(at(now)) > last_span_past(at(later));
            assert!(counts(now) && counts(now + 3600), "{now}");
            assert!(!counts(now + 4200), "{now}");
            let counter = MailCounter::new(MailLimit::Address, 1, Vec::new(), 0);
            let free = now + counter.reached(at(span), at(now)).wait.num_seconds();
            assert!(!counts(free) && counts(free - 1), "{now}");
        }
    }

    #[test]
    fn spellings_of_one_mailbox_are_counted_as_one() {
        for spelling in ["bob@example.com", "BOB@example.com", "bob+1@example.com", "Bob+a+b@example.com"] {
            assert_eq!(counted_address(spelling), "bob@example.com", "{spelling}");
        }
        for (address, counted) in
            [("+1@example.com", "+1@example.com"), ("b.ob@example.com", "b.ob@example.com")]
        {
            assert_eq!(counted_address(address), counted);
        }
    }

    #[test]
    fn an_address_is_counted_in_one_row_and_all_others_in_sixteen() {
        let shards = |limit| {
            (0..100)
                .map(|number| MailCounter::new(limit, 1, Vec::new(), number).shard)
                .collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(shards(MailLimit::Address).len(), 1);
        assert_eq!(shards(MailLimit::Caller).len(), 16);
        assert_eq!(shards(MailLimit::Total).len(), 16);
    }
}
