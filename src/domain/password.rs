//! The rules of a password, and the hash that takes its place.

use precis_core::profile::PrecisFastInvocation as _;
use precis_profiles::OpaqueString;
use secrecy::{ExposeSecret as _, SecretString};

use super::Invalid;

/// The longest password, in bytes of UTF-8.
pub const MAX_BYTES: usize = 1024;

/// A password as RFC 8265 `OpaqueString` normalises it; `Debug` never prints it.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

/// A password's hash as it is stored, ours as a PHC string; `Debug` never prints it.
#[derive(Debug, Clone)]
pub struct PasswordHash(SecretString);

impl Password {
    /// Accepts 1 to [`MAX_BYTES`] bytes that RFC 8265 `OpaqueString` accepts.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::new("must not be empty; leave it out for an account without a password"));
        }
        if text.len() > MAX_BYTES {
            return Err(Invalid::new(format!("must have at most {MAX_BYTES} bytes")));
        }
        let normalised = OpaqueString::enforce(text)
            .ok()
            // What comes out has to conform, too: normalisation can move a mark to where it may not stand.
            .filter(|normalised| OpaqueString::enforce(&**normalised).is_ok_and(|again| again == *normalised))
            .ok_or_else(|| {
                Invalid::new(
                    "must hold no control characters and none that RFC 8265 OpaqueString doesn't know, such as new emoji",
                )
            })?;
        Ok(Self(normalised.into_owned().into()))
    }

    /// The normalised text, for the policy.
    pub(super) fn text(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is hashed.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

impl PasswordHash {
    /// Wraps what is stored.
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// The text that is stored.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_normalised_and_never_printed() {
        let password = Password::parse("caf\u{65}\u{301} \u{3000}!").unwrap();
        assert_eq!(password.expose(), "caf\u{e9}  !".as_bytes());
        assert!(!format!("{password:?}").contains("caf"));
    }

    #[test]
    fn empty_overlong_and_control_characters_are_refused() {
        for text in [String::new(), "a".repeat(MAX_BYTES + 1), "a\u{7}".into(), "a\u{0}".into()] {
            assert!(Password::parse(&text).is_err(), "{text:?}");
        }
        assert!(Password::parse(&"a".repeat(MAX_BYTES)).is_ok());
    }
}
