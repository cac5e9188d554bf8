//! SetPassword: X9.

use super::Vestibule;
use crate::{
    domain::{
        Invalid,
        password::Password,
        user::{User, UserId},
    },
    hashing::Overloaded,
    repository::StorageError,
};

/// Why no password was set.
#[derive(Debug, thiserror::Error)]
pub enum SetPasswordError {
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// The policy refuses the password.
    #[error("the password {0}")]
    PasswordRejected(Invalid),
    /// Too many passwords wait to be hashed.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Gives a user a password or replaces it, whatever the user's state.
    pub async fn set_password(&self, user_id: UserId, password: Password) -> Result<User, SetPasswordError> {
        let user = self.repository.find_user(user_id).await?.ok_or(SetPasswordError::UserNotFound)?;
        self.passwords
            .check(&password, &user.username, &user.email)
            .map_err(SetPasswordError::PasswordRejected)?;
        let hash = self.hasher.hash(password).await?;
        self.repository.set_password(user_id, &hash).await?.ok_or(SetPasswordError::UserNotFound)
    }
}
