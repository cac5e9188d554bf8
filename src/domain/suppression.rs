//! Mails that come back, and the addresses that get none because of it.

use super::{
    Invalid, Timestamp, email_address::EmailAddress, mail::MailId, masking::mask_keys, page::PageKey,
};

/// The longest reason, in characters.
const MAX_REASON_CHARS: usize = 500;

/// What a mail server said of a mail that came back: one line, without what looks like a key. It may name people, so
/// it is stored and shown, and never logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BounceReason(String);

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bounced {
    /// A mail, to the recipient that it has.
    Mail(MailId),
    /// Some mail to an address.
    Email(EmailAddress),
}

/// An address that gets no mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// The address.
    pub email: String,
    /// Since when it gets none.
    pub create_time: Timestamp,
    /// When the latest permanent bounce was reported.
    pub last_bounce_time: Timestamp,
    /// What was said of the latest; empty if nothing was.
    pub reason: String,
    /// The mail that bounced last, if that is known; it may be gone.
    pub mail_id: Option<MailId>,
}

impl BounceReason {
    /// Accepts at most `MAX_REASON_CHARS` characters in one line, perhaps none, and masks what looks like a key.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = || {
            Invalid::new(format!(
                "must be one line of at most {MAX_REASON_CHARS} characters, without control characters and without \
                 those that turn the direction of others"
            ))
        };
        if text.chars().nth(MAX_REASON_CHARS).is_some() || text.contains(is_no_part_of_a_line) {
            return Err(invalid());
        }
        Ok(Self(mask_keys(text)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a character ends a line, controls a terminal, or has what follows read in another order than it stands.
fn is_no_part_of_a_line(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || turns
}

impl Suppression {
    /// Its place in a list.
    pub fn page_key(&self) -> PageKey {
        PageKey::Email(self.email.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_of_five_hundred_characters() {
        let longest = "\u{e4}".repeat(MAX_REASON_CHARS);
        for text in
            ["", "550 5.1.1 <alice@example.com>: no such mailbox", "\u{5d0} \u{fffd} \u{1f6ab}", &longest]
        {
            assert_eq!(BounceReason::parse(text).unwrap().as_str(), text);
        }
        for text in
            ["a\nb", "a\r\nb", "a\u{0}", "\u{1b}[2J", "a\u{2028}b", "a\u{85}b", "\u{202e}a", "\u{61c}"]
        {
            assert!(BounceReason::parse(text).is_err(), "{text:?}");
        }
        assert!(BounceReason::parse(&format!("{longest}a")).is_err());
    }

    #[test]
    fn x2_a_reason_holds_no_key() {
        let key = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(BounceReason::parse(&format!("550 <{key}> no")).unwrap().as_str(), "550 <***> no");
    }
}
