//! A mail: what it says, and where it stands in the outbox.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    Invalid, Timestamp, activation_key::KeyDigest, email_address::EmailAddress, page::PageKey, parse_uuid,
    user::UserId,
};

/// A mail's id, a UUID of version 7; its Message-ID is made from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailId(pub Uuid);

/// What a mail is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailKind {
    /// Carries an activation key.
    Activation,
    /// Carries a further activation key, with the day on which the registration is deleted (U6).
    Reminder,
    /// Carries a key that verifies an email address (U8).
    EmailVerification,
    /// Tells the old primary email address that it is replaced (U8).
    PrimaryEmailChanged,
}

/// Where a mail stands. Being sent is a lease on a queued mail, not a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailState {
    /// Waits to be sent, or is being sent.
    Queued,
    /// A mail server has taken it.
    Delivered,
    /// Given up.
    Discarded,
}

/// What a mail says. It is the only place where a key stands, so `Debug` never prints it.
#[derive(Debug, Clone)]
pub struct MailText {
    /// The From, a mailbox of RFC 5322.
    pub from: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body: SecretString,
    /// The same in HTML, for readers that show it.
    pub html: Option<SecretString>,
}

/// A mail ready to be queued: its text is sealed already.
#[derive(Debug, Clone)]
pub struct NewMail {
    /// The id.
    pub id: MailId,
    /// What it is for.
    pub kind: MailKind,
    /// The sealed text.
    pub sealed_text: Vec<u8>,
    /// The digest of the key in it, if there is one: without that key the mail is pointless.
    pub key_digest: Option<KeyDigest>,
    /// When it becomes pointless in any case: it is not tried again after that.
    pub expire_time: Timestamp,
}

/// A mail as it is shown; its text never is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The id.
    pub id: MailId,
    /// Whom it concerns.
    pub user_id: UserId,
    /// What it is for.
    pub kind: MailKind,
    /// Where it goes.
    pub recipient: String,
    /// Where it stands.
    pub state: MailState,
    /// How many attempts were begun.
    pub attempt: u32,
    /// When it is tried next; of a finished mail, when it was to be.
    pub next_attempt_time: Timestamp,
    /// What went wrong the last time, free of secrets.
    pub last_error: Option<String>,
    /// When it was queued.
    pub create_time: Timestamp,
    /// When it was delivered or discarded.
    pub finish_time: Option<Timestamp>,
    /// When it becomes pointless.
    pub expire_time: Timestamp,
}

/// Conditions on mails; all must hold.
#[derive(Debug, Clone, Default)]
pub struct MailFilter {
    /// Where the mail stands.
    pub state: Option<MailState>,
    /// Whom it concerns.
    pub user_id: Option<UserId>,
    /// Where it goes.
    pub recipient: Option<EmailAddress>,
}

impl MailId {
    /// Accepts a UUID in its form with hyphens.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        parse_uuid(text).map(Self)
    }
}

impl Mail {
    /// Its place in a list.
    pub fn page_key(&self) -> PageKey {
        PageKey::Created { create_time: self.create_time, id: self.id.0 }
    }
}

impl MailKind {
    /// Every kind.
    pub const ALL: [Self; 4] =
        [Self::Activation, Self::Reminder, Self::EmailVerification, Self::PrimaryEmailChanged];

    /// The kind's name in SQL and logs, and its folder of templates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activation => "activation",
            Self::Reminder => "reminder",
            Self::EmailVerification => "email_verification",
            Self::PrimaryEmailChanged => "primary_email_changed",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl MailState {
    /// The state's name in SQL, the proto (behind its prefix) and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Delivered => "DELIVERED",
            Self::Discarded => "DISCARDED",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Queued, Self::Delivered, Self::Discarded].into_iter().find(|state| state.as_str() == name)
    }
}

/// What a text with HTML begins with. No UTF-8 has it, so a version that knows of no HTML can't read such a text,
/// and leaves it to one that can, instead of sending something else.
const WITH_HTML: u8 = 0xff;

