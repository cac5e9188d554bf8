//! What SendActivationEmail and ReissueActivationKey have in common: a further key within the window (R14, X15).

use super::Vestibule;
use crate::{
    domain::{
        Timestamp,
        activation_key::ActivationKey,
        profile::{KeyRefusal, refuse_key},
        user::User,
    },
    repository::{IssueKeyRefusal, KeyIssue, StorageError},
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
    /// The mail can't be rendered.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Issues a further key to `user` as it was just found; the store checks again under a lock.
    pub(super) async fn issue_key(&self, user: User, send_email: bool) -> Result<IssuedKey, IssueKeyError> {
        let now = self.clock.now();
        let profile = user.profile.ok_or(IssueKeyError::ProfileNotFound)?;
        // The store alone knows whether the address is taken, and asks again for all the rest.
        refuse_key(&user, false, now)?;
        let activation_key = self.generate_key(&user.username);
        let issue = self.key_issue(&user, &activation_key, profile.expire_time, send_email, now)?;
        self.repository.issue_key(&issue).await?.map_err(|refusal| match refusal {
            IssueKeyRefusal::UserNotFound => IssueKeyError::UserNotFound,
            IssueKeyRefusal::ProfileNotFound => IssueKeyError::ProfileNotFound,
            IssueKeyRefusal::Key(refusal) => IssueKeyError::Key(refusal),
        })?;
        self.mail_queued.notify_one();
        Ok(IssuedKey { activation_key, expire_time: profile.expire_time })
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
        Ok(KeyIssue { user_id: user.id, email: user.email.clone(), digest: key.digest(), mail, now })
    }
}
