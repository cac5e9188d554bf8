//! Runs what a call asks for to its end, whether the caller waits for it or not.

use std::{future::Future, sync::Arc};

use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tonic::{Request, Status};
use tracing::Instrument as _;

use super::status;
use crate::{
    domain::{email_policy::EmailPolicy, password_policy::PasswordPolicy, username_policy::UsernamePolicy},
    operations::Vestibule,
    random::Random,
    sealing::Keyring,
};

/// The service, and the calls that it is working on.
///
/// A handler is dropped when its caller goes away; a database transaction dropped halfway would leave its
/// connection in an unknown state. So the work is a task of its own, which the handler only waits for.
#[derive(Clone)]
pub struct Calls {
    vestibule: Arc<Vestibule>,
    tasks: TaskTracker,
}

/// When the caller stops listening, or is told that it took too long.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Instant);

/// When the caller stops listening, by its own account: a stream goes on until then. `None` where that is never.
#[derive(Debug, Clone, Copy)]
pub struct CallersDeadline(pub Option<Instant>);

impl Calls {
    /// No calls yet.
    pub fn new(vestibule: Arc<Vestibule>) -> Self {
        Self { vestibule, tasks: TaskTracker::new() }
    }

    /// What page tokens are sealed with.
    pub fn sealing(&self) -> (&Keyring, &dyn Random) {
        (&self.vestibule.keyring, &*self.vestibule.random)
    }

    /// What a new username must be beyond the standard.
    pub fn username_policy(&self) -> &UsernamePolicy {
        &self.vestibule.usernames
    }

    /// What a new password must be beyond the standard.
    pub fn password_policy(&self) -> &PasswordPolicy {
        &self.vestibule.passwords
    }

    /// What a new email address must be beyond its form.
    pub fn email_policy(&self) -> &EmailPolicy {
        &self.vestibule.emails
    }

    /// Runs `work` to its end, and waits for it until the deadline. What it has appended to the event log is numbered.
    pub async fn run<T, F>(
        &self,
        deadline: Option<Deadline>,
        work: impl FnOnce(Arc<Vestibule>) -> F,
    ) -> Result<T, Status>
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
        deadline: Option<Deadline>,
        work: impl FnOnce(Arc<Vestibule>) -> F,
    ) -> Result<T, Status>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        if deadline.is_some_and(|Deadline(deadline)| deadline <= Instant::now()) {
            return Err(status::deadline_exceeded());
        }
        let task = self.tasks.spawn(work(Arc::clone(&self.vestibule)).in_current_span());
        let outcome = match deadline {
            None => task.await,
            Some(Deadline(deadline)) => {
                tokio::time::timeout_at(deadline, task).await.map_err(|_| status::deadline_exceeded())?
            }
        };
        outcome.map_err(|error| status::internal(&error))
    }

    /// Runs what belongs to a call whose answer has begun; a drain waits for it.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work.in_current_span());
    }

    /// Returns when nothing is being worked on any more.
    pub async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The deadline that the front door read out of the request.
pub fn deadline<T>(request: &Request<T>) -> Option<Deadline> {
    request.extensions().get().copied()
}

/// The deadline that the caller set, if it set one.
pub fn callers_deadline<T>(request: &Request<T>) -> Option<Instant> {
    request.extensions().get().and_then(|CallersDeadline(deadline)| *deadline)
}
