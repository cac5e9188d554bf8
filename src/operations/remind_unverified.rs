//! RemindUnverified: U6, X10, X12, X15, X17, X18, X23.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    ListUnverifiedError, RequestError, Vestibule,
    batches::{self, Bounds},
    once::Once,
};
use crate::{
    causes::Causes,
    domain::{
        Timestamp,
        email_address::EmailDomain,
        mail_limit::MailLimitReached,
        request::Call,
        site::SiteId,
        unverified::{CallLimit, Tally, UnverifiedFilter},
        user::UserState,
        username::UsernameKey,
    },
    repository::{RemindCount, RequestRecord, StorageError},
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
    /// Who asks for them, and by which id.
    pub call: Call,
}

/// Why nobody was reminded.
#[derive(Debug, thiserror::Error)]
pub enum RemindUnverifiedError {
    /// The settings know no such site.
    #[error("the settings know no such site")]
    UnknownSite,
    /// The request was made before, for something else.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Too many mails were asked for before anybody was reminded.
    #[error(transparent)]
    MailLimit(#[from] MailLimitReached),
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
        let once = once(&request);
        if let Some(done) = self.find_done(&once).await? {
            return Ok(answer_again(&done)?);
        }
        self.check_site(&request.filter)?;
        let selection = self.reminders.selection(request.filter, self.clock.now());
        let reminders = self.reminders(selection, self.counters_of_caller(&request.call.caller));
        if !request.force {
            return Ok(batches::preview(&reminders, request.limit).await?);
        }
        let bounds = Bounds { limit: request.limit, deadline: request.deadline };
        let tally = batches::run(reminders, bounds).await?;
        self.remember_reminders(&once, tally).await
    }

    /// Remembers what a call came to, now that it is over: one that broke off goes on when it is made again, past whoever
    /// was just mailed. Of several with one id, all answer as the first to end.
    async fn remember_reminders(&self, once: &Once, tally: Tally) -> Result<Tally, RemindUnverifiedError> {
        let Some(record) = self.request_record(once, self.clock.now()) else { return Ok(tally) };
        let reminders = Some(RemindCount { count: tally.count, more: tally.more });
        match self.repository.remember_request(&RequestRecord { reminders, ..record }).await {
            Ok(true) => Ok(tally),
            Ok(false) => Ok(answer_again(&self.expect_done(once).await?)?),
            Err(error) => {
                // The mails are queued, and the answer has to say so.
                tracing::warn!(error = %Causes(&error), "a request that is done can't be remembered");
                Ok(tally)
            }
        }
    }
}

/// What a repetition must ask for again.
fn once(request: &RemindUnverified) -> Once {
    let UnverifiedFilter {
        created_before,
        created_after,
        idle_since,
        expired,
        email_domain,
        username_prefix,
        site,
        state,
        include_any_verified,
    } = &request.filter;
    let time = |time: &Option<Timestamp>| time.map(|time| time.timestamp_micros().to_be_bytes());
    Once::new(&request.call, "RemindUnverified")
        .with(time(created_before))
        .with(time(created_after))
        .with(time(idle_since))
        .with(expired.map(|expired| [u8::from(expired)]))
        .with(email_domain.as_ref().map(EmailDomain::as_str))
        .with(username_prefix.as_ref().map(UsernameKey::as_str))
        .with(site.as_ref().map(SiteId::as_str))
        .with(state.map(UserState::as_str))
        .with(Some([u8::from(*include_any_verified)]))
        .with(Some([u8::from(request.force)]))
        .with(Some(request.limit.get().to_be_bytes()))
}

/// What a request was answered that is made again, but for the sample: nothing of a user is remembered.
fn answer_again(done: &RequestRecord) -> Result<Tally, StorageError> {
    let RemindCount { count, more } = done.reminders.ok_or(StorageError::Corrupt("a request's record"))?;
    Ok(Tally { count, sample: Vec::new(), more })
}
