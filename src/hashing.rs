//! Hashes passwords beside the async threads, in as many slots as there are cores.
//!
//! A hash takes 19 MiB and some 20 ms of a core: without a bound, a burst of registrations would take the
//! machine's memory, and every other call would wait behind it.

use std::{sync::Arc, thread, time::Duration};

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    domain::password::{Password, PasswordHash},
    random::{self, Random},
};

/// 19 MiB, two passes, one lane: OWASP's first choice for argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Hashes passwords, a bounded number at a time.
pub struct PasswordHasher {
    slots: Arc<Semaphore>,
    queue: Duration,
    random: Arc<dyn Random>,
}

/// No slot came free in time; trying again later may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords wait to be hashed")]
pub struct Overloaded;

impl PasswordHasher {
    /// A hasher with as many slots as cores, which a password waits for at most `queue`.
    pub fn new(queue: Duration, random: Arc<dyn Random>) -> Self {
        let slots = thread::available_parallelism().map_or(1, usize::from);
        Self { slots: Arc::new(Semaphore::new(slots)), queue, random }
    }

    /// The password's argon2id hash, as a PHC string.
    #[expect(clippy::expect_used, reason = "the parameters are constants, and a hash does not panic")]
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, Overloaded> {
        let slot = Arc::clone(&self.slots).acquire_owned();
        let slot = timeout(self.queue, slot).await.map_err(|_| Overloaded)?.map_err(|_| Overloaded)?;
        let salt = random::bytes::<16>(&*self.random);
        let hash = tokio::task::spawn_blocking(move || {
            // The slot is held until the hash is made, even when nobody waits for it any more.
            let _slot = slot;
            let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("valid parameters");
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_with_salt(password.expose(), &salt)
                .expect("a valid salt")
                .to_string()
        });
        Ok(PasswordHash::new(hash.await.expect("hashing ends")))
    }
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordVerifier as _, password_hash::phc};

    use super::*;
    use crate::random::SystemRandom;

    #[tokio::test]
    async fn a_hash_is_argon2id_with_a_salt_of_its_own_and_verifies() {
        let hasher = PasswordHasher::new(Duration::from_mins(1), Arc::new(SystemRandom));
        let password = Password::parse("correct horse").unwrap();
        let first = hasher.hash(password.clone()).await.unwrap();
        let second = hasher.hash(password).await.unwrap();
        assert!(first.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", first.expose());
        assert_ne!(first.expose(), second.expose());
        let parsed = phc::PasswordHash::new(first.expose()).unwrap();
        assert!(Argon2::default().verify_password(b"correct horse", &parsed).is_ok());
        assert!(Argon2::default().verify_password(b"wrong horse", &parsed).is_err());
    }

    #[tokio::test]
    async fn who_waits_too_long_for_a_slot_is_refused() {
        let hasher = PasswordHasher::new(Duration::from_millis(1), Arc::new(SystemRandom));
        let all = u32::try_from(hasher.slots.available_permits()).unwrap();
        let held = hasher.slots.acquire_many(all).await.unwrap();
        let password = Password::parse("correct horse").unwrap();
        assert_eq!(hasher.hash(password.clone()).await.unwrap_err(), Overloaded);
        drop(held);
        let patient = PasswordHasher { queue: Duration::from_mins(1), ..hasher };
        assert!(patient.hash(password).await.is_ok());
    }
}
