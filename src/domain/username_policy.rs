//! What a new username must be beyond the standard: not reserved, and not made to be taken for another.
//!
//! A lookup never asks: a name that was accepted once stays a name. docs/decisions/0006 says why it is so.

use std::collections::BTreeSet;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use unicode_security::{
    GeneralSecurityProfile as _, RestrictionLevel::HighlyRestrictive, RestrictionLevelDetection as _,
    confusable_detection::skeleton,
};

use super::{
    Invalid,
    username::{Username, UsernameKey},
};

/// Letters of living languages that UTS 39 calls confusable with ASCII, and that nobody who writes them mistakes for it.
const LETTERS: [char; 6] = ['æ', 'Æ', 'œ', 'Œ', 'þ', 'Þ'];
/// Combines with an i or a j to what looks like the letter itself.
const DOT_ABOVE: char = '\u{307}';

/// Which usernames nobody can register.
#[derive(Debug, Clone, Default)]
pub struct UsernamePolicy {
    reserved: BTreeSet<UsernameKey>,
    allows_look_alikes: bool,
}

impl UsernamePolicy {
    /// A policy with these reserved names.
    pub fn new(reserved: impl IntoIterator<Item = Username>) -> Self {
        let reserved = reserved.into_iter().map(|name| name.key().clone()).collect();
        Self { reserved, allows_look_alikes: false }
    }

    /// The same policy for a site whose own script has words in letters that look Latin: a name in one script may
    /// read as an ASCII name.
    #[must_use]
    pub fn allow_look_alikes(self) -> Self {
        Self { allows_look_alikes: true, ..self }
    }

    /// Refuses a name that is reserved, mixes what is not written together, or reads as an ASCII name without being one.
    pub fn check(&self, name: &Username) -> Result<(), Invalid> {
        if self.reserved.contains(name.key()) {
            return Err(Invalid::new("must not be a reserved name"));
        }
        let shown = name.as_str();
        if shown.is_ascii() {
            return Ok(());
        }
        if shown.starts_with(is_combining_mark) {
            return Err(Invalid::new("must not begin with a combining mark"));
        }
        if !shown.chars().all(|c| c.is_ascii() || c.identifier_allowed()) {
            return Err(Invalid::new("must be written in characters that UTS 39 recommends for identifiers"));
        }
        let letters: String = shown.chars().filter(|c| !c.is_ascii() || c.is_ascii_alphanumeric()).collect();
        if !letters.check_restriction_level(HighlyRestrictive) || mixes_digits(shown) {
            return Err(Invalid::new(
                "must be written in one script with its digits, or in Latin with Chinese, Japanese or Korean",
            ));
        }
        if self.allows_look_alikes {
            return Ok(());
        }
        if [shown, name.key().as_str()].into_iter().any(reads_as_ascii) || hides_a_dot(shown) {
            return Err(Invalid::new("must not look like another name, in ASCII letters"));
        }
        Ok(())
    }
}

/// UTS 39, 5.3: digits of two systems in one name can be misread.
fn mixes_digits(text: &str) -> bool {
    // Of numbers the class allows decimal digits, whose systems begin at the start of a row of sixteen or in its
    // middle, one in each, and the ideographic zero, which is written with any.
    let rows: BTreeSet<u32> =
        text.chars().filter(|c| c.is_numeric() && *c != '\u{3007}').map(|c| u32::from(c) >> 4).collect();
    rows.len() > 1
}

/// Whether everything in a text that isn't ASCII has a skeleton that is (UTS 39, 4).
fn reads_as_ascii(text: &str) -> bool {
    let foreign: String = text.chars().filter(|c| !c.is_ascii()).collect();
    !foreign.is_empty() && !foreign.contains(LETTERS) && skeleton(&foreign).all(|c| c.is_ascii())
}

/// Whether a dot stands above a letter that has one.
fn hides_a_dot(text: &str) -> bool {
    let mut letter = ' ';
    // Decomposed, so that no other mark stands between a letter and its dot unseen.
    text.nfd().any(|c| {
        if !is_combining_mark(c) {
            letter = c;
        }
        c == DOT_ABOVE && matches!(letter, 'i' | 'j' | 'ı' | 'ȷ')
    })
}
