//! Numbers the events that acts have appended, and wakes whoever watches them in this process (X20).
//!
//! Every replica runs one, and any of them does the work: the log is held for a batch, never for longer, so there is
//! no lease that could be lost.

use std::{mem, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{causes::Causes, repository::Repository};

/// How many events one transaction numbers.
const BATCH: u32 = 1000;
/// The least time between two looks, so that acts in quick succession are numbered together.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a worker sleeps that nobody rings: what other processes have appended or numbered.
const POLL: Duration = Duration::from_millis(250);

/// The worker that numbers events.
#[derive(Clone)]
pub struct EventSequencer {
    /// Where events are.
    pub repository: Arc<dyn Repository>,
    /// Rung when events may have been appended.
    pub appended: Arc<Notify>,
    /// Told the number of the last event.
    pub numbered: watch::Sender<i64>,
}

impl EventSequencer {
    /// Numbers until it is stopped.
    pub async fn run(self, stop: CancellationToken) {
        let mut failing = false;
        while !stop.is_cancelled() {
            let more = match self.repository.number_events(BATCH).await {
                Ok(numbered) => {
                    failing = false;
                    self.numbered.send_if_modified(|last| mem::replace(last, numbered.last_number) != *last);
                    numbered.more
                }
                Err(error) => {
                    // Once for each outage, not four times a second.
                    if !mem::replace(&mut failing, true) {
                        tracing::warn!(error = %Causes(&error), "events can't be numbered");
                    }
                    false
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(PAUSE) => {}
            }
            if more {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.appended.notified() => {}
                () = sleep(POLL) => {}
            }
        }
    }
}
