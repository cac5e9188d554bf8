//! ListUnverified: U1 to U4, X19.

use super::Vestibule;
use crate::{
    domain::{
        page::{Page, PageKey, PageSize},
        unverified::UnverifiedFilter,
        user::User,
    },
    repository::StorageError,
};

/// Why there is no page to show.
#[derive(Debug, thiserror::Error)]
pub enum ListUnverifiedError {
    /// The settings know no such site.
    #[error("the settings know no such site")]
    UnknownSite,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// A page of the users whose primary address is unverified, the longest registered first.
    pub async fn list_unverified(
        &self,
        filter: &UnverifiedFilter,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<User>, ListUnverifiedError> {
        if filter.site.as_ref().is_some_and(|site| self.sites.find(site).is_none()) {
            return Err(ListUnverifiedError::UnknownSite);
        }
        Ok(self.repository.list_unverified(filter, self.clock.now(), size, after).await?)
    }
}
