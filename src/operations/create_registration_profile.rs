//! CreateRegistrationProfile: R13.

use super::{ProfileStatus, Vestibule};
use crate::{
    domain::{activation_key::ActivationKey, mail::MailState, profile::KeyRefusal, user::UserId},
    repository::{CreateProfileRefusal, NewProfile, StorageError},
    templates::TemplateError,
};

/// A new profile.
#[derive(Debug)]
pub struct CreatedProfile {
    /// The profile.
    pub status: ProfileStatus,
    /// The key, only if it was not mailed (X2).
    pub activation_key: Option<ActivationKey>,
}

/// Why no profile was created.
#[derive(Debug, thiserror::Error)]
pub enum CreateRegistrationProfileError {
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// The user has a profile.
    #[error("the user has a registration profile")]
    ProfileExists,
    /// The user is not pending, or the address is taken.
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
    /// Gives a pending user without a profile a new one, whose window starts now, and mails or returns its key.
    pub async fn create_registration_profile(
        &self,
        user_id: UserId,
        send_email: bool,
    ) -> Result<CreatedProfile, CreateRegistrationProfileError> {
        let user = self.repository.find_user(user_id).await?;
        let user = user.ok_or(CreateRegistrationProfileError::UserNotFound)?;
        let site = self.sites.find_or_first(&user.site);
        let site = site.ok_or(StorageError::Corrupt("a user's site"))?;
        let now = self.clock.now();
        let expire_time = site.activation_days.expire_time(now);
        let key = self.generate_key(&user.username);
        let issue = self.key_issue(&user, &key, expire_time, send_email, now)?;
        let mut mails = self.repository.count_activation_mails(user_id).await?;
        let user =
            self.repository.create_profile(&NewProfile { issue, expire_time }).await?.map_err(|refusal| {
                match refusal {
                    CreateProfileRefusal::UserNotFound => CreateRegistrationProfileError::UserNotFound,
                    CreateProfileRefusal::ProfileExists => CreateRegistrationProfileError::ProfileExists,
                    CreateProfileRefusal::Key(refusal) => CreateRegistrationProfileError::Key(refusal),
                }
            })?;
        self.mail_queued.notify_one();
        if send_email {
            mails.last_state = Some(MailState::Queued);
        }
        let status = self.profile_status(&user, mails);
        let status = status.ok_or(StorageError::Corrupt("a new profile"))?;
        Ok(CreatedProfile { status, activation_key: (!send_email).then_some(key) })
    }
}
