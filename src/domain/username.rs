//! The rules of a username: RFC 8265, and a limit in bytes.

use std::fmt;

use precis_core::profile::PrecisFastInvocation as _;
use precis_profiles::UsernameCaseMapped;
use unicode_normalization::UnicodeNormalization as _;

use super::{Invalid, bidi::keeps_bidi_rule};

/// The longest username, in bytes of UTF-8, before and after normalisation.
pub const MAX_BYTES: usize = 255;

/// A username as its user wrote it, and the key that decides which usernames are equal (X7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username {
    preserved: String,
    key: UsernameKey,
}

/// A username after RFC 8265 `UsernameCaseMapped`: equal keys, equal usernames.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsernameKey(String);

impl Username {
    /// Accepts what RFC 8265 accepts, in at most [`MAX_BYTES`].
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::new("must not be empty"));
        }
        let too_long = |text: &str| text.len() > MAX_BYTES;
        let within = || Invalid::new(format!("must have at most {MAX_BYTES} bytes"));
        if too_long(text) {
            return Err(within());
        }
        if text.contains(char::is_control) {
            return Err(Invalid::new("must hold no control characters"));
        }
        let name = enforce(text).ok_or_else(|| {
            Invalid::new(
                "must be letters, digits and ASCII symbols without spaces, as RFC 8265 UsernameCaseMapped allows",
            )
        })?;
        if too_long(&name.preserved) || too_long(&name.key.0) { Err(within()) } else { Ok(name) }
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

/// Both profiles of RFC 8265, whose rules differ in one: `UsernameCasePreserved` leaves the case alone.
fn enforce(text: &str) -> Option<Username> {
    // Of the crate's steps only this one is the standard's for every text: its case mapping knows no
    // final sigma, and its Bidi Rule no marks inside a word.
    let prepared = UsernameCaseMapped::prepare(text).ok()?;
    let preserved: String = prepared.nfc().collect();
    let key = map_case(&prepared);
    // What comes out has to conform, too: for a few texts normalisation moves a mark to where it may not stand,
    // or lower case is a letter that the class does not know (Cherokee). And what is shown has to find its user.
    let conforms = |text: &String| {
        UsernameCaseMapped::prepare(&**text).is_ok_and(|again| again == **text) && keeps_bidi_rule(text)
    };
    let stable = conforms(&preserved)
        && conforms(&key)
        && preserved.nfc().eq(preserved.chars())
        && map_case(&preserved) == key
        && map_case(&key) == key;
    stable.then_some(Username { preserved, key: UsernameKey(key) })
}

/// Unicode's toLowerCase, which knows a final sigma, and normalisation form C.
fn map_case(text: &str) -> String {
    text.to_lowercase().nfc().collect()
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
    fn capitals_are_the_lower_case_that_people_write() {
        assert_eq!(key("\u{39d}\u{3af}\u{3ba}\u{3bf}\u{3c2}"), key("\u{39d}\u{38a}\u{39a}\u{39f}\u{3a3}"));
        assert_ne!(key("\u{3bd}\u{3af}\u{3ba}\u{3bf}\u{3c2}"), key("\u{3bd}\u{3af}\u{3ba}\u{3bf}\u{3c3}"));
    }

    #[test]
    fn a_name_with_vowel_signs_is_a_name() {
        let muhammad = "\u{645}\u{64f}\u{62d}\u{64e}\u{645}\u{651}\u{64e}\u{62f}";
        assert_eq!(Username::parse(muhammad).unwrap().key().as_str().nfd().count(), 8);
    }

    #[test]
    fn a_letter_whose_lower_case_is_no_letter_of_the_class_is_refused() {
        for cherokee in ["\u{13a0}", "\u{ab70}"] {
            assert!(Username::parse(cherokee).is_err());
        }
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
        let said = |text: &str| Username::parse(text).unwrap_err().0;
        for text in ["a\u{0}b", "a\nb", "\u{7f}", "\u{85}"] {
            assert_eq!(said(text), "must hold no control characters");
        }
        assert!(Username::parse(&"a".repeat(MAX_BYTES)).is_ok());
        assert!(Username::parse(&"a".repeat(MAX_BYTES + 1)).is_err());
    }
}
