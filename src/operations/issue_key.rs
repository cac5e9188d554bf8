//! What SendActivationEmail and ReissueActivationKey have in common: a further key within the window (R14, X15).

use super::{RequestError, Vestibule};
use crate::{
    domain::{
        Timestamp,
        activation_key::ActivationKey,
        mail_limit::MailLimitReached,
        profile::{KeyRefusal, refuse_key},
        user::User,
    },
    repository::{IssueKeyRefusal, KeyIssue, RequestRecord, StorageError},
    templates::{MailContent, MailContext, TemplateError},
};

/// A further key.
#[derive(Debug)]
pub struct IssuedKey {
    /// The key.
    pub activation_key: ActivationKey,
    /// When it expires, with the user's earlier keys.
    pub expire_time: Timestamp,
}

/// Who has a key mailed.
pub(super) struct Mailing {
    /// The caller's name.
    pub(super) caller: String,
    /// What is remembered of the request.
    pub(super) request: Option<RequestRecord>,
}

/// Why no further key was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueKeyError {
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// The user has no profile.
    #[error("the user has no registration profile")]
    ProfileNotFound,
    /// The user or the window says no.
    #[error(transparent)]
    Key(#[from] KeyRefusal),
    /// The request was done before, and perhaps for something else.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Too many mails were asked for.
    #[error(transparent)]
    MailLimit(#[from] MailLimitReached),
    /// The mail can't be rendered.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Issues a further key to `user` as it was just found; the store checks again under a lock. `None` if the request
    /// was done before.
    pub(super) async fn issue_key(
        &self,
        user: User,
        mailing: Option<Mailing>,
    ) -> Result<Option<IssuedKey>, IssueKeyError> {
        let now = self.clock.now();
        let (activation_key, mut issue) = self.further_key(&user, mailing.is_some(), now)?;
        if let Some(Mailing { caller, request }) = mailing {
            issue.counters = self.counters_of_mail(&issue.email, &caller);
            issue.request = request;
        }
        let user = match self.repository.issue_key(&issue).await? {
            Ok(user) => user,
            Err(IssueKeyRefusal::RequestDone) => return Ok(None),
            Err(IssueKeyRefusal::UserNotFound) => return Err(IssueKeyError::UserNotFound),
            Err(IssueKeyRefusal::ProfileNotFound) => return Err(IssueKeyError::ProfileNotFound),
            Err(IssueKeyRefusal::Key(refusal)) => return Err(refusal.into()),
            Err(IssueKeyRefusal::MailLimit(reached)) => return Err(reached.into()),
        };
        self.mail_bell.ring();
        let expire_time = user.profile.ok_or(IssueKeyError::ProfileNotFound)?.expire_time;
        Ok(Some(IssuedKey { activation_key, expire_time }))
    }

    /// A further key for a user who can have one, as far as is known without the store.
    pub(super) fn further_key(
        &self,
        user: &User,
        send_email: bool,
        now: Timestamp,
    ) -> Result<(ActivationKey, KeyIssue), IssueKeyError> {
        let profile = user.profile.ok_or(IssueKeyError::ProfileNotFound)?;
        // The store alone knows whether the address is taken, and asks again for all the rest.
        refuse_key(user, false, now)?;
        let key = self.generate_key(&user.username);
        let issue = self.key_issue(user, &key, profile.expire_time, send_email, now)?;
        Ok((key, issue))
    }

    /// A key for the address that is stored, with its mail if it is to be mailed.
    pub(super) fn key_issue(
        &self,
        user: &User,
        key: &ActivationKey,
        expire_time: Timestamp,
        send_email: bool,
        now: Timestamp,
    ) -> Result<KeyIssue, TemplateError> {
        let site = self.sites.find_or_first(&user.site);
        let mail = match site {
            Some(site) if send_email => {
                let context = MailContext {
                    username: &user.username,
                    site,
                    locale: user.locale.as_ref(),
                    content: MailContent::Activation { key, expire_time },
                };
                Some(self.new_mail(&user.email, &context, expire_time, now)?)
            }
            Some(_) | None => None,
        };
        let (user_id, email) = (user.id, user.email.clone());
        Ok(KeyIssue { user_id, email, digest: key.digest(), mail, now, request: None, counters: Vec::new() })
    }
}
