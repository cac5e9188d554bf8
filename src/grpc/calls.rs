//! Runs what a call asks for, and says how it ended where there is no outcome.

use std::{future::Future, sync::Arc};

use tokio::time::Instant;
use tonic::{Request, Status};

use super::status;
use crate::{
    domain::{email_policy::EmailPolicy, password_policy::PasswordPolicy, username_policy::UsernamePolicy},
    operations::{Unfinished, Vestibule, Work},
    random::Random,
    sealing::Keyring,
};

/// The service, and the calls that it is working on.
#[derive(Clone)]
pub struct Calls {
    work: Work,
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
        Self { work: Work::new(vestibule) }
    }

    /// What the calls are worked on with, for whatever else asks for the same.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// What page tokens are sealed with.
    pub fn sealing(&self) -> (&Keyring, &dyn Random) {
        let vestibule = self.work.vestibule();
        (&vestibule.keyring, &*vestibule.random)
    }

    /// What a new username must be beyond the standard.
    pub fn username_policy(&self) -> &UsernamePolicy {
        &self.work.vestibule().usernames
    }

    /// What a new password must be beyond the standard.
    pub fn password_policy(&self) -> &PasswordPolicy {
        &self.work.vestibule().passwords
    }

    /// What a new email address must be beyond its form.
    pub fn email_policy(&self) -> &EmailPolicy {
        &self.work.vestibule().emails
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
        self.work.run(deadline.map(|deadline| deadline.0), work).await.map_err(unfinished)
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
        self.work.read(deadline.map(|deadline| deadline.0), work).await.map_err(unfinished)
    }

    /// Runs what belongs to a call whose answer has begun; a drain waits for it.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.work.spawn(work);
    }

    /// Returns when nothing is being worked on any more.
    pub async fn wait(&self) {
        self.work.wait().await;
    }
}

fn unfinished(unfinished: Unfinished) -> Status {
    match unfinished {
        Unfinished::DeadlinePassed => status::deadline_exceeded(),
        Unfinished::Failed(error) => status::internal(&error),
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
