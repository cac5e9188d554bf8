//! AddEmailAddress: U8, X8.

use super::{EmailAddressError, Vestibule};
use crate::{
    domain::{email_address::EmailAddress, user::UserId, user_email_address::UserEmailAddress},
    repository::NewEmailAddress,
};

impl Vestibule {
    /// Gives a user a further, unverified address, and mails it a key.
    pub async fn add_email_address(
        &self,
        user_id: UserId,
        email: EmailAddress,
    ) -> Result<Vec<UserEmailAddress>, EmailAddressError> {
        let issue = self.verification_key(user_id, email).await?;
        let addition = NewEmailAddress { issue, max: self.max_email_addresses };
        let addresses = self.repository.add_email_address(&addition).await??;
        self.mail_queued.notify_one();
        Ok(addresses)
    }
}
