//! The short code that an activation mail may carry beside its link, to be typed where the person signed up, and the
//! numbers that bound guesses at it.

use std::fmt;

use chrono::Duration;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Invalid, Timestamp, policy};

/// How long a code lives, unless its key's window ends before.
pub const LIFETIME: Duration = Duration::minutes(15);
/// With how many guesses a code is compared; it is dead after the last.
pub const MAX_TRIES: u32 = 5;
/// With how many codes of one address a guess is compared, those of the newest mails.
pub const MAX_COMPARED: u32 = 20;
/// How many guesses at one address are compared with anything within an hour.
pub const MAX_GUESSES: u32 = 100;
/// What [`MAX_GUESSES`] holds for, from the first of them on.
const GUESS_WINDOW: Duration = Duration::hours(1);
/// The shortest and the longest code.
const DIGITS: std::ops::RangeInclusive<u32> = 6..=8;

/// How many digits codes have: 6 to 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeDigits(u32);

/// 6 to 8 decimal digits; `Debug` never prints them.
#[derive(Debug, Clone)]
pub struct ActivationCode(SecretString);

/// What is stored in a code's place: an argon2id hash whose salt is a secret of the address; `Debug` never prints it.
#[derive(Clone, Copy)]
pub struct CodeHash([u8; 32]);

/// The hour that guesses at an address are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessWindow {
    /// When it ends if it begins now.
    pub expire_time: Timestamp,
    /// An hour that ends later was begun by a clock that was wrong, and another one begins.
    pub latest: Timestamp,
}

impl CodeDigits {
    /// Accepts 6 to 8.
    pub fn new(digits: u32) -> Result<Self, Invalid> {
        let invalid = || Invalid::new(format!("must be {} to {}", DIGITS.start(), DIGITS.end()));
        DIGITS.contains(&digits).then_some(Self(digits)).ok_or_else(invalid)
    }
}

impl ActivationCode {
    /// The code that a random number makes: of so large a number its remainder is as good as even.
    pub fn generate(number: u64, digits: CodeDigits) -> Self {
        let width = usize::try_from(digits.0).unwrap_or_default();
        Self(format!("{:0width$}", number % 10_u64.pow(digits.0)).into())
    }

    /// Accepts 6 to 8 ASCII digits, however many the settings say: a code that was mailed stays one.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let is_long_enough = u32::try_from(text.len()).is_ok_and(|length| DIGITS.contains(&length));
        if is_long_enough && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self(text.to_owned().into()));
        }
        Err(Invalid::new(format!("must be {} to {} digits", DIGITS.start(), DIGITS.end())))
    }

    /// The code itself, for the mail and for hashing.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl CodeHash {
    /// How many bytes it has.
    pub const BYTES: usize = 32;

    /// Wraps what was made or stored.
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The hash's bytes, for storage.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether both are of the same code for the same address, found in the same time wherever they differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).fold(0, |differences, (one, other)| differences | (one ^ other)) == 0
    }
}

impl GuessWindow {
    /// The hour that begins now.
    pub fn at(now: Timestamp) -> Self {
        let expire_time = policy::later(now, GUESS_WINDOW);
        Self { expire_time, latest: policy::later(expire_time, policy::CLOCK_TOLERANCE) }
    }
}

impl fmt::Debug for CodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeHash").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_code_has_as_many_digits_as_it_should_and_is_never_printed() {
        for (number, digits, text) in [
            (0, 6, "000000"),
            (42, 8, "00000042"),
            (1_234_567, 6, "234567"),
            (99_999_999, 8, "99999999"),
            (100_000_000, 8, "00000000"),
            (u64::MAX, 7, "9551615"),
        ] {
            let code = ActivationCode::generate(number, CodeDigits::new(digits).unwrap());
            assert_eq!(code.expose(), text);
            assert!(ActivationCode::parse(text).is_ok());
            assert!(!format!("{code:?}").contains(text), "{code:?}");
        }
        assert!([0, 5, 9, u32::MAX].map(CodeDigits::new).iter().all(Result::is_err));
    }

    #[test]
    fn what_is_not_six_to_eight_ascii_digits_is_no_code() {
        for text in [
            "",
            "12345",
            "123456789",
            " 1234567",
            "123456\n",
            "1234 567",
            "-1234567",
            "1234567a",
            "\u{0661}\u{0662}\u{0663}\u{0664}",
            "\u{ff11}23456",
        ] {
            assert!(ActivationCode::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn hashes_match_only_when_every_byte_does() {
        let hash = CodeHash::new([7; 32]);
        assert!(hash.matches(&CodeHash::new([7; 32])));
        for place in 0..32 {
            let mut bytes = [7; 32];
            bytes[place] = 6;
            assert!(!hash.matches(&CodeHash::new(bytes)), "{place}");
        }
        assert_eq!(format!("{hash:?}"), "CodeHash { .. }");
    }

    #[test]
    fn an_hour_of_guesses_is_known_by_its_end_for_one_that_a_wrong_clock_began() {
        let window = GuessWindow::at(at(0));
        assert_eq!((window.expire_time, window.latest), (at(3600), at(3660)));
        assert_eq!(GuessWindow::at(policy::max_time()).latest, policy::max_time());
    }
}
