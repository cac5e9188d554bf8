//! What runs beside the calls: spawned, started again after a fault, and stopped.

pub mod event_sequencer;
pub mod event_trimmer;
pub mod mail_bell;
pub mod mail_outbox;
pub mod schedule;
pub mod sweeper;

use std::{future::Future, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a worker that panicked waits before it starts again.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// The workers of one server.
#[derive(Debug, Clone, Default)]
pub struct Workers {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Workers {
    /// Runs what `work` makes until the workers are stopped; a panic is logged, and it starts again.
    pub fn spawn<F>(&self, name: &'static str, work: impl Fn(CancellationToken) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (tasks, stop) = (self.tasks.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            while let Err(panic) = tasks.spawn(work(stop.clone())).await {
                tracing::error!(worker = name, error = %panic, "a worker failed and is started again");
                tokio::time::sleep(RESTART_DELAY).await;
            }
        });
    }

    /// Tells every worker to finish what it has begun, and returns when all have.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
