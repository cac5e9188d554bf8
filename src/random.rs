//! The only door for chance.

use std::sync::{Mutex, PoisonError};

use rand::{Rng as _, SeedableRng as _, TryRng as _, rngs::StdRng, rngs::SysRng};
use uuid::Uuid;

use crate::domain::Timestamp;

/// A source of random bytes.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's generator; everything secret comes from it (X3).
#[derive(Debug, Default)]
pub struct SystemRandom;

/// A generator that gives the same bytes for the same seed.
#[derive(Debug)]
pub struct SeededRandom(Mutex<StdRng>);

impl Random for SystemRandom {
    #[expect(
        clippy::expect_used,
        reason = "a machine without randomness can't issue a key, and must not go on"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        SysRng.try_fill_bytes(bytes).expect("the operating system gives random bytes");
    }
}

impl SeededRandom {
    /// A generator for `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }
}

/// `N` random bytes.
pub fn bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// A random number, all values equally likely.
pub fn number(random: &dyn Random) -> u64 {
    u64::from_le_bytes(bytes(random))
}

/// A UUID of version 7 for `now` (RFC 9562).
pub fn uuid_v7(random: &dyn Random, now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes(random)).into_uuid()
}

/// A UUID of version 4.
pub fn uuid_v4(random: &dyn Random) -> Uuid {
    uuid::Builder::from_random_bytes(bytes(random)).into_uuid()
}
