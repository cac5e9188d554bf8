//! DeleteRegistrationProfile: R13.

use super::{ProfileStatus, Vestibule};
use crate::{
    domain::user::UserId,
    repository::{ProfileRefusal, StorageError},
};

/// Why no profile was deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteRegistrationProfileError {
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
    /// Deletes a user's profile with its keys, and returns it as it stood.
    pub async fn delete_registration_profile(
        &self,
        user_id: UserId,
    ) -> Result<ProfileStatus, DeleteRegistrationProfileError> {
        let mails = self.repository.count_activation_mails(user_id).await?;
        let user = self.repository.delete_profile(user_id).await?.map_err(|refusal| match refusal {
            ProfileRefusal::UserNotFound => DeleteRegistrationProfileError::UserNotFound,
            ProfileRefusal::ProfileNotFound => DeleteRegistrationProfileError::ProfileNotFound,
        })?;
        self.profile_status(&user, mails).ok_or(DeleteRegistrationProfileError::ProfileNotFound)
    }
}
