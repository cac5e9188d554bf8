//! Forgets what is only kept for a while, in small batches.

use std::{mem, sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    causes::Causes,
    clock::{Clock, ClockGuard},
    domain::{mail_limit::last_span_past, policy, request::REQUEST_MEMORY},
    repository::{Repository, StorageError},
};

/// How often it sweeps.
const INTERVAL: Duration = Duration::from_mins(1);
/// How many rows one transaction deletes at most, so that none is long.
const BATCH: u32 = 500;

/// The worker that forgets; every server has one, and none waits for another's.
#[derive(Clone)]
pub struct Sweeper {
    /// Where it is kept.
    pub repository: Arc<dyn Repository>,
    /// Decides what is old.
    pub clock: Arc<dyn Clock>,
    /// Whether the time can be trusted.
    pub clock_guard: Arc<ClockGuard>,
}

impl Sweeper {
    /// Sweeps at once and then every minute, until it is stopped.
    pub async fn run(self, stop: CancellationToken) {
        let mut failing = false;
        while !stop.is_cancelled() {
            match self.sweep(&stop).await {
                Ok(()) => failing = false,
                Err(error) => {
                    // Once for each outage, not once a minute.
                    if !mem::replace(&mut failing, true) {
                        tracing::warn!(error = %Causes(&error), "what is old can't be forgotten");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(INTERVAL) => {}
            }
        }
    }

    async fn sweep(&self, stop: &CancellationToken) -> Result<(), StorageError> {
        let now = self.clock.now();
        // By a clock that has jumped, a request of just now may seem old, and would be done again (X22).
        if policy::is_clock_suspect(now, self.clock_guard.expected()) {
            return Ok(());
        }
        let before = now.checked_sub_signed(REQUEST_MEMORY).unwrap_or_else(policy::min_time);
        while self.repository.forget_requests(before, BATCH).await? == BATCH && !stop.is_cancelled() {}
        let before = last_span_past(now);
        while self.repository.forget_mail_counts(before, BATCH).await? == BATCH && !stop.is_cancelled() {}
        while self.repository.forget_devices(now, BATCH).await? == BATCH && !stop.is_cancelled() {}
        while self.repository.forget_activation_codes(now, BATCH).await? == BATCH && !stop.is_cancelled() {}
        while self.repository.forget_code_guesses(now, BATCH).await? == BATCH && !stop.is_cancelled() {}
        Ok(())
    }
}
