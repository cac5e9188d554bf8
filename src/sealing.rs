//! Seals what must not be read or altered on its way: waiting mails in the database, page tokens at callers.
//!
//! XChaCha20-Poly1305. A sealed text is a key id (4 bytes), a nonce (24 bytes) and the ciphertext;
//! its purpose is authenticated with it, so that one kind never passes for another.
//! What has only to be known again is not sealed: there stands a MAC of it, HMAC-SHA-256.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{
    domain::request::Mac,
    random::{self, Random},
};

const KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;

/// The keys of an installation: the first seals, all of them open.
pub struct Keyring {
    keys: Vec<Key>,
}

struct Key {
    id: [u8; KEY_ID_BYTES],
    cipher: XChaCha20Poly1305,
    /// Keys the MACs: of the key, as the cipher's, but for nothing else.
    for_macs: Zeroizing<[u8; KEY_BYTES]>,
}

/// A keyring file that holds something else than keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// There is no line in it.
    #[error("the keyring holds no key; make one with: head -c 32 /dev/urandom | base64")]
    Empty,
    /// A line is no key.
    #[error(
        "line {line} of the keyring is not the base64 of {KEY_BYTES} bytes; make one with: head -c 32 /dev/urandom | base64"
    )]
    Line {
        /// Which, from 1.
        line: usize,
    },
}

/// A sealed text that no key opens: altered, of another purpose, or sealed by a key since removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no key of the keyring opens it")]
pub struct OpenError;

impl Keyring {
    /// Reads a keyring file: one base64 key of 32 bytes a line; blank lines are passed over.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let bytes = Zeroizing::new(BASE64_STANDARD.decode(line.trim()).unwrap_or_default());
            let key = <&[u8; KEY_BYTES]>::try_from(bytes.as_slice())
                .map_err(|_| KeyringError::Line { line: index + 1 })?;
            keys.push(Key::new(key));
        }
        if keys.is_empty() {
            return Err(KeyringError::Empty);
        }
        Ok(Self { keys })
    }

    /// The text of a keyring file with one new key.
    pub fn generate(random: &dyn Random) -> Zeroizing<String> {
        let key = Zeroizing::new(random::bytes::<KEY_BYTES>(random));
        Zeroizing::new(format!("{}\n", BASE64_STANDARD.encode(key.as_slice())))
    }

    /// Seals `plaintext` for `purpose`.
    #[expect(
        clippy::expect_used,
        reason = "sealing fails only beyond 256 GiB, and parse accepts no empty keyring"
    )]
    pub fn seal(&self, random: &dyn Random, purpose: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let key = self.keys.first().expect("a keyring holds a key");
        let nonce = random::bytes::<NONCE_BYTES>(random);
        let ciphertext = key
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: plaintext, aad: purpose })
            .expect("a text in memory can be sealed");
        [key.id.as_slice(), nonce.as_slice(), ciphertext.as_slice()].concat()
    }

    /// Opens what [`Keyring::seal`] made for the same purpose.
    pub fn open(&self, purpose: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (id, rest) = sealed.split_at_checked(KEY_ID_BYTES).ok_or(OpenError)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError)?;
        self.keys
            .iter()
            .filter(|key| key.id == id)
            .find_map(|key| {
                key.cipher.decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: purpose }).ok()
            })
            .map(Zeroizing::new)
            .ok_or(OpenError)
    }

    /// The MAC of `message` for `purpose`, by which it is known again.
    pub fn mac(&self, purpose: &str, message: &[u8]) -> Mac {
        self.macs(purpose, message).first().copied().unwrap_or(Mac([0; 32]))
    }

    /// The MACs of `message` for `purpose` by every key: the one that is written first, and then those that were
    /// written while another key was the first.
    pub fn macs(&self, purpose: &str, message: &[u8]) -> Vec<Mac> {
        self.keys.iter().map(|key| key.mac(purpose, message)).collect()
    }
}

