//! Runs what somebody asked for to its end, whether whoever asked waits for it or not.

use std::{future::Future, sync::Arc};

use tokio::{
    task::JoinError,
    time::{Instant, timeout_at},
};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::Vestibule;

/// The service, and what it is working on.
///
/// Whoever asks is dropped when the peer goes away; a database transaction dropped halfway would leave its connection
/// in an unknown state. So the work is a task of its own, which whoever asks only waits for.
#[derive(Clone)]
pub struct Work {
    vestibule: Arc<Vestibule>,
    tasks: TaskTracker,
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// The deadline has passed; what was begun is carried out all the same.
    #[error("the deadline has passed")]
    DeadlinePassed,
    /// A fault of ours.
    #[error(transparent)]
    Failed(#[from] JoinError),
}

impl Work {
    /// Nothing yet.
    pub fn new(vestibule: Arc<Vestibule>) -> Self {
        Self { vestibule, tasks: TaskTracker::new() }
    }

    /// The service.
    pub fn vestibule(&self) -> &Vestibule {
        &self.vestibule
    }

    /// Runs `work` to its end, and waits for it until the deadline. What it has appended to the event log is numbered.
    pub async fn run<T, F>(
        &self,
        deadline: Option<Instant>,
        work: impl FnOnce(Arc<Vestibule>) -> F,
    ) -> Result<T, Unfinished>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let appended = Arc::clone(&self.vestibule.events_appended);
        let work = |vestibule| {
            let work = work(vestibule);
            async move {
                let outcome = work.await;
                appended.notify_one();
                outcome
            }
        };
        self.read(deadline, work).await
    }

    /// Runs `work`, which appends no event, to its end, and waits for it until the deadline.
    pub async fn read<T, F>(
        &self,
        deadline: Option<Instant>,
        work: impl FnOnce(Arc<Vestibule>) -> F,
    ) -> Result<T, Unfinished>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(Unfinished::DeadlinePassed);
        }
        let task = self.tasks.spawn(work(Arc::clone(&self.vestibule)).in_current_span());
        match deadline {
            None => Ok(task.await?),
            Some(deadline) => {
                Ok(timeout_at(deadline, task).await.map_err(|_| Unfinished::DeadlinePassed)??)
            }
        }
    }

    /// Runs what belongs to an answer that has begun.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work.in_current_span());
    }

    /// Returns when nothing is being worked on any more.
    pub async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
