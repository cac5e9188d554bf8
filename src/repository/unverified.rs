//! Listing the never-verified, and purging the expired.

use async_trait::async_trait;

use super::StorageError;
use crate::domain::{
    Timestamp,
    page::{Page, PageKey, PageSize},
    unverified::{PurgeScope, UnverifiedFilter},
    user::User,
};

/// How many rows a page may examine whose filter no index serves (U4).
pub const MAX_ROWS_EXAMINED: u32 = 10_000;

/// X16: whom a purge may take at all unless disabled users are asked for, in SQL that both stores understand.
/// The one place that says so: for every preview, for every deletion, and for giving way.
macro_rules! never_verified {
    () => {
        "(state = 'PENDING' AND NOT any_email_verified AND profile_expire_time IS NOT NULL)"
    };
}

/// Whom a purge of the expired takes, or who gives way; `$1` is the present instant.
macro_rules! purgeable {
    () => {
        concat!("(", $crate::repository::unverified::never_verified!(), " AND profile_expire_time <= $1)")
    };
}

/// X16: whom a purge takes besides when disabled users are asked for.
macro_rules! purgeable_disabled {
    () => {
        "(state = 'DISABLED' AND profile_expire_time IS NOT NULL \
         AND (profile_expire_time <= $1 OR profile_activate_time IS NOT NULL))"
    };
}

pub(super) use {never_verified, purgeable, purgeable_disabled};

/// The part of a store that lists and purges.
#[async_trait]
pub trait Unverified {
    /// A page of the users whose primary address is unverified and whom the filter selects, behind `after`: in the
    /// order of their usernames where the filter has a prefix, else in the order (`create_time`, `id`) (U1 to U4).
    ///
    /// Every such user who is there all the while is on exactly one page, however many come and go.
    async fn list_unverified(
        &self,
        filter: &UnverifiedFilter,
        now: Timestamp,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<User>, StorageError>;

    /// How many users there are on all those pages together.
    async fn count_unverified(&self, filter: &UnverifiedFilter, now: Timestamp) -> Result<u64, StorageError>;

    /// How many users a purge would delete, counted up to `limit`.
    async fn count_purgeable(&self, scope: PurgeScope, limit: u32) -> Result<u32, StorageError>;

    /// The first users that purges would delete: pending users before disabled ones, of each the longest expired
    /// first.
    async fn list_purgeable(&self, scope: PurgeScope, limit: u32) -> Result<Vec<User>, StorageError>;

    /// Deletes up to `limit` users in `scope` with all that belongs to them, appends `user_deleted` for each,
    /// and returns them. One call takes pending users, or disabled ones if no pending user is free, the longest
    /// expired first.
    ///
    /// It never waits for a user whom somebody else's transaction holds: such a user stays, and so it may return
    /// none while there are some (X17, X18). Whatever commits first wins.
    async fn purge(&self, scope: PurgeScope, limit: u32) -> Result<Vec<User>, StorageError>;
}
