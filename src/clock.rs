//! The only door for the time of day. How long to sleep is asked of tokio; whether something is due, of a [`Clock`].

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{SubsecRound as _, TimeDelta};
use rustix::time::{ClockId, clock_gettime};

use crate::domain::{Timestamp, policy};

/// Goes on while the machine sleeps, and nobody can set it.
#[cfg(target_os = "linux")]
const UPTIME: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const UPTIME: ClockId = ClockId::Monotonic;

/// Tells the time in UTC, to the microsecond (X21).
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// How far it is ahead of the machine's clock on purpose; any other difference is a fault (X22).
    fn shift(&self) -> TimeDelta;
}

/// The machine's clock, shifted by a fixed span, usually none.
#[derive(Debug, Default)]
pub struct SystemClock {
    shift: TimeDelta,
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug)]
pub struct ManualClock(Mutex<Hands>);

/// What a [`ManualClock`] shows, and how far that is wrong.
#[derive(Debug)]
struct Hands {
    shown: Timestamp,
    fault: TimeDelta,
}

/// Knows what a clock should show by the machine's monotonic clock, so that one that has jumped can be told (X22).
pub struct ClockGuard {
    clock: Arc<dyn Clock>,
    start: Timestamp,
    uptime_at_start: Duration,
}

impl SystemClock {
    /// A clock that is `shift` ahead of the machine's.
    pub fn shifted(shift: TimeDelta) -> Self {
        Self { shift }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        machine_time() + self.shift
    }

    fn shift(&self) -> TimeDelta {
        self.shift
    }
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(Hands { shown: now.trunc_subsecs(6), fault: TimeDelta::zero() }))
    }

    /// Sets the clock.
    pub fn set(&self, now: Timestamp) {
        self.hands(|hands| hands.shown = now.trunc_subsecs(6));
    }

    /// Moves the clock on, or back by a negative span.
    pub fn advance(&self, span: TimeDelta) {
        self.hands(|hands| hands.shown += span);
    }

    /// Moves the clock as [`ManualClock::advance`] does, but by a fault, which [`Clock::shift`] knows nothing of.
    pub fn go_wrong(&self, span: TimeDelta) {
        self.hands(|hands| {
            hands.shown += span;
            hands.fault += span;
        });
    }

    fn hands<T>(&self, look: impl FnOnce(&mut Hands) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.hands(|hands| hands.shown)
    }

    fn shift(&self) -> TimeDelta {
        self.hands(|hands| hands.shown - hands.fault - machine_time())
    }
}

impl ClockGuard {
    /// A guard that trusts what `clock` shows now.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let start = shifted_back(clock.now(), clock.shift());
        Self { clock, start, uptime_at_start: uptime() }
    }

    /// What the clock should show.
    pub fn expected(&self) -> Timestamp {
        let elapsed = uptime().saturating_sub(self.uptime_at_start);
        let elapsed = TimeDelta::from_std(elapsed).unwrap_or(TimeDelta::MAX);
        let unshifted = self.start.checked_add_signed(elapsed).unwrap_or_else(policy::max_time);
        unshifted.checked_add_signed(self.clock.shift()).unwrap_or_else(policy::max_time).trunc_subsecs(6)
    }
}

/// What a clock without its shift would show.
fn shifted_back(time: Timestamp, shift: TimeDelta) -> Timestamp {
    time.checked_sub_signed(shift).unwrap_or_else(policy::min_time)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
fn machine_time() -> Timestamp {
    chrono::Utc::now().trunc_subsecs(6)
}

fn uptime() -> Duration {
    clock_gettime(UPTIME).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disagreement(clock: &Arc<ManualClock>, guard: &ClockGuard) -> i64 {
        (clock.now() - guard.expected()).num_seconds()
    }

    #[test]
    fn x22_a_clock_that_jumps_is_told_and_one_that_is_moved_on_purpose_is_not() {
        let clock = Arc::new(ManualClock::new(machine_time() + TimeDelta::days(400)));
        let guard = ClockGuard::new(clock.clone());
        assert_eq!(disagreement(&clock, &guard), 0);
        clock.advance(TimeDelta::days(8));
        assert_eq!(disagreement(&clock, &guard), 0);
        clock.go_wrong(TimeDelta::seconds(100));
        assert!((95..=105).contains(&disagreement(&clock, &guard)));
        clock.go_wrong(TimeDelta::seconds(-200));
        assert!((-105..=-95).contains(&disagreement(&clock, &guard)));
        clock.go_wrong(TimeDelta::seconds(100));
        assert_eq!(disagreement(&clock, &guard), 0);
    }

    #[test]
    fn x22_a_shifted_clock_agrees_with_the_monotonic_one_shifted_alike() {
        for shift in [TimeDelta::zero(), TimeDelta::days(8), TimeDelta::days(-36_500)] {
            let clock = SystemClock::shifted(shift);
            assert_eq!(clock.shift(), shift);
            assert!((clock.now() - shift - machine_time()).abs() < TimeDelta::seconds(60));
            let guard = ClockGuard::new(Arc::new(SystemClock::shifted(shift)));
            assert!((guard.expected() - clock.now()).abs() < TimeDelta::seconds(60));
        }
    }
}
