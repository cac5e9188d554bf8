//! Devices that users have logged in from: guesses from one are counted by themselves, so that it has turns of its own.

use chrono::Duration;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::{Invalid, Timestamp, policy, user::UserName};

/// How long a text has to be that nobody can guess, in bytes.
const MIN_BYTES: usize = 16;
/// The longest text, in bytes.
const MAX_BYTES: usize = 128;
/// How long a device is known after the last right password from it.
const MEMORY: Duration = Duration::days(90);
/// How many devices of one user are known; a further one takes the place of the one that would be forgotten first.
pub const MAX_KNOWN: u32 = 10;

/// What a caller has left with one browser or app and gets back with its next login; `Debug` never prints it.
#[derive(Debug, Clone)]
pub struct Device(SecretString);

/// A device as it is known for one name: all that the database ever holds of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceDigest([u8; 32]);

impl Device {
    /// Accepts 16 to 128 printable characters of ASCII, none of them a blank.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let has_its_length = (MIN_BYTES..=MAX_BYTES).contains(&text.len());
        if !has_its_length || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Invalid::new(format!(
                "must be {MIN_BYTES} to {MAX_BYTES} printable characters of ASCII, none of them a blank, or left out"
            )));
        }
        Ok(Self(text.to_owned().into()))
    }
}

impl DeviceDigest {
    /// The same for every spelling of a name that is the same, and another one for each name.
    pub fn of(name: &UserName, device: &Device) -> Self {
        let (kind, name) = name.kind_and_bytes();
        let mut digest = Sha256::new();
        // With its length in front, no part can be taken for the end of another one.
        for part in [b"known device", kind.as_bytes(), name, device.0.expose_secret().as_bytes()] {
            digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }

    /// The digest's bytes, for storage.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Until when a device is known that a right password has come from.
pub fn known_until(login_time: Timestamp) -> Timestamp {
    policy::later(login_time, MEMORY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{email_address::EmailAddress, user::UserId, username::Username};

    #[test]
    fn a_device_is_a_text_that_nobody_can_guess_and_is_never_printed() {
        let every: String = ('!'..='~').collect();
        for text in ["0123456789abcdef", &"~".repeat(128), &every] {
            assert!(!format!("{:?}", Device::parse(text).unwrap()).contains(text));
        }
        for text in [
            "",
            "0123456789abcde",
            &"a".repeat(129),
            "0123456789 abcdef",
            "0123456789abcdef\n",
            "0123456789abcdef\u{7f}",
            "0123456789abcdé",
            &"\u{ff10}".repeat(16),
        ] {
            assert!(Device::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_device_is_another_one_for_each_name_and_the_same_in_any_spelling() {
        let digest = |name: UserName, text: &str| DeviceDigest::of(&name, &Device::parse(text).unwrap());
        let username = |text| UserName::Username(Username::parse(text).unwrap());
        let email = |text| UserName::Email(EmailAddress::parse(text).unwrap());
        let id = |number| UserName::Id(UserId(uuid::Uuid::from_u128(number)));
        let (one, other) = ("0123456789abcdef", "0123456789abcdeg");
        assert_eq!(digest(username("MIKE"), one), digest(username("mike"), one));
        assert_eq!(digest(email("mike@EXAMPLE.com"), one), digest(email("mike@example.com"), one));
        let all = [
            digest(username("mike"), one),
            digest(username("mike"), other),
            // Without the lengths these two would be the same text.
            digest(username("mike0"), one),
            digest(username("mike"), &format!("0{one}")),
            digest(email("mike@example.com"), one),
            digest(id(1), one),
            digest(id(2), one),
        ];
        for (index, digest) in all.iter().enumerate() {
            assert!(all.iter().skip(index + 1).all(|other| other != digest), "{index}");
        }
    }

    #[test]
    fn a_device_is_known_for_ninety_days() {
        let login_time = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
        assert_eq!(known_until(login_time) - login_time, Duration::days(90));
        assert_eq!(known_until(policy::max_time()), policy::max_time());
    }
}
