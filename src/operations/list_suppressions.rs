//! ListSuppressions: U4.

use super::Vestibule;
use crate::{
    domain::{
        email_address::EmailAddress,
        page::{Page, PageKey, PageSize},
        suppression::Suppression,
    },
    repository::StorageError,
};

/// Why there is no page to show.
#[derive(Debug, thiserror::Error)]
pub enum ListSuppressionsError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// A page of the suppressed addresses, in the order of their bytes; of one address alone if it is given.
    pub async fn list_suppressions(
        &self,
        email: Option<&EmailAddress>,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<Suppression>, ListSuppressionsError> {
        Ok(self.repository.list_suppressions(email, size, after).await?)
    }
}
