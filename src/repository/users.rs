//! Users, whatever their state.

use async_trait::async_trait;

use super::StorageError;
use crate::domain::{
    Timestamp,
    email_address::EmailAddress,
    user::{User, UserId},
    username::UsernameKey,
};

/// The part of a store that finds and switches users.
#[async_trait]
pub trait Users {
    /// The user of that id.
    async fn find_user(&self, id: UserId) -> Result<Option<User>, StorageError>;

    /// The user who holds the username.
    async fn find_user_by_username(&self, key: &UsernameKey) -> Result<Option<User>, StorageError>;

    /// The user who has verified the address (X23).
    async fn find_user_by_verified_email(&self, email: &EmailAddress) -> Result<Option<User>, StorageError>;

    /// The pending users whose primary address it is and who have a profile whose window is open at `now`, at most
    /// `limit`, the latest registered first; none if another user has verified it (X23).
    async fn list_pending_claims(
        &self,
        email: &EmailAddress,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<User>, StorageError>;

    /// Disables a user and appends `user_disabled`; who is disabled already stays as it is, without an event.
    /// `None` if there is no such user.
    async fn disable_user(&self, id: UserId, now: Timestamp) -> Result<Option<User>, StorageError>;
}
