//! PurgeExpired: R15, R16, X16 to X18, X22.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    ClockError, Vestibule,
    batches::{self, Batch, Batches, Bounds},
};
use crate::{
    domain::{
        page::{Page, PageKey, PageSize},
        unverified::{CallLimit, PurgeScope, Tally},
        user::User,
    },
    repository::{Repository, StorageError},
};

/// How many users one transaction deletes: few enough that nobody notices it.
pub(super) const BATCH: u32 = 200;

/// A purge as asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct PurgeExpired {
    /// Count and sample only.
    pub validate_only: bool,
    /// Disabled users with an expired or spent key too (X16).
    pub include_disabled: bool,
    /// How many users at most.
    pub limit: CallLimit,
    /// When the caller stops listening.
    pub deadline: Option<Instant>,
}

/// Why nothing was purged.
#[derive(Debug, thiserror::Error)]
pub enum PurgeExpiredError {
    /// The clock can't be trusted (X22).
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The store failed before anybody was deleted.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Deletes users whose key has expired, batch by batch, until the limit or the caller's deadline.
    pub async fn purge_expired(&self, request: PurgeExpired) -> Result<Tally, PurgeExpiredError> {
        let scope = PurgeScope { now: self.clock.now(), include_disabled: request.include_disabled };
        let purge = ExpiredPurge { repository: Arc::clone(&self.repository), scope };
        if request.validate_only {
            return Ok(batches::preview(&purge, request.limit).await?);
        }
        self.check_clock(scope.now).await?;
        let bounds = Bounds { limit: request.limit, deadline: request.deadline };
        Ok(batches::run(purge, bounds).await?)
    }
}

struct ExpiredPurge {
    repository: Arc<dyn Repository>,
    scope: PurgeScope,
}

#[async_trait]
impl Batches for ExpiredPurge {
    type Error = StorageError;

    async fn act(&mut self, limit: u32) -> Result<Batch, StorageError> {
        let done = self.repository.purge(self.scope, BATCH.min(limit)).await?;
        Ok(Batch { done, at_end: true })
    }

    async fn count(&self, limit: u32) -> Result<u32, StorageError> {
        self.repository.count_purgeable(self.scope, limit).await
    }

    async fn list(&self, size: PageSize, _after: Option<PageKey>) -> Result<Page<User>, StorageError> {
        let size = u32::try_from(size.get()).unwrap_or(u32::MAX);
        Ok(Page { items: self.repository.list_purgeable(self.scope, size).await?, next: None })
    }
}
