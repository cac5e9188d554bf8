//! ActivateUser: X1.

use super::Vestibule;
use crate::{
    domain::user::{User, UserId},
    repository::{StorageError, UserRefusal},
};

/// Why nobody was activated by hand.
#[derive(Debug, thiserror::Error)]
pub enum ActivateUserError {
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
    /// Makes a pending user active by hand, which verifies no address.
    pub async fn activate_user(&self, user_id: UserId) -> Result<User, ActivateUserError> {
        let outcome = self.repository.activate_user(user_id, self.clock.now()).await?;
        outcome.map_err(|refusal| match refusal {
            UserRefusal::UserNotFound => ActivateUserError::UserNotFound,
            UserRefusal::Disabled => ActivateUserError::UserDisabled,
        })
    }
}