impl Key {
    fn new(key: &[u8; KEY_BYTES]) -> Self {
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(Sha256::digest(key).split_at(KEY_ID_BYTES).0);
        let for_macs = Zeroizing::new(hmac_sha256(key, b"vestibule: the key of MACs"));
        Self { id, cipher: XChaCha20Poly1305::new(&(*key).into()), for_macs }
    }

    /// A key of its own for each purpose, so that a MAC of one says nothing about another.
    fn mac(&self, purpose: &str, message: &[u8]) -> Mac {
        let key = Zeroizing::new(hmac_sha256(&self.for_macs, purpose.as_bytes()));
        Mac(hmac_sha256(&key, message))
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn hmac_sha256(key: &[u8; KEY_BYTES], message: &[u8]) -> [u8; 32] {
    let hmac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    hmac.chain_update(message).finalize().into_bytes().into()
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} keys)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn what_is_sealed_opens_for_its_purpose_only() {
        let random = SeededRandom::new(1);
        let keyring = Keyring::parse(&Keyring::generate(&random)).unwrap();
        let sealed = keyring.seal(&random, b"mail 1", b"secret");
        assert_eq!(keyring.open(b"mail 1", &sealed).unwrap().as_slice(), b"secret");
        assert!(keyring.open(b"mail 2", &sealed).is_err());
        for index in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            assert!(keyring.open(b"mail 1", &altered).is_err(), "byte {index}");
            assert!(keyring.open(b"mail 1", &sealed[..index]).is_err(), "{index} bytes");
        }
    }

    #[test]
    fn the_first_key_seals_and_every_key_opens() {
        let random = SeededRandom::new(2);
        let (old, new) = (Keyring::generate(&random), Keyring::generate(&random));
        let sealed = Keyring::parse(&old).unwrap().seal(&random, b"p", b"secret");
        let both = Keyring::parse(&format!("{}\n{}", *new, *old)).unwrap();
        assert_eq!(both.open(b"p", &sealed).unwrap().as_slice(), b"secret");
        let only_new = Keyring::parse(&new).unwrap();
        assert!(only_new.open(b"p", &sealed).is_err());
        assert!(only_new.open(b"p", &both.seal(&random, b"p", b"x")).is_ok());
    }

    #[test]
    fn x10_a_mac_is_known_by_every_key_and_tells_purposes_and_messages_apart() {
        let random = SeededRandom::new(4);
        let (old, new) = (Keyring::generate(&random), Keyring::generate(&random));
        let before = Keyring::parse(&old).unwrap();
        let after = Keyring::parse(&format!("{}\n{}", *new, *old)).unwrap();
        let mac = before.mac("p", b"secret");
        assert_eq!(before.mac("p", b"secret"), mac);
        assert_ne!(after.mac("p", b"secret"), mac);
        assert_eq!(after.macs("p", b"secret"), [after.mac("p", b"secret"), mac]);
        for (purpose, message) in [("q", &b"secret"[..]), ("p", b"secreu"), ("p", b""), ("", b"psecret")] {
            assert!(!after.macs(purpose, message).contains(&mac), "{purpose} {message:?}");
        }
        assert!(!Keyring::parse(&new).unwrap().macs("p", b"secret").contains(&mac));
    }

    #[test]
    fn a_mac_is_hmac_sha256() {
        // RFC 4231, test case 6, its key hashed first as that is longer than a block.
        let key = Sha256::digest([0xaa; 131]).into();
        let mac = hmac_sha256(&key, b"Test Using Larger Than Block-Size Key - Hash Key First");
        let hex = mac.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert_eq!(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    #[test]
    fn what_is_no_key_is_named_by_its_line() {
        assert!(matches!(Keyring::parse("\n \n"), Err(KeyringError::Empty)));
        let key = Keyring::generate(&SeededRandom::new(3));
        let text = format!("{}abc\n", *key);
        assert!(matches!(Keyring::parse(&text), Err(KeyringError::Line { line: 2 })));
        assert!(!format!("{:?}", Keyring::parse(&key).unwrap()).contains(key.trim()));
    }
}
