//! ReissueActivationKey: R14, X2, X15. It takes no `request_id`: what it returns can't be returned again (X10).

use super::{IssueKeyError, IssuedKey, Vestibule};
use crate::{domain::user::UserId, repository::StorageError};

impl Vestibule {
    /// Issues a pending user a further key and returns it.
    pub async fn reissue_activation_key(&self, user_id: UserId) -> Result<IssuedKey, IssueKeyError> {
        let user = self.repository.find_user(user_id).await?.ok_or(IssueKeyError::UserNotFound)?;
        let issued = self.issue_key(user, None).await?;
        Ok(issued.ok_or(StorageError::Corrupt("a request's record"))?)
    }
}
