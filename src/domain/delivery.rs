//! A mail on its way out: the lease that a worker holds on it, what becomes of an attempt, and when the next one is.

use std::time::Duration;

use uuid::Uuid;

use super::{
    Timestamp,
    mail::{MailId, MailKind},
    user::UserId,
};

/// A mail that a worker holds a lease on.
#[derive(Debug, Clone)]
pub struct ClaimedMail {
    /// The id.
    pub id: MailId,
    /// Whom it concerns.
    pub user_id: UserId,
    /// What it is for.
    pub kind: MailKind,
    /// Where it goes, as stored.
    pub recipient: String,
    /// The sealed text.
    pub sealed_text: Vec<u8>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Fences off a worker whose lease ran out.
    pub claim_token: Uuid,
    /// When it was queued.
    pub create_time: Timestamp,
    /// When it becomes pointless in any case.
    pub expire_time: Timestamp,
}

/// A mail that a worker holds a lease on and must not send; it comes without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnfitMail {
    /// The lease.
    pub lease: MailLease,
    /// Why not.
    pub why: Unfit,
}

/// Why a mail is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// No version of this program writes this part of its row.
    Unreadable(&'static str),
    /// Mail to its recipient has bounced for good.
    Suppressed,
    /// The key in it is dead, or its user is past needing it.
    Pointless,
}

/// The hold of one worker on one mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailLease {
    /// The mail.
    pub id: MailId,
    /// The claim that took it: whoever claims the mail later has another, and this one changes nothing any more.
    pub claim_token: Uuid,
}

/// How a lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The lease.
    pub lease: MailLease,
    /// What became of the mail.
    pub settlement: Settlement,
}

/// What became of a mail that was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// A mail server has taken it.
    Delivered,
    /// It failed for now.
    Retry {
        /// Not before then.
        next_attempt_time: Timestamp,
        /// What went wrong, free of secrets.
        error: String,
    },
    /// It was not its turn, or nothing could be sent at all: the attempt doesn't count.
    Returned {
        /// Not before then.
        next_attempt_time: Timestamp,
        /// What went wrong, free of secrets; none if nothing was tried.
        error: Option<String>,
    },
    /// It failed for good.
    Discarded {
        /// What went wrong, free of secrets.
        error: String,
    },
    /// Nobody needs it any more: it is discarded, which is no failure, so that no event tells of it.
    Withdrawn,
}

/// What a withdrawn mail shows as its last error.
pub const WITHDRAWN: &str = "the key in it is dead, or its user does not need it any more";

/// A domain of recipients whose mails have to wait: what is due of them is put off, and no attempt counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestingDomain {
    /// What stands behind the at sign of an address, as stored.
    pub domain: String,
    /// When it is tried again.
    pub until: Timestamp,
}

impl ClaimedMail {
    /// The hold on it.
    pub fn lease(&self) -> MailLease {
        MailLease { id: self.id, claim_token: self.claim_token }
    }

    /// What stands behind the at sign of the recipient.
    pub fn domain(&self) -> &str {
        self.recipient.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// The shortest ceiling of a wait between two attempts.
const FIRST_BACKOFF: Duration = Duration::from_secs(5);
/// The longest wait between two attempts.
const MAX_BACKOFF: Duration = Duration::from_hours(1);

/// How long to wait after `attempt` failed attempts: uniform between nothing and a ceiling that
/// doubles from 5 seconds to an hour. `jitter` is a random number, all of whose values are as likely.
pub fn backoff(attempt: u32, jitter: u64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(10);
    let ceiling = FIRST_BACKOFF.saturating_mul(1 << doublings).min(MAX_BACKOFF);
    let millis = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(jitter % (millis + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_from_five_seconds_to_an_hour() {
        for (attempt, ceiling) in
            [(0, 5), (1, 5), (2, 10), (3, 20), (4, 40), (9, 1280), (10, 2560), (11, 3600), (u32::MAX, 3600)]
        {
            assert_eq!(backoff(attempt, 0), Duration::ZERO);
            assert_eq!(backoff(attempt, ceiling * 1000), Duration::from_secs(ceiling), "attempt {attempt}");
            assert_eq!(backoff(attempt, ceiling * 1000 + 1), Duration::ZERO, "attempt {attempt}");
        }
    }
}
