//! EnableUser: X1, X15.

use super::Vestibule;
use crate::{
    domain::user::{User, UserId},
    repository::StorageError,
};

/// Why nobody was enabled.
#[derive(Debug, thiserror::Error)]
pub enum EnableUserError {
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Takes a disabled user back to where it was: active, or pending if it never was active.
    pub async fn enable_user(&self, user_id: UserId) -> Result<User, EnableUserError> {
        let user = self.repository.enable_user(user_id, self.clock.now()).await?;
        user.ok_or(EnableUserError::UserNotFound)
    }
}
