//! The memory that hashes are made in.

use argon2::{Argon2, Block, Result};

use super::stored::params;

/// What a thread hashes in, kept from one hash to the next: freed and asked for each time, it would be cut up by what is
/// allocated in between, and the process would come to hold it several times over.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

impl Memory {
    /// Makes a hash of argon2's family. What takes more than ours is given back at once.
    pub fn argon2(
        &mut self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        hash: &mut [u8],
    ) -> Result<()> {
        if argon2.params().block_count() > params().block_count() {
            return argon2.hash_password_into(password, salt, hash);
        }
        // What an earlier hash has left there is overwritten before it is read.
        self.0.resize(params().block_count(), Block::new());
        argon2.hash_password_into_with_memory(password, salt, hash, &mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use argon2::{Algorithm, Params, Version};

    use super::*;

    #[test]
    fn what_was_hashed_before_changes_no_hash_and_takes_no_more_memory() {
        let mut memory = Memory::default();
        let ours = params().m_cost();
        for (algorithm, version, cost) in [
            (Algorithm::Argon2id, Version::V0x13, ours),
            (Algorithm::Argon2i, Version::V0x13, 64),
            (Algorithm::Argon2d, Version::V0x10, 64),
            (Algorithm::Argon2id, Version::V0x13, 2 * ours),
            (Algorithm::Argon2id, Version::V0x13, ours),
        ] {
            let params = Params::new(cost, 2, 1, Some(32)).unwrap();
            let argon2 = Argon2::new(algorithm, version, params);
            let (mut hash, mut alone) = ([0; 32], [0; 32]);
            memory.argon2(&argon2, b"correct horse", b"a long salt", &mut hash).unwrap();
            argon2.hash_password_into(b"correct horse", b"a long salt", &mut alone).unwrap();
            assert_eq!(hash, alone, "{algorithm:?}, {cost} KiB");
            assert_eq!(memory.0.capacity(), super::params().block_count());
        }
    }
}
