//! SendVerificationEmail: U8, X15.

use super::{EmailAddressError, Vestibule};
use crate::domain::{email_address::EmailAddress, user::UserId, user_email_address::UserEmailAddress};

impl Vestibule {
    /// Mails a further key to an unverified address of a user.
    pub async fn send_verification_email(
        &self,
        user_id: UserId,
        email: EmailAddress,
    ) -> Result<Vec<UserEmailAddress>, EmailAddressError> {
        let issue = self.verification_key(user_id, email).await?;
        let addresses = self.repository.issue_verification_key(&issue).await??;
        self.mail_queued.notify_one();
        Ok(addresses)
    }
}
