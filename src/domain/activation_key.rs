//! The activation key that is mailed, and the digest of it that is stored (R3, R8).

use std::fmt::Write as _;

use secrecy::{ExposeSecret as _, SecretString};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

/// How many random bytes go into a key: 256 bits, of which SHA-1 keeps 160 (X3).
pub const SALT_BYTES: usize = 32;

/// 40 lower-case hex digits; whoever holds them can activate. `Debug` never prints them.
#[derive(Debug, Clone)]
pub struct ActivationKey(SecretString);

/// SHA-256 of an activation key: all that the database ever holds of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyDigest([u8; 32]);

impl ActivationKey {
    /// The SHA-1 of a random salt and the username as shown (R3).
    pub fn generate(salt: &[u8; SALT_BYTES], username: &str) -> Self {
        let hash = Sha1::new().chain_update(salt).chain_update(username).finalize();
        let mut key = String::with_capacity(40);
        for byte in hash {
            let _ = write!(key, "{byte:02x}");
        }
        Self(key.into())
    }

    /// Accepts exactly 40 lower-case hex digits; whatever else there is counts as unknown (R8, X11).
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        well_formed.then(|| Self(text.to_owned().into()))
    }

    /// The key itself, for the mail or the one response that may carry it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is stored in the key's place.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest(Sha256::digest(self.expose()).into())
    }
}

impl KeyDigest {
    /// How many bytes it has.
    pub const BYTES: usize = 32;

    /// Wraps what was stored.
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The digest's bytes, for storage.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r3_a_key_is_the_sha1_of_salt_and_username() {
        let key = ActivationKey::generate(&[7; SALT_BYTES], "Alice");
        let mut bytes = vec![7; SALT_BYTES];
        bytes.extend_from_slice(b"Alice");
        let expected =
            Sha1::digest(&bytes).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert_eq!(key.expose(), expected);
        assert!(ActivationKey::parse(key.expose()).is_some());
        assert_eq!(key.digest().as_bytes(), Sha256::digest(expected.as_bytes()).as_slice());
        assert!(!format!("{key:?}").contains(&expected));
    }

    #[test]
    fn x3_a_key_has_all_the_160_bits_that_sha1_keeps() {
        const { assert!(SALT_BYTES * 8 >= 160) };
        let key = |salt: &[u8; SALT_BYTES]| ActivationKey::generate(salt, "Alice").expose().to_owned();
        let keys: std::collections::HashSet<_> = (0..SALT_BYTES * 8)
            .map(|bit| {
                let mut salt = [0; SALT_BYTES];
                salt[bit / 8] = 1 << (bit % 8);
                key(&salt)
            })
            .collect();
        assert_eq!(keys.len(), SALT_BYTES * 8, "every bit of the salt counts");
    }

    #[test]
    fn r8_only_forty_lower_case_hex_digits_are_a_key() {
        let good = "0123456789abcdef0123456789abcdef01234567";
        assert!(ActivationKey::parse(good).is_some());
        for bad in [
            "",
            &good[1..],
            &format!("{good}8"),
            &good.to_uppercase(),
            &format!(" {good}"),
            &format!("{good}\n"),
            &good.replace('f', "g"),
            "ALREADY_ACTIVATED",
            &"\u{ff10}".repeat(40),
        ] {
            assert!(ActivationKey::parse(bad).is_none(), "{bad:?}");
        }
    }
}
