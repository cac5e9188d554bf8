//! GetUser: X23.

use super::Vestibule;
use crate::{
    domain::user::{User, UserName},
    repository::StorageError,
};

/// Why there is no user to show.
#[derive(Debug, thiserror::Error)]
pub enum GetUserError {
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// The user of that name; by email, only the user who has verified it.
    pub async fn get_user(&self, name: &UserName) -> Result<User, GetUserError> {
        let user = match name {
            UserName::Id(id) => self.repository.find_user(*id).await?,
            UserName::Username(username) => self.repository.find_user_by_username(username.key()).await?,
            UserName::Email(email) => self.repository.find_user_by_verified_email(email).await?,
        };
        user.ok_or(GetUserError::UserNotFound)
    }
}
