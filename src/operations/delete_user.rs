//! DeleteUser: X16, X20.

use super::Vestibule;
use crate::{
    domain::user::{User, UserId},
    repository::StorageError,
};

/// Why nobody was deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteUserError {
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Deletes a user, whatever its state, with all that belongs to it, and returns it as it stood.
    pub async fn delete_user(&self, user_id: UserId) -> Result<User, DeleteUserError> {
        let user = self.repository.delete_user(user_id, self.clock.now()).await?;
        user.ok_or(DeleteUserError::UserNotFound)
    }
}
