//! ReissueActivationKey: R14, X2, X15.

use super::{IssueKeyError, IssuedKey, Vestibule};
use crate::domain::user::UserId;

impl Vestibule {
    /// Issues a pending user a further key and returns it.
    pub async fn reissue_activation_key(&self, user_id: UserId) -> Result<IssuedKey, IssueKeyError> {
        let user = self.repository.find_user(user_id).await?.ok_or(IssueKeyError::UserNotFound)?;
        self.issue_key(user, false).await
    }
}
