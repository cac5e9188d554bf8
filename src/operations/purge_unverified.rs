//! PurgeUnverified: U5, X16 to X18, X22.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    ClockError, ListUnverifiedError, Vestibule,
    batches::{self, Batch, Batches, Bounds},
    purge_expired::BATCH,
};
use crate::{
    domain::{
        page::{Page, PageKey, PageSize},
        unverified::{CallLimit, PurgeSelection, Tally, UnverifiedFilter},
        user::User,
    },
    repository::{Repository, StorageError},
};

/// A purge of the never-verified as asked for.
#[derive(Debug, Clone, Default)]
pub struct PurgeUnverified {
    /// Which of them.
    pub filter: UnverifiedFilter,
    /// Really delete; otherwise count and sample only (AIP-165).
    pub force: bool,
    /// How many users at most.
    pub limit: CallLimit,
    /// When the caller stops listening.
    pub deadline: Option<Instant>,
}

/// Why nothing was purged.
#[derive(Debug, thiserror::Error)]
pub enum PurgeUnverifiedError {
    /// The filter asks for nothing beyond "unverified".
    #[error("the filter has no condition that a purge can go by")]
    NotSelective,
    /// The settings know no such site.
    #[error("the settings know no such site")]
    UnknownSite,
    /// The clock can't be trusted (X22).
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The store failed before anybody was deleted.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<ListUnverifiedError> for PurgeUnverifiedError {
    fn from(error: ListUnverifiedError) -> Self {
        match error {
            ListUnverifiedError::UnknownSite => Self::UnknownSite,
            ListUnverifiedError::Storage(error) => Self::Storage(error),
        }
    }
}

impl Vestibule {
    /// Deletes the never-verified users whom the filter selects, batch by batch, until the limit or the caller's deadline.
    pub async fn purge_unverified(&self, request: PurgeUnverified) -> Result<Tally, PurgeUnverifiedError> {
        if !request.filter.is_selective() {
            return Err(PurgeUnverifiedError::NotSelective);
        }
        self.check_site(&request.filter)?;
        let selection = PurgeSelection { filter: request.filter, now: self.clock.now() };
        let bounds = Bounds { limit: request.limit, deadline: request.deadline };
        let now = selection.now;
        let purge = UnverifiedPurge { repository: Arc::clone(&self.repository), selection, after: None };
        if !request.force {
            return Ok(batches::preview(&purge, request.limit).await?);
        }
        self.check_clock(now).await?;
        Ok(batches::run(purge, bounds).await?)
    }
}

struct UnverifiedPurge {
    repository: Arc<dyn Repository>,
    selection: PurgeSelection,
    after: Option<PageKey>,
}

#[async_trait]
impl Batches for UnverifiedPurge {
    type Error = StorageError;

    async fn act(&mut self, limit: u32) -> Result<Batch, StorageError> {
        let size = PageSize::at_most(usize::try_from(BATCH.min(limit)).unwrap_or_default());
        let after = self.after.take();
        let page = self.list(size, after).await?;
        self.after = page.next;
        let at_end = self.after.is_none();
        if page.items.is_empty() {
            return Ok(Batch { done: Vec::new(), at_end });
        }
        let ids: Vec<_> = page.items.iter().map(|user| user.id).collect();
        let done = self.repository.purge_selected(&self.selection, &ids).await?;
        Ok(Batch { done, at_end })
    }

    async fn count(&self, limit: u32) -> Result<u32, StorageError> {
        self.repository.count_selected_to_purge(&self.selection, limit).await
    }

    async fn list(&self, size: PageSize, after: Option<PageKey>) -> Result<Page<User>, StorageError> {
        self.repository.list_selected_to_purge(&self.selection, size, after).await
    }
}
