//! CreateRegistrationProfile: R13, X10.

use super::{ProfileStatus, RequestError, Vestibule, issue_key::key_issue, once::Once};
use crate::{
    domain::{
        activation_key::ActivationKey,
        mail::MailState,
        mail_limit::MailLimitReached,
        profile::{KeyRefusal, RegistrationProfile},
        request::Call,
        user::UserId,
    },
    hashing::Overloaded,
    repository::{CreateProfileRefusal, NewProfile, RequestRecord, StorageError},
    templates::TemplateError,
};

/// A new profile.
#[derive(Debug)]
pub struct CreatedProfile {
    /// The profile.
    pub status: ProfileStatus,
    /// The key, only if it was not mailed (X2), and not when the request was done before (X10).
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
    /// The request was made before, for something else.
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
    /// Gives a pending user without a profile a new one, whose window starts now, and mails or returns its key.
    pub async fn create_registration_profile(
        &self,
        user_id: UserId,
        send_email: bool,
        call: &Call,
    ) -> Result<CreatedProfile, CreateRegistrationProfileError> {
        let once = Once::new(call, "CreateRegistrationProfile")
            .with(Some(user_id.0.as_bytes()))
            .with(Some([u8::from(send_email)]));
        if let Some(done) = self.find_done(&once).await? {
            return Ok(answer_again(user_id, &done)?);
        }
        let user = self.repository.find_user(user_id).await?;
        let user = user.ok_or(CreateRegistrationProfileError::UserNotFound)?;
        let site = self.sites.find_or_first(&user.site);
        let site = site.ok_or(StorageError::Corrupt("a user's site"))?;
        let now = self.clock.now();
        let expire_time = site.activation_days.expire_time(now);
        let key = self.generate_key(&user.username);
        let mut issue = key_issue(&user, &key, now);
        let mut mails = self.repository.count_activation_mails(user_id).await?;
        if send_email {
            let code = self.new_code(site, &user.email, now).await?;
            self.add_mail(&mut issue, &user, &key, expire_time, code.as_ref())?;
            mails.last_state = Some(MailState::Queued);
            issue.counters = self.counters_of_mail(&user.email, &call.caller);
        }
        issue.request = self.request_record(&once, now).map(|record| RequestRecord {
            user_id: Some(user_id),
            expire_time: Some(expire_time),
            mails: Some(mails),
            ..record
        });
        let user = match self.repository.create_profile(&NewProfile { issue, expire_time }).await? {
            Ok(user) => user,
            Err(CreateProfileRefusal::RequestDone) => {
                return Ok(answer_again(user_id, &self.expect_done(&once).await?)?);
            }
            Err(CreateProfileRefusal::UserNotFound) => {
                return Err(CreateRegistrationProfileError::UserNotFound);
            }
            Err(CreateProfileRefusal::ProfileExists) => {
                return Err(CreateRegistrationProfileError::ProfileExists);
            }
            Err(CreateProfileRefusal::Key(refusal)) => return Err(refusal.into()),
            Err(CreateProfileRefusal::MailLimit(reached)) => return Err(reached.into()),
        };
        self.mail_bell.ring();
        let status = self.profile_status(&user, mails);
        let status = status.ok_or(StorageError::Corrupt("a new profile"))?;
        Ok(CreatedProfile { status, activation_key: (!send_email).then_some(key) })
    }
}

/// What a request was answered that is made again, but for the key: whatever became of the profile since.
fn answer_again(user_id: UserId, done: &RequestRecord) -> Result<CreatedProfile, StorageError> {
    let (Some(expire_time), Some(mails)) = (done.expire_time, done.mails) else {
        return Err(StorageError::Corrupt("a request's record"));
    };
    let profile = RegistrationProfile { issue_time: done.create_time, expire_time, activate_time: None };
    let state = profile.state(done.create_time);
    Ok(CreatedProfile { status: ProfileStatus { user_id, profile, state, mails }, activation_key: None })
}
