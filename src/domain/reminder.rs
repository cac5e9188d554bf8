//! Whom a reminder is mailed to, and how often (U6).

use chrono::Duration;

use super::{Invalid, Timestamp, policy, unverified::UnverifiedFilter};

/// How often anybody is reminded.
#[derive(Debug, Clone)]
pub struct ReminderPolicy {
    /// How long after any activation mail or reminder nobody is reminded.
    pub interval: Duration,
    /// How many reminders anybody gets.
    pub max_count: u32,
    /// When the service reminds by itself.
    pub ladder: Ladder,
}

/// The ages of a registration, in days, at which its user is reminded; each is a rung, and none means never.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ladder(Vec<u32>);

/// Who has come to a rung of the ladder: whose window began by then, and who was not yet reminded for this rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// The rung's age in days.
    pub day: u32,
    /// The last instant at which a window can have begun that is as old.
    pub issued_until: Timestamp,
}

/// Whom a reminder is due to: of the users whom a filter selects, the pending ones with a profile whose address nobody
/// else has verified (X23), and who were mailed neither lately nor too often.
#[derive(Debug, Clone)]
pub struct ReminderSelection {
    /// Which of the never-verified.
    pub filter: UnverifiedFilter,
    /// The instant of the reminder.
    pub now: Timestamp,
    /// The last instant at which they can have been mailed.
    pub mailed_until: Timestamp,
    /// Who has had as many reminders gets none.
    pub max_count: u32,
    /// The rungs, the latest first: with any, only users whose window is open and who have come to one of them; their
    /// windows stay. With none, the window of whoever is reminded starts again.
    pub rungs: Vec<Rung>,
}

impl Ladder {
    /// The last day there can be.
    const MAX: u32 = 36_500;

    /// Accepts days from 1 to 36,500, each later than the one before.
    pub fn new(days: Vec<u32>) -> Result<Self, Invalid> {
        let in_range = days.iter().all(|day| (1..=Self::MAX).contains(day));
        if !in_range || !days.is_sorted_by(|earlier, later| earlier < later) {
            let sentence = format!("must be days from 1 to {}, each later than the one before", Self::MAX);
            return Err(Invalid::new(sentence));
        }
        Ok(Self(days))
    }

    /// Whether anybody is reminded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rungs at an instant, the latest first.
    pub fn rungs(&self, now: Timestamp) -> Vec<Rung> {
        let rung = |day: &u32| {
            let issued_until = now.checked_sub_signed(Duration::days((*day).into()))?;
            Some(Rung { day: *day, issued_until })
        };
        self.0.iter().rev().filter_map(rung).collect()
    }
}

impl ReminderPolicy {
    /// Whom to remind of those whom a filter selects, whose window then starts again.
    pub fn selection(&self, filter: UnverifiedFilter, now: Timestamp) -> ReminderSelection {
        let mailed_until = now.checked_sub_signed(self.interval).unwrap_or_else(policy::min_time);
        ReminderSelection { filter, now, mailed_until, max_count: self.max_count, rungs: Vec::new() }
    }

    /// Whom the ladder reminds.
    pub fn ladder_selection(&self, now: Timestamp) -> ReminderSelection {
        let rungs = self.ladder.rungs(now);
        // Nobody registered after the window began: an index leads past whoever is too young for the first rung.
        let registered_before = rungs.last().map(|rung| rung.issued_until + Duration::microseconds(1));
        let filter = UnverifiedFilter { created_before: registered_before, ..UnverifiedFilter::default() };
        ReminderSelection { rungs, ..self.selection(filter, now) }
    }
}

impl ReminderSelection {
    /// The latest rung that a window which began at `issue_time` has come to.
    pub fn rung(&self, issue_time: Timestamp) -> Option<Rung> {
        self.rungs.iter().copied().find(|rung| issue_time <= rung.issued_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u6_a_ladder_has_days_that_rise() {
        for good in [vec![], vec![1], vec![3, 6], vec![36_500]] {
            assert!(Ladder::new(good.clone()).is_ok(), "{good:?}");
        }
        for bad in [vec![0], vec![3, 3], vec![6, 3], vec![36_501], vec![1, 0]] {
            assert!(Ladder::new(bad.clone()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn u6_after_an_outage_the_latest_rung_is_meant() {
        let now = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
        let policy = ReminderPolicy {
            interval: Duration::hours(24),
            max_count: 3,
            ladder: Ladder::new(vec![3, 6]).unwrap(),
        };
        let selection = policy.ladder_selection(now);
        let tick = Duration::microseconds(1);
        let (three, six) = (now - Duration::days(3), now - Duration::days(6));
        for (issue_time, day) in [
            (now, None),
            (three + tick, None),
            (three, Some(3)),
            (six + tick, Some(3)),
            (six, Some(6)),
            (six - Duration::days(30), Some(6)),
        ] {
            assert_eq!(selection.rung(issue_time).map(|rung| rung.day), day, "{issue_time}");
        }
        assert_eq!(selection.filter.created_before, Some(three + tick));
        assert_eq!(selection.mailed_until, now - Duration::hours(24));
    }
}
