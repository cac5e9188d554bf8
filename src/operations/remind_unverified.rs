//! RemindUnverified: U6, X12, X15, X17, X18, X23.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    ListUnverifiedError, Vestibule,
    batches::{self, Bounds},
};
use crate::{
    domain::unverified::{CallLimit, Tally, UnverifiedFilter},
    repository::StorageError,
    templates::TemplateError,
};

/// Reminders as asked for.
#[derive(Debug, Clone, Default)]
pub struct RemindUnverified {
    /// Which of the never-verified.
    pub filter: UnverifiedFilter,
    /// Really mail them; otherwise count and sample only (AIP-165).
    pub force: bool,
    /// How many users at most.
    pub limit: CallLimit,
    /// When the caller stops listening.
    pub deadline: Option<Instant>,
}

/// Why nobody was reminded.
#[derive(Debug, thiserror::Error)]
pub enum RemindUnverifiedError {
    /// The settings know no such site.
    #[error("the settings know no such site")]
    UnknownSite,
    /// The mail can't be rendered.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The store failed before anybody was reminded.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<ListUnverifiedError> for RemindUnverifiedError {
    fn from(error: ListUnverifiedError) -> Self {
        match error {
            ListUnverifiedError::UnknownSite => Self::UnknownSite,
            ListUnverifiedError::Storage(error) => Self::Storage(error),
        }
    }
}

impl Vestibule {
    /// Mails a further key to the never-verified users whom the filter selects, and starts their windows again, batch by
    /// batch, until the limit or the caller's deadline.
    pub async fn remind_unverified(
        self: &Arc<Self>,
        request: RemindUnverified,
    ) -> Result<Tally, RemindUnverifiedError> {
        self.check_site(&request.filter)?;
        let selection = self.reminders.selection(request.filter, self.clock.now());
        let reminders = self.reminders(selection);
        if !request.force {
            return Ok(batches::preview(&reminders, request.limit).await?);
        }
        let bounds = Bounds { limit: request.limit, deadline: request.deadline };
        batches::run(reminders, bounds).await
    }
}
