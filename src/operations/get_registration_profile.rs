//! GetRegistrationProfile, and the profile as every call shows it.

use super::Vestibule;
use crate::{
    domain::{
        profile::{ProfileState, RegistrationProfile},
        user::{User, UserId},
    },
    repository::{MailCount, StorageError},
};

/// A profile, with what was mailed for it.
#[derive(Debug)]
pub struct ProfileStatus {
    /// Whose.
    pub user_id: UserId,
    /// The profile.
    pub profile: RegistrationProfile,
    /// Where it stands.
    pub state: ProfileState,
    /// What was mailed.
    pub mails: MailCount,
}

/// Why there is no profile to show.
#[derive(Debug, thiserror::Error)]
pub enum GetRegistrationProfileError {
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// The user has no profile.
    #[error("the user has no registration profile")]
    ProfileNotFound,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// The profile of a user.
    pub async fn get_registration_profile(
        &self,
        user_id: UserId,
    ) -> Result<ProfileStatus, GetRegistrationProfileError> {
        let user = self.repository.find_user(user_id).await?;
        let user = user.ok_or(GetRegistrationProfileError::UserNotFound)?;
        let mails = self.repository.count_activation_mails(user_id).await?;
        self.profile_status(&user, mails).ok_or(GetRegistrationProfileError::ProfileNotFound)
    }

    /// The profile of a user as just found. What was mailed is counted before an act, never after: what has
    /// been done must be answered.
    pub(super) fn profile_status(&self, user: &User, mails: MailCount) -> Option<ProfileStatus> {
        let profile = user.profile?;
        Some(ProfileStatus { user_id: user.id, profile, state: profile.state(self.clock.now()), mails })
    }
}
