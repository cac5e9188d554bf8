//! The only door for the time of day. How long to sleep is asked of tokio; whether something is due, of a [`Clock`].

use std::sync::{Mutex, PoisonError};

use chrono::{Duration, SubsecRound as _, TimeDelta};

use crate::domain::Timestamp;

/// Tells the time in UTC, to the microsecond (X21).
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The machine's clock, shifted by a fixed span, usually none.
#[derive(Debug, Default)]
pub struct SystemClock {
    offset: Duration,
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl SystemClock {
    /// A clock that is `offset` ahead of the machine's.
    pub fn shifted(offset: TimeDelta) -> Self {
        Self { offset }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    fn now(&self) -> Timestamp {
        (chrono::Utc::now() + self.offset).trunc_subsecs(6)
    }
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(now.trunc_subsecs(6)))
    }

    /// Sets the clock.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now.trunc_subsecs(6);
    }

    /// Moves the clock on, or back by a negative span.
    pub fn advance(&self, span: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += span;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
