//! Hashes passwords beside the async threads, in as many slots as there are cores.
//!
//! A hash takes 19 MiB and some 20 ms of a core: without a bound, a burst of registrations would take the
//! machine's memory, and every other call would wait behind it.

mod memory;
mod stored;
mod threads;

use std::{hint, sync::Arc, thread, time::Duration};

use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

use self::{
    memory::Memory,
    stored::{SALT_BYTES, StoredHash, argon2},
    threads::Threads,
};
use crate::{
    domain::{
        activation_code::{ActivationCode, CodeHash},
        password::{Password, PasswordHash},
        request::Mac,
    },
    random::{self, Random},
};

/// Hashes passwords, a bounded number at a time.
pub struct PasswordHasher {
    slots: Arc<Semaphore>,
    threads: Threads,
    queue: Duration,
    random: Arc<dyn Random>,
}

/// What a password is to a stored hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Another one, or there is no hash.
    Wrong,
    /// The one that it was made of.
    Right {
        /// Whether a hash of ours should take its place.
        outdated: bool,
    },
    /// Nothing: the hash is of no known form, or asks for too much.
    Unusable,
}

/// No slot came free in time; trying again later may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords wait to be hashed")]
pub struct Overloaded;

impl PasswordHasher {
    /// A hasher with as many slots as cores, which a password waits for at most `queue`.
    pub fn new(queue: Duration, random: Arc<dyn Random>) -> Self {
        let slots = thread::available_parallelism().map_or(1, usize::from);
        Self { slots: Arc::new(Semaphore::new(slots)), threads: Threads::start(slots), queue, random }
    }

    /// The password's argon2id hash, as a PHC string.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, Overloaded> {
        let salt = random::bytes::<SALT_BYTES>(&*self.random);
        let hash = self.run(move |memory| StoredHash::make(password.expose(), &salt, memory));
        Ok(PasswordHash::new(hash.await?))
    }

    /// Whether it is the password of a stored hash. Without a hash, and with one that can't be used, as much is worked
    /// for nothing as with one of ours, so that the time doesn't tell.
    pub async fn verify(
        &self,
        password: Password,
        hash: Option<PasswordHash>,
    ) -> Result<Verdict, Overloaded> {
        self.run(move |memory| {
            let stored = hash.as_ref().map(|hash| StoredHash::parse(hash.expose()));
            if let Some(Some(stored)) = &stored {
                let right = stored.verify(password.expose(), memory);
                return if right {
                    Verdict::Right { outdated: stored.is_outdated() }
                } else {
                    Verdict::Wrong
                };
            }
            hint::black_box(StoredHash::dummy().verify(password.expose(), memory));
            if stored.is_some() { Verdict::Unusable } else { Verdict::Wrong }
        })
        .await
    }

    /// The code's argon2id hash, in the slots of the passwords. The salt is a secret: whoever has only the hash can't try
    /// out the few codes there are.
    #[expect(clippy::expect_used, reason = "the parameters are constants")]
    pub async fn hash_code(&self, code: ActivationCode, salt: Mac) -> Result<CodeHash, Overloaded> {
        self.run(move |memory| {
            let mut hash = [0; CodeHash::BYTES];
            memory.argon2(&argon2(), code.expose().as_bytes(), &salt.0, &mut hash).expect("a valid salt");
            CodeHash::new(hash)
        })
        .await
    }

    /// Runs what takes a core for long, in a slot.
    #[expect(clippy::expect_used, reason = "a hash does not panic")]
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Overloaded> {
        let slot = Arc::clone(&self.slots).acquire_owned();
        let slot = timeout(self.queue, slot).await.map_err(|_| Overloaded)?.map_err(|_| Overloaded)?;
        let (done, outcome) = oneshot::channel();
        self.threads.run(Box::new(move |memory| {
            // The slot is held until the work is done, even when nobody waits for it any more.
            let _slot = slot;
            let _ = done.send(work(memory));
        }));
        Ok(outcome.await.expect("hashing ends"))
    }
}

#[cfg(test)]
mod tests {
    use argon2::{Argon2, PasswordVerifier as _, password_hash::phc};

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
    async fn a_password_is_right_for_its_own_hash_only_and_for_none_where_there_is_none() {
        let hasher = PasswordHasher::new(Duration::from_mins(1), Arc::new(SystemRandom));
        let password = |text| Password::parse(text).unwrap();
        let hash = hasher.hash(password("correct horse")).await.unwrap();
        let unusable = PasswordHash::new("$argon2id$v=19$m=4194304,t=1,p=1$".to_owned());
        for (text, hash, verdict) in [
            ("correct horse", Some(&hash), Verdict::Right { outdated: false }),
            ("wrong horse", Some(&hash), Verdict::Wrong),
            ("correct horse", None, Verdict::Wrong),
            ("correct horse", Some(&unusable), Verdict::Unusable),
        ] {
            assert_eq!(hasher.verify(password(text), hash.cloned()).await, Ok(verdict), "{text} {verdict:?}");
        }
    }

    #[tokio::test]
    async fn a_codes_hash_is_the_same_for_the_same_salt_and_no_other() {
        let hasher = PasswordHasher::new(Duration::from_mins(1), Arc::new(SystemRandom));
        let hash = async |code: &str, salt| {
            hasher.hash_code(ActivationCode::parse(code).unwrap(), Mac([salt; 32])).await.unwrap()
        };
        let first = hash("01234567", 1).await;
        assert!(first.matches(&hash("01234567", 1).await));
        assert!(!first.matches(&hash("01234568", 1).await));
        assert!(!first.matches(&hash("01234567", 2).await));
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
