//! X22: a clock that went wrong must not empty the table.

use super::Vestibule;
use crate::{
    domain::{Timestamp, policy},
    repository::StorageError,
};

/// Why the clock can't be trusted with a deletion.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// It differs from another clock.
    #[error("the service's clock shows {service_time}, the {reference} clock {reference_time}")]
    Suspect {
        /// What the service's clock shows.
        service_time: Timestamp,
        /// Which clock it was compared with.
        reference: Reference,
        /// What that one shows, with the service's own shift.
        reference_time: Timestamp,
    },
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What the service's clock is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// The machine's monotonic clock, since the process began.
    Monotonic,
    /// The database's clock.
    Database,
}

impl Reference {
    /// The clock's name in errors and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Monotonic => "monotonic",
            Self::Database => "database",
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Vestibule {
    /// Compares an instant that the service's clock has just shown with the clocks that it should agree with.
    pub async fn check_clock(&self, now: Timestamp) -> Result<(), ClockError> {
        let compare = |reference, reference_time: Timestamp| {
            if policy::is_clock_suspect(now, reference_time) {
                tracing::error!(service_time = %now, %reference, %reference_time, "the clock can't be trusted");
                return Err(ClockError::Suspect { service_time: now, reference, reference_time });
            }
            Ok(())
        };
        compare(Reference::Monotonic, self.clock_guard.expected())?;
        let shift = self.clock.shift();
        match self.repository.time().await? {
            None => Ok(()),
            Some(time) => compare(Reference::Database, time.checked_add_signed(shift).unwrap_or(time)),
        }
    }
}
