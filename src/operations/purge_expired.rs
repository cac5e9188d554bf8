//! PurgeExpired: R15, R16, X16 to X18, X22.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{ClockError, Vestibule};
use crate::{
    causes::Causes,
    domain::unverified::{PurgeLimit, PurgeScope, Purged, SAMPLE_SIZE},
    repository::StorageError,
};

/// How many users one transaction deletes: few enough that nobody notices it.
const BATCH: u32 = 200;
/// How often, and how far apart, a purge looks again at users whom somebody else's transaction holds.
const HELD_LOOKS: u32 = 10;
const HELD_DELAY: Duration = Duration::from_millis(20);
/// What is left of a caller's time when the last batch has to be over.
const MARGIN: Duration = Duration::from_millis(50);

/// A purge as asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct PurgeExpired {
    /// Count and sample only.
    pub validate_only: bool,
    /// Disabled users with an expired or spent key too (X16).
    pub include_disabled: bool,
    /// How many users at most.
    pub limit: PurgeLimit,
    /// When the caller stops listening.
    pub deadline: Option<Instant>,
}

/// Why nothing was purged.
#[derive(Debug, thiserror::Error)]
pub enum PurgeExpiredError {
    /// The clock can't be trusted (X22).
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The store failed before anybody was deleted.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Deletes users whose key has expired, batch by batch, until the limit or the caller's deadline.
    pub async fn purge_expired(&self, request: PurgeExpired) -> Result<Purged, PurgeExpiredError> {
        let scope = PurgeScope { now: self.clock.now(), include_disabled: request.include_disabled };
        let limit = request.limit.get();
        if request.validate_only {
            let count = self.repository.count_purgeable(scope, limit + 1).await?;
            let sample = self.repository.list_purgeable(scope, SAMPLE_SIZE.min(limit)).await?;
            return Ok(Purged { count: count.min(limit), sample, more: count > limit });
        }
        self.check_clock(scope.now).await?;
        let mut purged = Purged::default();
        let mut longest = Duration::ZERO;
        let mut held_looks = 0;
        while purged.count < limit {
            let start = Instant::now();
            if request.deadline.is_some_and(|deadline| start + longest * 2 + MARGIN >= deadline) {
                break;
            }
            let gone = match self.repository.purge(scope, BATCH.min(limit - purged.count)).await {
                Ok(gone) => gone,
                Err(error) if purged.count == 0 => return Err(error.into()),
                Err(error) => {
                    // What went is gone: the answer has to say so, and that there is more.
                    tracing::warn!(error = %Causes(&error), "a purge stopped early");
                    purged.more = true;
                    return Ok(purged);
                }
            };
            if gone.is_empty() {
                // Nobody is left, or those left are held, which for a moment is worth a wait.
                let left = self.repository.count_purgeable(scope, 1).await;
                if held_looks == HELD_LOOKS || !left.is_ok_and(|count| count > 0) {
                    break;
                }
                held_looks += 1;
                sleep(HELD_DELAY).await;
                continue;
            }
            held_looks = 0;
            purged.count += u32::try_from(gone.len()).unwrap_or(u32::MAX);
            let room = usize::try_from(SAMPLE_SIZE).unwrap_or_default().saturating_sub(purged.sample.len());
            purged.sample.extend(gone.into_iter().take(room));
            longest = longest.max(start.elapsed());
        }
        // Whether there is more is worth an answer even when the time is short; if it can't be had, there may be.
        purged.more = self.repository.count_purgeable(scope, 1).await.map_or(true, |count| count > 0);
        Ok(purged)
    }
}
