//! Renewing the event log after a restore, which an operator does by hand.

use super::Vestibule;
use crate::{
    domain::event_log::{Extent, LogId},
    random,
    repository::StorageError,
};

impl Vestibule {
    /// Gives the event log another id, so that every position from before is refused.
    pub async fn renew_event_log(&self) -> Result<Extent, StorageError> {
        self.repository.renew_event_log(LogId(random::uuid_v4(&*self.random))).await
    }
}