impl MailText {
    /// The plain text as it is sent.
    pub fn body(&self) -> &str {
        self.body.expose_secret()
    }

    /// The HTML as it is sent, if there is any.
    pub fn html(&self) -> Option<&str> {
        self.html.as_ref().map(SecretString::expose_secret)
    }

    /// The text as it is sealed: a line for the From, which is one mailbox, a line for the subject, which is one line
    /// (R5), and the rest; with HTML, a line for the length of the plain text, in bytes, before both.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let (from, subject, body) = (&self.from, &self.subject, self.body());
        Zeroizing::new(match self.html() {
            None => format!("{from}\n{subject}\n{body}").into_bytes(),
            Some(html) => {
                let rest = Zeroizing::new(format!("{from}\n{subject}\n{}\n{body}{html}", body.len()));
                [&[WITH_HTML][..], rest.as_bytes()].concat()
            }
        })
    }

    /// Reads what [`MailText::to_bytes`] wrote; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (has_html, text) = match bytes.split_first() {
            Some((&WITH_HTML, rest)) => (true, rest),
            Some(_) | None => (false, bytes),
        };
        let (from, rest) = str::from_utf8(text).ok()?.split_once('\n')?;
        let (subject, rest) = rest.split_once('\n')?;
        let (body, html) = if has_html {
            let (length, rest) = rest.split_once('\n')?;
            let (body, html) = rest.split_at_checked(length.parse().ok()?)?;
            (body, Some(html))
        } else {
            (rest, None)
        };
        Some(Self {
            from: from.to_owned(),
            subject: subject.to_owned(),
            body: body.to_owned().into(),
            html: html.map(|html| html.to_owned().into()),
        })
    }
}

impl fmt::Display for MailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &str, html: Option<&str>) -> MailText {
        MailText {
            from: "Shop <shop@shop.example>".into(),
            subject: "Grüße".into(),
            body: body.into(),
            html: html.map(Into::into),
        }
    }

    #[test]
    fn a_text_is_read_as_it_was_written() {
        for (body, html) in [
            ("one\ntwo\n", None),
            ("", None),
            ("7\nä", None),
            ("one\ntwo ä\n", Some("<p>ü\n</p>")),
            ("", Some("")),
            ("3\n", Some("3\n")),
        ] {
            let bytes = text(body, html).to_bytes();
            let read = MailText::from_bytes(&bytes).unwrap();
            assert_eq!((read.from.as_str(), read.subject.as_str()), ("Shop <shop@shop.example>", "Grüße"));
            assert_eq!((read.body(), read.html()), (body, html));
        }
    }

    #[test]
    fn a_text_of_before_there_was_html_is_read() {
        let read = MailText::from_bytes("a@example.com\nHello\nthe key\n1\n".as_bytes()).unwrap();
        assert_eq!((read.subject.as_str(), read.body(), read.html()), ("Hello", "the key\n1\n", None));
    }

    #[test]
    fn a_version_that_knows_no_html_takes_it_for_no_text() {
        // It asked for UTF-8 first, and tried again later where there was none.
        assert!(str::from_utf8(&text("b", Some("h")).to_bytes()).is_err());
    }

    #[test]
    fn what_is_no_text_is_not_read() {
        for bytes in [
            &b""[..],
            b"a",
            b"a\nb",
            b"\xff",
            b"\xffa\nb\n",
            b"\xffa\nb\n9\nc",
            b"\xffa\nb\n-1\nc",
            b"a\nb\n\xfe",
        ] {
            assert!(MailText::from_bytes(bytes).is_none(), "{bytes:?}");
        }
        assert!(MailText::from_bytes("\u{ff}".as_bytes()).is_none());
        assert!(MailText::from_bytes([b"\xffa\nb\n1\n", "ä".as_bytes()].concat().as_slice()).is_none());
    }
}
