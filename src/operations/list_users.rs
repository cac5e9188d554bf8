//! ListUsers: U3, U4.

use super::Vestibule;
use crate::{
    domain::{
        page::{Page, PageKey, PageSize},
        user::{User, UserFilter},
    },
    repository::StorageError,
};

/// Why there is no page to show.
#[derive(Debug, thiserror::Error)]
pub enum ListUsersError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// A page of the users whom the filter selects: by username where it has a prefix, else the longest registered first.
    pub async fn list_users(
        &self,
        filter: &UserFilter,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<User>, ListUsersError> {
        Ok(self.repository.list_users(filter, size, after).await?)
    }
}
