//! Random acts at the same time, round after round: whatever the order they come in, what must never be never is.

mod addresses;

use vestibule::random::{self, SeededRandom};

use crate::support::server::on_each_store;

on_each_store! {
    addresses: [
        u8_a_key_mailed_to_one_address_never_verifies_another,
    ]
}

/// A seeded source of choices.
struct Dice(SeededRandom);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(SeededRandom::new(seed))
    }

    /// A number below `bound`.
    fn below(&self, bound: usize) -> usize {
        usize::try_from(random::number(&self.0) % bound as u64).unwrap()
    }
}
