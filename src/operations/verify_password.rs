//! VerifyPassword: U7, X17, X23.

use chrono::Duration;

use super::Vestibule;
use crate::{
    domain::{
        password::{Password, PasswordHash},
        password_guess::{Credentials, Guess, GuessDigest},
        user::{User, UserState},
    },
    hashing::{Overloaded, Verdict},
    repository::{CountedGuess, PasswordLogin, StorageError},
};

/// How often a password is checked again because the stored hash was replaced meanwhile.
const MAX_CHECKS: u32 = 3;

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum VerifyPasswordError {
    /// The password is not that of an active user; which of the two it is, nobody is told.
    #[error("the password is not that of an active user")]
    InvalidCredentials,
    /// Too many guesses at that name, or from that device, have failed; the next one may come after this span.
    #[error("too many passwords were wrong")]
    RateLimited(Duration),
    /// Too many passwords wait to be hashed.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// The active user whose password it is, whose login is recorded.
    ///
    /// Whoever is named, it counts, looks up and hashes as much, so that neither answer nor time tells who there is.
    pub async fn verify_password(
        &self,
        guess: &Guess,
        password: Password,
    ) -> Result<User, VerifyPasswordError> {
        // Counted before it is checked: neither a crash nor a hundred guesses at once get any for nothing.
        let counted = self.repository.count_guess(guess, self.clock.now()).await?;
        let CountedGuess { digest, mut credentials } = counted.map_err(VerifyPasswordError::RateLimited)?;
        for _ in 0..MAX_CHECKS {
            let Some((found, hash, outdated)) = self.check(credentials, &password, &digest).await? else {
                return Err(VerifyPasswordError::InvalidCredentials);
            };
            let login = PasswordLogin {
                user_id: found.user_id,
                digest,
                device: guess.device(),
                verified_hash: hash,
                // A login doesn't fail for want of a slot: the next one brings the new hash.
                new_hash: if outdated { self.hasher.hash(password.clone()).await.ok() } else { None },
                now: self.clock.now(),
            };
            if let Some(user) = self.repository.record_password_login(&login).await? {
                return Ok(user);
            }
            // X17: what has changed the user meanwhile came first.
            credentials = self.repository.find_credentials(guess.name()).await?;
        }
        Err(VerifyPasswordError::InvalidCredentials)
    }

    /// Whose password it is with the hash that it was held against, and whether that is outdated.
    async fn check(
        &self,
        credentials: Option<Credentials>,
        password: &Password,
        digest: &GuessDigest,
    ) -> Result<Option<(Credentials, PasswordHash, bool)>, VerifyPasswordError> {
        let active = credentials.filter(|found| found.state == UserState::Active);
        let hash = active.as_ref().and_then(|found| found.password_hash.clone());
        let verdict = match self.hasher.verify(password.clone(), hash.clone()).await {
            Ok(verdict) => verdict,
            Err(overloaded) => {
                // What was not checked was no guess.
                self.repository.uncount_guess(digest, self.clock.now()).await?;
                return Err(overloaded.into());
            }
        };
        Ok(match (active, hash, verdict) {
            (Some(found), Some(hash), Verdict::Right { outdated }) => Some((found, hash, outdated)),
            (Some(found), _, Verdict::Unusable) => {
                tracing::warn!(
                    user_id = %found.user_id,
                    "the stored password hash is of no known form or asks for too much; nobody can log in by it"
                );
                None
            }
            (_, _, Verdict::Right { .. } | Verdict::Wrong | Verdict::Unusable) => None,
        })
    }
}
