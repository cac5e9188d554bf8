//! DisableUser: X1.

use super::Vestibule;
use crate::{
    domain::user::{User, UserId},
    repository::StorageError,
};

/// Why nobody was disabled.
#[derive(Debug, thiserror::Error)]
pub enum DisableUserError {
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Switches a user off, from either of the other states.
    pub async fn disable_user(&self, user_id: UserId) -> Result<User, DisableUserError> {
        let user = self.repository.disable_user(user_id, self.clock.now()).await?;
        user.ok_or(DisableUserError::UserNotFound)
    }
}
