//! Activate: R7 to R12, X8, X9, X13.

use super::Vestibule;
use crate::{
    domain::{
        Invalid,
        activation_code::ActivationCode,
        activation_key::{ActivationKey, KeyDigest},
        email_address::EmailAddress,
        password::Password,
        profile::{KeyRefusal, refuse_key},
        user::User,
    },
    hashing::Overloaded,
    repository::{ActivateRefusal, Activation, CodeGuess, StorageError},
};

/// Why nobody was activated.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// The key is malformed or unknown (X11).
    #[error("the activation key is unknown")]
    UnknownKey,
    /// The address and the code activate nobody; why, nobody is told.
    #[error("the email address and the code activate nobody")]
    CodeRejected,
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
        self.use_key(digest, password).await
    }

    /// Does the same by the key that a code stands for, the code having been mailed to that address.
    ///
    /// Whatever the address, it counts, looks up and hashes as much, and every failure is the same, so that neither answer
    /// nor time tells who has registered.
    pub async fn activate_by_code(
        &self,
        email: &EmailAddress,
        code: ActivationCode,
        password: Option<Password>,
    ) -> Result<User, ActivateError> {
        let counter = self.keyring.mac("guesses at the codes of an address", email.as_str().as_bytes());
        let guess = CodeGuess { counter, email: email.clone() };
        // Counted before it is compared: neither a crash nor fifty guesses at once get any for nothing.
        let codes = self.repository.count_code_guess(&guess, self.clock.now()).await?;
        let activated = match self.hasher.hash_code(code, self.code_salt(email.as_str())).await {
            Err(overloaded) => Err(overloaded.into()),
            Ok(hash) => match codes.iter().find(|code| code.hash.matches(&hash)) {
                Some(found) => self.use_key(found.key, password).await,
                None => Err(ActivateError::CodeRejected),
            },
        };
        match &activated {
            Err(ActivateError::UnknownKey | ActivateError::Key(_)) => Err(ActivateError::CodeRejected),
            Err(ActivateError::PasswordRejected(_) | ActivateError::Overloaded(_)) => {
                // What was not compared was no guess, and who was right may choose another password.
                self.repository.uncount_code_guess(&guess, &codes).await?;
                activated
            }
            Ok(_) | Err(ActivateError::CodeRejected | ActivateError::Storage(_)) => activated,
        }
    }

    async fn use_key(&self, digest: KeyDigest, password: Option<Password>) -> Result<User, ActivateError> {
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
