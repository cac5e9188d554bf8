//! Users, whatever their state.

use async_trait::async_trait;

use super::StorageError;
use crate::domain::{
    Timestamp,
    email_address::EmailAddress,
    page::{Page, PageKey, PageSize},
    user::{User, UserFilter, UserId},
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

    /// A page of the users whom the filter selects, behind `after`: in the order of their usernames where the filter has
    /// a prefix, else in the order (`create_time`, `id`).
    ///
    /// Every such user who is there all the while is on exactly one page, however many come and go.
    async fn list_users(
        &self,
        filter: &UserFilter,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<User>, StorageError>;

    /// Makes a pending user active by hand and appends `user_activated`; no address is verified by it, and no key
    /// spent. Who is active already stays as it is, without an event.
    async fn activate_user(
        &self,
        id: UserId,
        now: Timestamp,
    ) -> Result<Result<User, UserRefusal>, StorageError>;

    /// Disables a user and appends `user_disabled`; who is disabled already stays as it is, without an event.
    /// `None` if there is no such user.
    async fn disable_user(&self, id: UserId, now: Timestamp) -> Result<Option<User>, StorageError>;

    /// Takes a disabled user back to active, or to pending if it never was active, and appends `user_enabled`. The
    /// activation keys of who is pending again are deleted, and so are the keys of unverified addresses: they died when
    /// the user was disabled (X15). Who is not disabled stays as it is, without an event. `None` if there is no such
    /// user.
    async fn enable_user(&self, id: UserId, now: Timestamp) -> Result<Option<User>, StorageError>;

    /// Deletes a user, whatever its state, with all that belongs to it, appends `user_deleted`, and returns it as it
    /// stood. `None` if there is no such user.
    async fn delete_user(&self, id: UserId, now: Timestamp) -> Result<Option<User>, StorageError>;

    /// Sets when a user logged in last, unless a later login is known (U7).
    async fn record_login(
        &self,
        id: UserId,
        login_time: Timestamp,
    ) -> Result<Result<User, UserRefusal>, StorageError>;
}

/// Why an act on a user was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserRefusal {
    /// There is no such user.
    UserNotFound,
    /// The user is disabled.
    Disabled,
}
