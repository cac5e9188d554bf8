//! What keeps a mail server that fails from being asked again and again: after a few failures in a row nothing is sent
//! for a while, then one mail is tried, and only when the server answers does everything go on.

use std::time::Duration;

use tokio::time::Instant;

/// After so many failures in a row, with no answer in between, nothing is sent.
const THRESHOLD: u32 = 5;
/// How long the first pause is …
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// … and the longest: so much later than its server is a mail at most.
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// Whether mails are sent.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// In a row.
    failures: u32,
    open_until: Option<Instant>,
}

/// How many mails may be sent at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowance {
    /// As many as there is room for.
    All,
    /// One, to see whether the server is back.
    One,
    /// None until then.
    None(Instant),
}

impl Breaker {
    pub fn allowance(&self, now: Instant) -> Allowance {
        match self.open_until {
            None => Allowance::All,
            Some(until) if until > now => Allowance::None(until),
            Some(_) => Allowance::One,
        }
    }

    /// Whether it is open, or half open.
    pub fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// The server took part in a mail, whatever it said: true if that closed the breaker.
    pub fn answered(&mut self) -> bool {
        self.failures = 0;
        self.open_until.take().is_some()
    }

    /// The server failed: true if that opened the breaker. `jitter` is a random number.
    pub fn failed(&mut self, now: Instant, jitter: u64) -> bool {
        let was_open = self.is_open();
        // What had begun before a pause and fails in it says nothing new.
        if self.open_until.is_some_and(|until| until > now) {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures < THRESHOLD {
            return false;
        }
        self.open_until = Some(now + pause(self.failures - THRESHOLD, jitter));
        !was_open
    }
}

/// At least half of a ceiling that doubles with each pause, so that servers don't come back all at once.
fn pause(pauses_before: u32, jitter: u64) -> Duration {
    let ceiling = FIRST_PAUSE.saturating_mul(1 << pauses_before.min(6)).min(MAX_PAUSE);
    let half = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX) / 2;
    Duration::from_millis(half + jitter % (half + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_at_an_answer() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 1..THRESHOLD {
            assert!(!breaker.failed(start, 0));
        }
        assert!(!breaker.answered());
        for _ in 1..THRESHOLD {
            assert!(!breaker.failed(start, 0));
        }
        assert_eq!(breaker.allowance(start), Allowance::All);
        assert!(breaker.failed(start, 500));
        let until = start + FIRST_PAUSE;
        assert_eq!(breaker.allowance(start), Allowance::None(until));
        // Those that were on their way.
        for _ in 0..50 {
            assert!(!breaker.failed(start, 0));
        }
        assert_eq!(breaker.allowance(until - Duration::from_millis(1)), Allowance::None(until));
        assert_eq!(breaker.allowance(until), Allowance::One);
        assert!(!breaker.failed(until, 1000), "it was open already");
        assert_eq!(breaker.allowance(until), Allowance::None(until + 2 * FIRST_PAUSE));
        assert!(breaker.answered());
        assert_eq!(breaker.allowance(until), Allowance::All);
    }

    #[test]
    fn a_pause_doubles_up_to_a_minute_and_is_never_less_than_half() {
        for (pauses, ceiling) in [(0, 1), (1, 2), (5, 32), (6, 60), (7, 60), (u32::MAX, 60)] {
            let ceiling = Duration::from_secs(ceiling);
            assert_eq!(pause(pauses, 0), ceiling / 2);
            let half = u64::try_from(ceiling.as_millis()).unwrap() / 2;
            assert_eq!(pause(pauses, half), ceiling);
            assert_eq!(pause(pauses, half + 1), ceiling / 2);
        }
    }
}
