//! The rules of a username: RFC 8265, and a limit in bytes.

use std::fmt;

use precis_core::profile::PrecisFastInvocation as _;
use precis_profiles::{UsernameCaseMapped, UsernameCasePreserved};

use super::Invalid;

/// The longest username, in bytes of UTF-8, before and after normalisation.
pub const MAX_BYTES: usize = 255;

/// A username as its user wrote it, and the key that decides which usernames are equal (X7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username {
    preserved: String,
    key: UsernameKey,
}

/// A username after RFC 8265 `UsernameCaseMapped`: equal keys, equal usernames.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsernameKey(String);

impl Username {
    /// Accepts what RFC 8265 accepts, in at most [`MAX_BYTES`].
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::new("must not be empty"));
        }
        let invalid = || {
            Invalid::new(
                "must be letters, digits and ASCII symbols without spaces, as RFC 8265 UsernameCaseMapped allows",
            )
        };
        let within = |text: String| {
            if text.len() > MAX_BYTES {
                return Err(Invalid::new(format!("must have at most {MAX_BYTES} bytes")));
            }
            Ok(text)
        };
        let text = within(text.to_owned())?;
        let preserved = UsernameCasePreserved::enforce(&*text).map_err(|_| invalid())?;
        let key = UsernameCaseMapped::enforce(&*text).map_err(|_| invalid())?;
        // What is shown must be a name that finds its user; for a few texts the profiles are not stable.
        let stable = UsernameCasePreserved::enforce(&*preserved).is_ok_and(|again| again == preserved)
            && UsernameCaseMapped::enforce(&*preserved).is_ok_and(|again| again == key)
            && UsernameCaseMapped::enforce(&*key).is_ok_and(|again| again == key);
        if !stable {
            return Err(invalid());
        }
        Ok(Self { preserved: within(preserved.into_owned())?, key: UsernameKey(within(key.into_owned())?) })
    }

    /// The form that is shown: RFC 8265 `UsernameCasePreserved`.
    pub fn as_str(&self) -> &str {
        &self.preserved
    }

    /// The form that is compared.
    pub fn key(&self) -> &UsernameKey {
        &self.key
    }
}

impl UsernameKey {
    /// The key as text, for storage.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.preserved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> String {
        Username::parse(text).unwrap().key().as_str().to_owned()
    }

    #[test]
    fn x7_case_and_width_make_no_difference() {
        for spelling in ["alice", "Alice", "ALICE", "ａｌｉｃｅ", "Ａlice"] {
            assert_eq!(key(spelling), "alice");
        }
        assert_ne!(key("mıke"), key("mike"));
    }

    #[test]
    fn a_username_keeps_its_case_when_shown() {
        assert_eq!(Username::parse("Alice").unwrap().as_str(), "Alice");
        assert_eq!(Username::parse("Ａlice").unwrap().as_str(), "Alice");
    }

    #[test]
    fn a_name_whose_shown_form_would_not_find_it_is_refused() {
        assert!(Username::parse("\u{597}\u{94d}\u{200c}L").is_err());
    }

    #[test]
    fn what_rfc_8265_refuses_is_refused() {
        for text in [
            "",
            " ",
            "foo bar",
            "a\u{0}b",
            "a\nb",
            "henri\u{2163}",
            "\u{221E}",
            "\u{202E}abc",
            "\u{212A}elvin",
        ] {
            assert!(Username::parse(text).is_err(), "{text:?}");
        }
        assert!(Username::parse(&"a".repeat(MAX_BYTES)).is_ok());
        assert!(Username::parse(&"a".repeat(MAX_BYTES + 1)).is_err());
    }
}
