//! Activate: R7 to R12, X8, X9, X13.

use super::Vestibule;
use crate::{
    domain::{
        Invalid,
        activation_key::ActivationKey,
        password::Password,
        profile::{KeyRefusal, refuse_key},
        user::User,
    },
    hashing::Overloaded,
    repository::{ActivateRefusal, Activation, StorageError},
};

/// Why nobody was activated.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// The key is malformed or unknown (X11).
    #[error("the activation key is unknown")]
    UnknownKey,
    /// The user or the window says no.
    #[error(transparent)]
    Key(#[from] KeyRefusal),
    /// The policy refuses the password.
    #[error("the password {0}")]
    PasswordRejected(Invalid),
    /// Too many passwords wait to be hashed.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Makes the key's user active and its address verified; a password replaces the one given at registration.
    pub async fn activate(&self, key: &str, password: Option<Password>) -> Result<User, ActivateError> {
        let digest = ActivationKey::parse(key).ok_or(ActivateError::UnknownKey)?.digest();
        let password_hash = match password {
            None => None,
            Some(password) => {
                // X9: nobody can make the service hash, or learn what the policy knows of a user, without a key that works.
                let status = self.repository.find_key(&digest).await?.ok_or(ActivateError::UnknownKey)?;
                refuse_key(&status.user, status.email_taken, self.clock.now())?;
                let user = &status.user;
                self.passwords
                    .check(&password, &user.username, &user.email)
                    .map_err(ActivateError::PasswordRejected)?;
                Some(self.hasher.hash(password).await?)
            }
        };
        let activation = Activation { digest, password_hash, now: self.clock.now() };
        self.repository.activate(&activation).await?.map_err(|refusal| match refusal {
            ActivateRefusal::UnknownKey => ActivateError::UnknownKey,
            ActivateRefusal::Key(refusal) => ActivateError::Key(refusal),
        })
    }
}
