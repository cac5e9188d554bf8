//! VerifyEmailAddress: U8, X8, X11, X13.

use super::Vestibule;
use crate::{
    domain::{activation_key::ActivationKey, user_email_address::VerificationRefusal},
    repository::{StorageError, Verification, VerifiedAddress, VerifyRefusal},
};

/// Why no address was verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyEmailAddressError {
    /// The key is malformed or unknown (X11).
    #[error("the key is unknown")]
    UnknownKey,
    /// The user, the address or the window says no.
    #[error(transparent)]
    Key(#[from] VerificationRefusal),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Marks the address that the key was mailed to as verified.
    pub async fn verify_email_address(&self, key: &str) -> Result<VerifiedAddress, VerifyEmailAddressError> {
        let digest = ActivationKey::parse(key).ok_or(VerifyEmailAddressError::UnknownKey)?.digest();
        let verification = Verification { digest, now: self.clock.now() };
        self.repository.verify_email_address(&verification).await?.map_err(|refusal| match refusal {
            VerifyRefusal::UnknownKey => VerifyEmailAddressError::UnknownKey,
            VerifyRefusal::Key(refusal) => VerifyEmailAddressError::Key(refusal),
        })
    }
}
