//! RecordLogin: U7.

use super::Vestibule;
use crate::{
    domain::{
        Timestamp, policy,
        user::{User, UserId},
    },
    repository::{StorageError, UserRefusal},
};

/// Why no login was recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordLoginError {
    /// The login lies in the future.
    #[error("the login lies in the future")]
    InFuture,
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// The user is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Records that a user, pending or active, has logged in, now or at `login_time`; the latest login counts.
    pub async fn record_login(
        &self,
        user_id: UserId,
        login_time: Option<Timestamp>,
    ) -> Result<User, RecordLoginError> {
        let now = self.clock.now();
        // A caller's clock may be a little ahead; a login far ahead would hide idleness for as long.
        if login_time.is_some_and(|time| time > now && policy::is_clock_suspect(now, time)) {
            return Err(RecordLoginError::InFuture);
        }
        let login_time = login_time.map_or(now, |time| time.min(now));
        let outcome = self.repository.record_login(user_id, login_time).await?;
        outcome.map_err(|refusal| match refusal {
            UserRefusal::UserNotFound => RecordLoginError::UserNotFound,
            UserRefusal::Disabled => RecordLoginError::UserDisabled,
        })
    }
}
