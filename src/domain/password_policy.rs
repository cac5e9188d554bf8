//! What a new password must be beyond the standard. A password that is only checked is never held against this.
//!
//! Length and being hard to guess, after NIST SP 800-63B: nothing has to be in a password.

use std::{collections::HashSet, sync::LazyLock};

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::{Invalid, password::Password};

/// The passwords that people choose most; the file says where they come from.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let list = include_str!("common_passwords.txt").split_once("\n\n").map_or("", |(_, list)| list);
    list.lines().collect()
});

/// How long a new password is at least, in code points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordProfile {
    /// 8.
    Default,
    /// 15, as where a password is all that protects an account.
    Strict,
}

/// What a new password must be.
#[derive(Debug, Clone)]
pub struct PasswordPolicy {
    profile: PasswordProfile,
    /// The names and domains of the sites, folded.
    site_words: Vec<String>,
}

impl PasswordProfile {
    fn min_length(self) -> usize {
        match self {
            Self::Default => 8,
            Self::Strict => 15,
        }
    }
}

impl PasswordPolicy {
    /// A policy under which no password is one of `site_words`, the names and domains of the sites.
    pub fn new<'a>(profile: PasswordProfile, site_words: impl IntoIterator<Item = &'a str>) -> Self {
        let site_words = site_words.into_iter().map(|word| fold(word).to_string()).collect();
        Self { profile, site_words }
    }

    /// Whether somebody of that username and email address may have the password. Either may be empty, where it is
    /// not known.
    pub fn check(&self, password: &Password, username: &str, email: &str) -> Result<(), Invalid> {
        let min_length = self.profile.min_length();
        if password.text().chars().count() < min_length {
            return Err(Invalid::new(format!("must have at least {min_length} characters")));
        }
        let password = fold(password.text());
        let mut characters = password.chars();
        let first = characters.next();
        if characters.all(|character| Some(character) == first) {
            return Err(Invalid::new("must not be one character again and again"));
        }
        if COMMON.contains(password.as_str()) {
            return Err(Invalid::new("must not be one of the passwords that people choose most"));
        }
        let local_part = email.split('@').next().unwrap_or_default();
        if [username, email, local_part].into_iter().any(|word| is_made_of(&password, &fold(word))) {
            return Err(Invalid::new(
                "must not be the username or the email address, nor one with digits behind it",
            ));
        }
        if self.site_words.iter().any(|word| is_made_of(&password, word)) {
            return Err(Invalid::new(
                "must not be a name or a domain of the site, nor one with digits behind it",
            ));
        }
        Ok(())
    }
}

/// A text in lower case, without blanks, and in the plain form of its characters (NFKC): `The Shop` is `theshop`, and so
/// is one in full width.
fn fold(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.nfkc().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect())
}

/// Whether a password is a word, or a word with digits behind it.
fn is_made_of(password: &str, word: &str) -> bool {
    !word.is_empty() && password.strip_prefix(word).is_some_and(|rest| rest.chars().all(char::is_numeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(profile: PasswordProfile, text: &str) -> Result<(), Invalid> {
        let policy = PasswordPolicy::new(profile, ["The Shop", "shop.example"]);
        policy.check(&Password::parse(text).unwrap(), "Mirabellina", "max.power@example.com")
    }

    #[test]
    fn a_password_has_eight_code_points_or_fifteen_after_it_was_normalised() {
        for (profile, enough) in [(PasswordProfile::Default, 8), (PasswordProfile::Strict, 15)] {
            for (piece, pieces) in [("x\u{e9}", 2), ("x\u{65}\u{301}", 2), ("\u{1f4a9}x", 2)] {
                let text = |length: usize| piece.repeat(length.div_ceil(pieces));
                let too_short = check(profile, &text((enough - 1) / pieces * pieces));
                assert_eq!(too_short.unwrap_err().0, format!("must have at least {enough} characters"));
                assert_eq!(check(profile, &text(enough)), Ok(()), "{piece}");
            }
        }
    }

    #[test]
    fn passwords_that_people_choose_are_refused_in_any_case() {
        assert!(COMMON.len() >= 3_000, "{}", COMMON.len());
        for common in COMMON.iter() {
            assert!(!common.starts_with('#') && common.len() >= 8, "{common}");
            assert!(check(PasswordProfile::Default, common).is_err(), "{common}");
            assert!(check(PasswordProfile::Default, &common.to_uppercase()).is_err(), "{common}");
        }
        for text in [
            "password",
            "PassWord1",
            "qwertyuiop",
            "12345678",
            "iloveyou",
            " pass word",
            "Password\u{a0}1",
            "\u{ff50}\u{ff41}\u{ff53}\u{ff53}\u{ff57}\u{ff4f}\u{ff52}\u{ff44}",
        ] {
            let refusal = check(PasswordProfile::Default, text).unwrap_err();
            assert_eq!(refusal.0, "must not be one of the passwords that people choose most", "{text}");
        }
    }

    #[test]
    fn one_character_again_and_again_is_no_password() {
        for text in [
            "        ",
            "aaaaaaaa",
            "AaAaAaAa",
            "\u{1f4a9}\u{1f4a9}\u{1f4a9}\u{1f4a9}\u{1f4a9}\u{1f4a9}\u{1f4a9}\u{1f4a9}",
        ] {
            let refusal = check(PasswordProfile::Default, text).unwrap_err();
            assert_eq!(refusal.0, "must not be one character again and again", "{text:?}");
        }
        assert_eq!(check(PasswordProfile::Default, "aaaaaaab"), Ok(()));
    }

    #[test]
    fn names_of_the_user_and_of_the_site_are_no_password() {
        let own = "must not be the username or the email address, nor one with digits behind it";
        let site = "must not be a name or a domain of the site, nor one with digits behind it";
        for (text, refusal) in [
            ("mirabellina", own),
            ("MIRABELLINA", own),
            ("Mirabellina2026", own),
            ("mirabellina\u{662}\u{663}", own),
            ("\u{ff2d}irabellina\u{ff11}", own),
            ("max.power", own),
            ("Max.Power99", own),
            ("Max.Power@Example.com", own),
            ("max.power@example.com1", own),
            ("The Shop 1", site),
            ("theshop12345", site),
            ("Shop.Example", site),
            ("shop.example7", site),
        ] {
            assert_eq!(check(PasswordProfile::Default, text).unwrap_err().0, refusal, "{text}");
        }
        for text in [
            "mirabellina!",
            "2026Mirabellina",
            "max.powers",
            "power@example.com",
            "theshopper",
            "shop.examples",
        ] {
            assert_eq!(check(PasswordProfile::Default, text), Ok(()), "{text}");
        }
        let nobody = PasswordPolicy::new(PasswordProfile::Default, []);
        assert_eq!(nobody.check(&Password::parse("83920475").unwrap(), "", ""), Ok(()));
    }

    #[test]
    fn nothing_has_to_be_in_a_password() {
        for text in ["correct horse", "zzyzxroad", "\u{3c0}\u{3b1}\u{3c0}\u{3b1}\u{3b3}\u{3ac}\u{3bb}\u{3bf}"]
        {
            assert_eq!(check(PasswordProfile::Default, text), Ok(()), "{text}");
        }
    }
}
