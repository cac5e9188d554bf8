//! RemoveEmailAddress: U8, X15.

use super::{EmailAddressError, Vestibule};
use crate::{
    domain::{email_address::EmailAddress, user::UserId, user_email_address::UserEmailAddress},
    repository::AddressRemoval,
};

impl Vestibule {
    /// Removes an address of a user that is not the primary one, with every key of it.
    pub async fn remove_email_address(
        &self,
        user_id: UserId,
        email: EmailAddress,
    ) -> Result<Vec<UserEmailAddress>, EmailAddressError> {
        let removal = AddressRemoval { user_id, email, now: self.clock.now() };
        Ok(self.repository.remove_email_address(&removal).await??)
    }
}
