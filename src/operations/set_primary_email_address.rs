//! SetPrimaryEmailAddress: U8, X15.

use super::{EmailAddressError, Vestibule};
use crate::{
    domain::{
        email_address::EmailAddress,
        policy,
        user::UserId,
        user_email_address::{AddressRefusal, UserEmailAddress},
    },
    repository::{PrimaryChange, StorageError},
    templates::{MailContent, MailContext},
};

impl Vestibule {
    /// Makes a verified address of an active user the primary one, and tells the one that was.
    pub async fn set_primary_email_address(
        &self,
        user_id: UserId,
        email: EmailAddress,
    ) -> Result<Vec<UserEmailAddress>, EmailAddressError> {
        let user = self.repository.find_user(user_id).await?.ok_or(AddressRefusal::UserNotFound)?;
        let site = self.sites.find_or_first(&user.site).ok_or(StorageError::Corrupt("a user's site"))?;
        let now = self.clock.now();
        let context = MailContext {
            username: &user.username,
            site,
            locale: user.locale.as_ref(),
            content: MailContent::PrimaryEmailChanged { email: email.as_str() },
        };
        let expire_time = now.checked_add_signed(policy::NOTICE_LIFETIME).unwrap_or_else(policy::max_time);
        let mail = self.new_mail(&user.email, &context, expire_time.min(policy::max_time()), now)?;
        let change = PrimaryChange { user_id, email, old_email: user.email, mail, now };
        let addresses = self.repository.set_primary_email_address(&change).await??;
        self.mail_bell.ring();
        Ok(addresses)
    }
}
