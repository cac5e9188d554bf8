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

/// Why there is no page to show, or nobody to count.
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
    /// A page of the users whose primary address is unverified: by username where the filter has a prefix, else the
    /// longest registered first.
    pub async fn list_unverified(
        &self,
        filter: &UnverifiedFilter,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<User>, ListUnverifiedError> {
        self.check_site(filter)?;
        Ok(self.repository.list_unverified(filter, self.clock.now(), size, after).await?)
    }

    /// Refuses a filter on a site that the settings don't know.
    pub(super) fn check_site(&self, filter: &UnverifiedFilter) -> Result<(), ListUnverifiedError> {
        match &filter.site {
            Some(site) if self.sites.find(site).is_none() => Err(ListUnverifiedError::UnknownSite),
            Some(_) | None => Ok(()),
        }
    }
}
