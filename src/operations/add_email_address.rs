//! AddEmailAddress: U8, X8, X10.

use super::{EmailAddressError, Vestibule, issue_verification_key::once};
use crate::{
    domain::{
        email_address::EmailAddress, email_policy::Warning, request::Call, user::UserId,
        user_email_address::UserEmailAddress,
    },
    repository::NewEmailAddress,
};

/// What there is after an address was added.
#[derive(Debug)]
pub struct AddedEmailAddress {
    /// All of the user's.
    pub addresses: Vec<UserEmailAddress>,
    /// What there is to say of the one that was added.
    pub warnings: Vec<Warning>,
}

impl Vestibule {
    /// Gives a user a further, unverified address, and mails it a key.
    pub async fn add_email_address(
        &self,
        user_id: UserId,
        email: EmailAddress,
        call: &Call,
    ) -> Result<AddedEmailAddress, EmailAddressError> {
        let warnings = self.email_warnings(&email).await?;
        let once = once("AddEmailAddress", user_id, &email, call);
        if let Some(addresses) = self.addresses_if_done(user_id, &once).await? {
            return Ok(AddedEmailAddress { addresses, warnings });
        }
        let issue = self.verification_key(user_id, email, call, &once).await?;
        let addition = NewEmailAddress { issue, max: self.max_email_addresses };
        let added = self.repository.add_email_address(&addition).await?;
        let addresses = self.addresses_after(user_id, &once, added).await?;
        Ok(AddedEmailAddress { addresses, warnings })
    }
}
