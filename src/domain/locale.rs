//! The language that somebody is written to in: a language tag of BCP 47.

use std::{collections::BTreeSet, fmt};

use super::Invalid;

/// The longest tag, in bytes: RFC 5646 asks for room for 35.
const MAX_BYTES: usize = 35;
/// The scripts in use that run from right to left, and …
const RIGHT_TO_LEFT_SCRIPTS: [&str; 8] = ["Adlm", "Arab", "Hebr", "Mand", "Nkoo", "Rohg", "Syrc", "Thaa"];
/// … the languages that are mostly written in one of them.
const RIGHT_TO_LEFT_LANGUAGES: [&str; 11] =
    ["ar", "ckb", "dv", "fa", "he", "ks", "ps", "sd", "ug", "ur", "yi"];

/// A well-formed language tag in its canonical case, such as `de-AT` or `zh-Hant` (RFC 5646, 2.1.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locale(String);

/// What is left of a tag that is being read.
struct Subtags<'a> {
    rest: &'a [&'a str],
    read: Vec<String>,
}

impl Locale {
    /// Accepts a tag in any case: a language with script, region, variants, extensions and private use, if any.
    ///
    /// A tag of private use alone and the irregular tags of old are refused: nobody has templates for them.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = || {
            Invalid::new(format!(
                "must be a language tag of BCP 47, such as en or de-AT, of at most {MAX_BYTES} bytes"
            ))
        };
        if text.len() > MAX_BYTES {
            return Err(invalid());
        }
        let subtags: Vec<_> = text.split('-').collect();
        let is_subtag = |subtag: &&str| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        if !subtags.iter().all(is_subtag) {
            return Err(invalid());
        }
        Subtags { rest: &subtags, read: Vec::new() }
            .read()
            .map(|read| Self(read.join("-")))
            .ok_or_else(invalid)
    }

    /// The English that the embedded templates without a tag are written in.
    pub fn english() -> Self {
        Self("en".to_owned())
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag, and what it is cut down to from the end, as RFC 4647 looks up: `de-AT`, then `de`.
    pub fn fallbacks(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |tag| {
            let (cut, _) = tag.rsplit_once('-')?;
            // What is a single letter only opens what was cut off.
            match cut.rsplit_once('-') {
                Some((before, opens)) if opens.len() == 1 => Some(before),
                Some(_) | None => Some(cut),
            }
        })
    }

    /// Whether its script, or else the one that its language is mostly written in, runs from right to left.
    pub fn is_right_to_left(&self) -> bool {
        // What follows a single letter has a meaning of its own.
        let mut subtags = self.0.split('-').take_while(|subtag| subtag.len() > 1);
        let language = subtags.next().unwrap_or_default();
        match subtags.find(|subtag| subtag.len() == 4 && is_alphabetic(subtag)) {
            Some(script) => RIGHT_TO_LEFT_SCRIPTS.contains(&script),
            None => RIGHT_TO_LEFT_LANGUAGES.contains(&language),
        }
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Subtags<'_> {
    /// All of them in their canonical case, or nothing if they are no tag.
    fn read(mut self) -> Option<Vec<String>> {
        if !self.take(|language| language.len() >= 2 && is_alphabetic(language), str::to_ascii_lowercase) {
            return None;
        }
        let short = self.read.first().is_some_and(|language| language.len() <= 3);
        for _ in 0..if short { 3 } else { 0 } {
            self.take(|extended| extended.len() == 3 && is_alphabetic(extended), str::to_ascii_lowercase);
        }
        self.take(|script| script.len() == 4 && is_alphabetic(script), title_case);
        self.take(
            |region| {
                region.len() == 2 && is_alphabetic(region)
                    || region.len() == 3 && region.bytes().all(|b| b.is_ascii_digit())
            },
            str::to_ascii_uppercase,
        );
        let start = self.read.len();
        while self.take(is_variant, str::to_ascii_lowercase) {}
        let variants = self.read.get(start..).unwrap_or_default();
        if variants.iter().collect::<BTreeSet<_>>().len() != variants.len() {
            return None;
        }
        let mut opened = BTreeSet::new();
        while self.take(|singleton| singleton.len() == 1, str::to_ascii_lowercase) {
            let singleton = self.read.last().cloned().unwrap_or_default();
            let shortest = if singleton == "x" { 1 } else { 2 };
            let start = self.read.len();
            while self.take(|subtag| subtag.len() >= shortest, str::to_ascii_lowercase) {}
            if self.read.len() == start || !opened.insert(singleton) {
                return None;
            }
        }
        self.rest.is_empty().then_some(self.read)
    }

    /// Takes the next subtag if it is one of a kind.
    fn take(&mut self, is_one: impl Fn(&str) -> bool, case: impl Fn(&str) -> String) -> bool {
        let Some((next, rest)) = self.rest.split_first().filter(|(next, _)| is_one(next)) else {
            return false;
        };
        self.read.push(case(next));
        self.rest = rest;
        true
    }
}

fn is_alphabetic(subtag: &str) -> bool {
    subtag.bytes().all(|b| b.is_ascii_alphabetic())
}

fn is_variant(subtag: &str) -> bool {
    subtag.len() >= 5 || subtag.len() == 4 && subtag.starts_with(|c: char| c.is_ascii_digit())
}

fn title_case(subtag: &str) -> String {
    let mut lower = subtag.to_ascii_lowercase();
    if let Some(first) = lower.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    lower
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_kept_in_its_canonical_case() {
        for (text, tag) in [
            ("en", "en"),
            ("DE-at", "de-AT"),
            ("ZH-hANT-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("sl-ROZAJ-biske-1994", "sl-rozaj-biske-1994"),
            ("zh-CMN-hans-cn", "zh-cmn-Hans-CN"),
            ("de-CH-1901-X-Phone", "de-CH-1901-x-phone"),
            ("ar-U-NU-Latn", "ar-u-nu-latn"),
            ("und", "und"),
        ] {
            assert_eq!(Locale::parse(text).unwrap().as_str(), tag);
        }
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        let long = format!("de-{}", "abcdefgh-".repeat(4));
        for text in [
            "",
            "-",
            "d",
            "de-",
            "-de",
            "de--AT",
            "de_AT",
            "de AT",
            " de",
            "de\n",
            "d\u{e9}",
            "12",
            "german-very-odd",
            "languages1",
            "de-AT-DE",
            "de-1901-1901",
            "de-u",
            "de-u-a",
            "de-u-nu-latn-u-co-phonebk",
            "de-x",
            "x-private",
            "i-klingon",
            "../de",
            "de.txt",
            &long,
        ] {
            assert!(Locale::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_tag_is_cut_down_from_its_end() {
        for (text, expected) in [
            ("de", &["de"][..]),
            ("de-AT", &["de-AT", "de"]),
            ("zh-Hant-TW", &["zh-Hant-TW", "zh-Hant", "zh"]),
            ("ar-u-nu-latn", &["ar-u-nu-latn", "ar-u-nu", "ar"]),
        ] {
            let locale = Locale::parse(text).unwrap();
            assert_eq!(locale.fallbacks().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_tag_tells_which_way_it_is_written() {
        for (text, right_to_left) in [
            ("ar", true),
            ("he-IL", true),
            ("az-Arab-IR", true),
            ("ar-Latn", false),
            ("ur-PK-u-nu-latn", true),
            ("en", false),
            ("de-Latn-DE", false),
        ] {
            assert_eq!(Locale::parse(text).unwrap().is_right_to_left(), right_to_left, "{text}");
        }
    }
}
