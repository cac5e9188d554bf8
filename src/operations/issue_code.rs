//! The code that an activation mail carries beside its link, where the user's site has codes.

use super::Vestibule;
use crate::{
    domain::{
        Timestamp,
        activation_code::{self, ActivationCode, CodeDigits},
        policy,
        request::Mac,
        site::Site,
        user::User,
    },
    hashing::Overloaded,
    random,
    repository::NewCode,
    templates::MailedCode,
};

/// A code for a mail to one address.
pub(super) struct IssuedCode {
    code: ActivationCode,
    stored: NewCode,
}

impl Vestibule {
    /// A code for a mail to that address, if the site has codes. It takes as long as a password's hash.
    pub(super) async fn new_code(
        &self,
        site: &Site,
        email: &str,
        now: Timestamp,
    ) -> Result<Option<IssuedCode>, Overloaded> {
        let Some(digits) = site.code_digits else { return Ok(None) };
        self.generate_code(digits, email, now).await.map(Some)
    }

    /// A code for a mail to a user.
    pub(super) async fn code_of_user(
        &self,
        user: &User,
        now: Timestamp,
    ) -> Result<Option<IssuedCode>, Overloaded> {
        match self.sites.find_or_first(&user.site) {
            Some(site) => self.new_code(site, &user.email, now).await,
            None => Ok(None),
        }
    }

    /// Codes for the mails that one call sends to whoever claims an address, if any site has codes: as many as there can
    /// be claims, since the time that they take must not tell how many there are (X23).
    pub(super) async fn codes_of_claims(
        &self,
        email: &str,
        now: Timestamp,
    ) -> Result<Vec<IssuedCode>, Overloaded> {
        let mut codes = Vec::new();
        if let Some(digits) = self.sites.iter().find_map(|site| site.code_digits) {
            for _ in 0..policy::MAX_CLAIMS_MAILED {
                codes.push(self.generate_code(digits, email, now).await?);
            }
        }
        Ok(codes)
    }

    /// What a code for that address is hashed with. One for all its codes, so that a guess is compared with all of them by
    /// one hash; and a secret, since there are few codes.
    pub(super) fn code_salt(&self, email: &str) -> Mac {
        self.keyring.mac("activation codes of an address", email.as_bytes())
    }

    async fn generate_code(
        &self,
        digits: CodeDigits,
        email: &str,
        now: Timestamp,
    ) -> Result<IssuedCode, Overloaded> {
        let code = ActivationCode::generate(random::number(&*self.random), digits);
        let hash = self.hasher.hash_code(code.clone(), self.code_salt(email)).await?;
        let expire_time = policy::later(now, activation_code::LIFETIME);
        Ok(IssuedCode { code, stored: NewCode { hash, expire_time } })
    }
}

impl IssuedCode {
    /// The code as it stands in a mail whose key expires then, and never lives longer than that.
    pub(super) fn in_mail(&self, window_end: Timestamp) -> MailedCode<'_> {
        MailedCode { code: &self.code, expire_time: self.stored(window_end).expire_time }
    }

    /// What is stored of it.
    pub(super) fn stored(&self, window_end: Timestamp) -> NewCode {
        NewCode { expire_time: self.stored.expire_time.min(window_end), ..self.stored }
    }
}
