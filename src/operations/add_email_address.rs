//! AddEmailAddress: U8, X8, X10.

use super::{EmailAddressError, Vestibule, issue_verification_key::once};
use crate::{
    domain::{
        email_address::EmailAddress, request::Call, user::UserId, user_email_address::UserEmailAddress,
    },
    repository::NewEmailAddress,
};

impl Vestibule {
    /// Gives a user a further, unverified address, and mails it a key.
    pub async fn add_email_address(
        &self,
        user_id: UserId,
        email: EmailAddress,
        call: &Call,
    ) -> Result<Vec<UserEmailAddress>, EmailAddressError> {
        let once = once("AddEmailAddress", user_id, &email, call);
        if let Some(addresses) = self.addresses_if_done(user_id, &once).await? {
            return Ok(addresses);
        }
        let issue = self.verification_key(user_id, email, call, &once).await?;
        let addition = NewEmailAddress { issue, max: self.max_email_addresses };
        let added = self.repository.add_email_address(&addition).await?;
        self.addresses_after(user_id, &once, added).await
    }
}
