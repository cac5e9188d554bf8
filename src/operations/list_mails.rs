//! ListMails: U4.

use super::Vestibule;
use crate::{
    domain::{
        mail::{Mail, MailFilter},
        page::{Page, PageKey, PageSize},
    },
    repository::StorageError,
};

/// Why there is no page to show.
#[derive(Debug, thiserror::Error)]
pub enum ListMailsError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// A page of the mails that the filter selects, the longest queued first.
    pub async fn list_mails(
        &self,
        filter: &MailFilter,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<Mail>, ListMailsError> {
        Ok(self.repository.list_mails(filter, size, after).await?)
    }
}
