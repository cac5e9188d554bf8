//! SendVerificationEmail: U8, X10, X15.

use super::{EmailAddressError, Vestibule, issue_verification_key::once};
use crate::domain::{
    email_address::EmailAddress, request::Call, user::UserId, user_email_address::UserEmailAddress,
};

impl Vestibule {
    /// Mails a further key to an unverified address of a user.
    pub async fn send_verification_email(
        &self,
        user_id: UserId,
        email: EmailAddress,
        call: &Call,
    ) -> Result<Vec<UserEmailAddress>, EmailAddressError> {
        let once = once("SendVerificationEmail", user_id, &email, call);
        if let Some(addresses) = self.addresses_if_done(user_id, &once).await? {
            return Ok(addresses);
        }
        let issue = self.verification_key(user_id, email, call, &once).await?;
        let issued = self.repository.issue_verification_key(&issue).await?;
        self.addresses_after(user_id, &once, issued).await
    }
}
