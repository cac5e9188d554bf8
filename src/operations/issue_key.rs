//! What SendActivationEmail and ReissueActivationKey have in common: a further key within the window (R14, X15).

use super::{RequestError, Vestibule, issue_code::IssuedCode};
use crate::{
    domain::{
        Timestamp,
        activation_key::ActivationKey,
        mail_limit::MailLimitReached,
        profile::{KeyRefusal, refuse_key},
        user::User,
    },
    hashing::Overloaded,
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
    /// The mail's code found no slot to be hashed in.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
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
        window_of_receiver(&user, now)?;
        let code = if mailing.is_some() { self.code_of_user(&user, now).await? } else { None };
        let (activation_key, mut issue) = self.further_key(&user, mailing.is_some(), code.as_ref(), now)?;
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
        code: Option<&IssuedCode>,
        now: Timestamp,
    ) -> Result<(ActivationKey, KeyIssue), IssueKeyError> {
        let expire_time = window_of_receiver(user, now)?;
        let key = self.generate_key(&user.username);
        let mut issue = key_issue(user, &key, now);
        if send_email {
            self.add_mail(&mut issue, user, &key, expire_time, code)?;
        }
        Ok((key, issue))
    }

    /// Has a key mailed, with a code beside it if there is one.
    pub(super) fn add_mail(
        &self,
        issue: &mut KeyIssue,
        user: &User,
        key: &ActivationKey,
        expire_time: Timestamp,
        code: Option<&IssuedCode>,
    ) -> Result<(), TemplateError> {
        let Some(site) = self.sites.find_or_first(&user.site) else { return Ok(()) };
        let code = code.filter(|_| site.code_digits.is_some());
        let in_mail = code.map(|code| code.in_mail(expire_time));
        let context = MailContext {
            username: &user.username,
            site,
            locale: user.locale.as_ref(),
            content: MailContent::Activation { key, expire_time, code: in_mail },
        };
        issue.mail = Some(self.new_mail(&user.email, &context, expire_time, issue.now)?);
        issue.code = code.map(|code| code.stored(expire_time));
        Ok(())
    }
}

/// When the window of a user ends who can have a key, as far as is known without the store: that alone knows whether
/// the address is taken, and asks again for all the rest.
fn window_of_receiver(user: &User, now: Timestamp) -> Result<Timestamp, IssueKeyError> {
    let profile = user.profile.ok_or(IssueKeyError::ProfileNotFound)?;
    refuse_key(user, false, now)?;
    Ok(profile.expire_time)
}

/// A key for the address that is stored, not mailed.
pub(super) fn key_issue(user: &User, key: &ActivationKey, now: Timestamp) -> KeyIssue {
    KeyIssue {
        user_id: user.id,
        email: user.email.clone(),
        digest: key.digest(),
        mail: None,
        code: None,
        now,
        request: None,
        counters: Vec::new(),
    }
}
