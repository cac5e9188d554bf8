//! What the acts on a user's addresses have in common: how they are refused, and a key with its mail (U8).

use super::{RequestError, Vestibule, once::Once};
use crate::{
    domain::{
        email_address::EmailAddress,
        mail_limit::MailLimitReached,
        request::Call,
        user::UserId,
        user_email_address::{AddressRefusal, UserEmailAddress},
    },
    repository::{StorageError, VerificationKeyIssue, VerificationKeyRefusal},
    templates::{MailContent, MailContext, TemplateError},
};

/// Why nothing was done to a user's address.
#[derive(Debug, thiserror::Error)]
pub enum EmailAddressError {
    /// The user or the address says no.
    #[error(transparent)]
    Refused(#[from] AddressRefusal),
    /// The request was made before, for something else.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Too many mails were asked for.
    #[error(transparent)]
    MailLimit(#[from] MailLimitReached),
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
        call: &Call,
        once: &Once,
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
        let request = self.request_record(once, now);
        let counters = self.counters_of_mail(email.as_str(), &call.caller);
        let digest = key.digest();
        Ok(VerificationKeyIssue { user_id, email, digest, expire_time, mail, now, request, counters })
    }

    /// The user's addresses as they are now, if the request was done before; none if the user is gone.
    pub(super) async fn addresses_if_done(
        &self,
        user_id: UserId,
        once: &Once,
    ) -> Result<Option<Vec<UserEmailAddress>>, EmailAddressError> {
        if self.find_done(once).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(self.repository.list_email_addresses(user_id).await?))
    }

    /// What a call answers that had a key mailed, or found at the last moment that it was done before.
    pub(super) async fn addresses_after(
        &self,
        user_id: UserId,
        once: &Once,
        issued: Result<Vec<UserEmailAddress>, VerificationKeyRefusal>,
    ) -> Result<Vec<UserEmailAddress>, EmailAddressError> {
        match issued {
            Ok(addresses) => {
                self.mail_bell.ring();
                Ok(addresses)
            }
            Err(VerificationKeyRefusal::RequestDone) => {
                self.expect_done(once).await?;
                Ok(self.repository.list_email_addresses(user_id).await?)
            }
            Err(VerificationKeyRefusal::Address(refusal)) => Err(refusal.into()),
            Err(VerificationKeyRefusal::MailLimit(reached)) => Err(reached.into()),
        }
    }
}

/// What a repetition of a call of that name must ask for again.
pub(super) fn once(rpc: &str, user_id: UserId, email: &EmailAddress, call: &Call) -> Once {
    Once::new(call, rpc).with(Some(user_id.0.as_bytes())).with(Some(email.as_str()))
}
