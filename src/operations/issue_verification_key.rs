//! What the acts on a user's addresses have in common: how they are refused, and a key with its mail (U8).

use super::Vestibule;
use crate::{
    domain::{email_address::EmailAddress, user::UserId, user_email_address::AddressRefusal},
    repository::{StorageError, VerificationKeyIssue},
    templates::{MailContent, MailContext, TemplateError},
};

/// Why nothing was done to a user's address.
#[derive(Debug, thiserror::Error)]
pub enum EmailAddressError {
    /// The user or the address says no.
    #[error(transparent)]
    Refused(#[from] AddressRefusal),
    /// The mail can't be rendered.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// A new key for an address, with the mail that carries it; the store says whether the user has the address.
    pub(super) async fn verification_key(
        &self,
        user_id: UserId,
        email: EmailAddress,
    ) -> Result<VerificationKeyIssue, EmailAddressError> {
        let user = self.repository.find_user(user_id).await?.ok_or(AddressRefusal::UserNotFound)?;
        let site = self.sites.find_or_first(&user.site).ok_or(StorageError::Corrupt("a user's site"))?;
        let now = self.clock.now();
        let expire_time = site.activation_days.expire_time(now);
        let key = self.generate_key(&user.username);
        let context = MailContext {
            username: &user.username,
            site,
            locale: user.locale.as_ref(),
            content: MailContent::EmailVerification { email: email.as_str(), key: &key, expire_time },
        };
        let mail = self.new_mail(email.as_str(), &context, expire_time, now)?;
        Ok(VerificationKeyIssue { user_id, email, digest: key.digest(), expire_time, mail, now })
    }
}
