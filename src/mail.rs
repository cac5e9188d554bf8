//! The door that mail leaves by: the [`MailSender`] trait, and its implementations.

pub mod console;
#[cfg(feature = "dkim")]
pub mod dkim;
pub mod file;
mod mime;
pub mod smtp;

use std::{fmt, time::Duration};

use async_trait::async_trait;

use crate::domain::{
    Invalid, Timestamp,
    mail::{MailId, MailKind, MailText},
};

/// Hands mails on, one at a time; the worker decides what follows from a failure.
#[async_trait]
pub trait MailSender: Send + Sync {
    /// Returns when the mail is in somebody else's hands. May be called again for the same mail.
    async fn send(&self, mail: &OutgoingMail<'_>) -> Result<(), SendError>;

    /// Lets go of connections that nobody has used for so long; called once in a while, and with nothing at the end.
    async fn close_idle(&self, _idle_for: Duration) {}
}

/// Signs messages before they leave.
pub trait MessageSigner: fmt::Debug + Send + Sync {
    /// The header field that goes before the message, every line of it ended by CRLF. The same for the same message.
    fn header(&self, message: &Unsigned<'_>) -> Result<String, SendError>;
}

/// A message that nobody has signed.
#[derive(Clone, Copy)]
pub struct Unsigned<'a> {
    /// Headers and body, every line ended by CRLF.
    pub text: &'a str,
    /// The domain of its From.
    pub from_domain: &'a str,
    /// Its Date.
    pub date: Timestamp,
}

/// A mail with all that goes into its headers.
#[derive(Debug, Clone, Copy)]
pub struct OutgoingMail<'a> {
    /// Its Message-ID is made from this, so that a second delivery can be recognised.
    pub id: MailId,
    /// What it is for.
    pub kind: MailKind,
    /// Its one recipient.
    pub recipient: &'a str,
    /// When it was queued: its Date.
    pub create_time: Timestamp,
    /// From, subject and bodies.
    pub text: &'a MailText,
}

/// Why a mail was not taken, without anything of its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No mail at all can be sent for now, and this one was not begun.
    #[error("{0}")]
    Unavailable(String),
    /// It was broken off in the middle, by the server or because of this mail.
    #[error("{0}")]
    Interrupted(String),
    /// This mail or this recipient is refused for now.
    #[error("{0}")]
    Transient(String),
    /// Trying again is no use: this mail or this recipient is refused for good.
    #[error("{0}")]
    Permanent(String),
}

/// The message of a mail as it goes over the wire; refused for good where there can be none.
pub fn message(mail: &OutgoingMail<'_>) -> Result<String, SendError> {
    mime::form(mail).map(|message| message.text)
}

/// The domain of a mailbox's address, in lower case.
pub fn mailbox_domain(mailbox: &str) -> Option<String> {
    let mailbox: lettre::message::Mailbox = mailbox.parse().ok()?;
    Some(mailbox.email.domain().to_lowercase())
}

/// A From of the settings: one mailbox of RFC 5322, such as `Shop <shop@example.com>`, its address in ASCII.
pub fn parse_mailbox(text: &str) -> Result<String, Invalid> {
    let invalid = || Invalid::new("must be a mailbox such as Shop <shop@example.com>, the address in ASCII");
    if text.contains(char::is_control) {
        return Err(invalid());
    }
    let mailbox: lettre::message::Mailbox = text.parse().map_err(|_| invalid())?;
    // What a name may be, an address may not: every mail of it would be given up.
    mailbox.email.to_string().is_ascii().then(|| text.to_owned()).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_from_is_one_mailbox_with_an_ascii_address() {
        for good in ["shop@example.com", "Shop <shop@example.com>", "B\u{fc}cher <shop@example.com>"] {
            assert_eq!(parse_mailbox(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "shop",
            "a@example.com, b@example.com",
            "shop@b\u{fc}cher.example",
            "Shop\n <shop@example.com>",
        ] {
            assert!(parse_mailbox(bad).is_err(), "{bad:?}");
        }
    }
}
