//! Trims the events away that have been kept for long enough, in short batches (X20).

use std::{mem, sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    causes::Causes,
    operations::{ClockError, Vestibule},
};

/// How many events one transaction deletes.
const BATCH: u32 = 1000;
/// How long it lets others go first after a batch.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it looks.
const INTERVAL: Duration = Duration::from_mins(10);

/// The worker that trims the event log.
#[derive(Clone)]
pub struct EventTrimmer {
    /// Where events are, and whether the time can be trusted.
    pub vestibule: Arc<Vestibule>,
    /// How long an event is kept.
    pub retention: TimeDelta,
}

impl EventTrimmer {
    /// Trims until it is stopped.
    pub async fn run(self, stop: CancellationToken) {
        let mut failing = false;
        while !stop.is_cancelled() {
            let wait = match self.trim().await {
                Ok(count) => {
                    failing = false;
                    if count == 0 { INTERVAL } else { PAUSE }
                }
                Err(error) => {
                    // Once for each outage; the clock complains by itself.
                    if !mem::replace(&mut failing, true) {
                        tracing::warn!(error = %Causes(&error), "the event log can't be trimmed");
                    }
                    INTERVAL
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Deletes a batch of what is old enough, unless the clock can't be trusted (X22), and says how many went.
    pub async fn trim(&self) -> Result<u32, ClockError> {
        let now = self.vestibule.clock.now();
        self.vestibule.check_clock(now).await?;
        let Some(before) = now.checked_sub_signed(self.retention) else { return Ok(0) };
        Ok(self.vestibule.repository.trim_events(before, BATCH).await?)
    }
}
