//! Choices that a seed repeats.

use vestibule::random::{self, SeededRandom};

/// A seeded source of choices.
pub struct Dice(SeededRandom);

impl Dice {
    /// The same choices for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(SeededRandom::new(seed))
    }

    /// A number below `bound`.
    pub fn below(&self, bound: usize) -> usize {
        usize::try_from(random::number(&self.0) % bound as u64).unwrap()
    }

    /// Yes, once in `times`.
    pub fn once_in(&self, times: usize) -> bool {
        self.below(times) == 0
    }
}
