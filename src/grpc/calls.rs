//! Runs what a call asks for to its end, whether the caller waits for it or not.

use std::future::Future;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tonic::{Request, Status};
use tracing::Instrument as _;

use super::status;

/// The calls that are being worked on.
///
/// A handler is dropped when its caller goes away; a database transaction dropped halfway would leave its
/// connection in an unknown state. So the work is a task of its own, which the handler only waits for.
#[derive(Debug, Clone, Default)]
pub struct Calls(TaskTracker);

/// When the caller stops listening.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Instant);

impl Calls {
    /// Runs `work` to its end, and waits for it until the caller's deadline.
    pub async fn run<T: Send + 'static>(
        &self,
        deadline: Option<Deadline>,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Status> {
        let task = self.0.spawn(work.in_current_span());
        let outcome = match deadline {
            None => task.await,
            Some(Deadline(deadline)) => {
                tokio::time::timeout_at(deadline, task).await.map_err(|_| status::deadline_exceeded())?
            }
        };
        outcome.map_err(|error| status::internal(&error))
    }

    /// Returns when nothing is being worked on any more.
    pub async fn wait(&self) {
        self.0.close();
        self.0.wait().await;
    }
}

/// The deadline that the front door read out of the request.
pub fn deadline<T>(request: &Request<T>) -> Option<Deadline> {
    request.extensions().get().copied()
}
