//! The door that mail leaves by: the [`MailSender`] trait, and its implementations.

pub mod console;
pub mod file;
mod mime;
pub mod smtp;

use async_trait::async_trait;

use crate::domain::{
    Invalid, Timestamp,
    mail::{MailId, MailText},
};

/// Hands mails on, one at a time; the worker decides what follows from a failure.
#[async_trait]
pub trait MailSender: Send + Sync {
    /// Returns when the mail is in somebody else's hands. May be called again for the same mail.
    async fn send(&self, mail: &OutgoingMail<'_>) -> Result<(), SendError>;
}

/// A mail with all that goes into its headers.
#[derive(Debug, Clone, Copy)]
pub struct OutgoingMail<'a> {
    /// Its Message-ID is made from this, so that a second delivery can be recognised.
    pub id: MailId,
    /// Its one recipient.
    pub recipient: &'a str,
    /// When it was queued: its Date.
    pub create_time: Timestamp,
    /// From, subject and body.
    pub text: &'a MailText,
}

/// Why a mail was not taken, without anything of its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Trying again may help.
    #[error("{0}")]
    Transient(String),
    /// Trying again is no use: this mail or this recipient is refused for good.
    #[error("{0}")]
    Permanent(String),
}

/// A From of the settings: one mailbox of RFC 5322, such as `Shop <shop@example.com>`.
pub fn parse_mailbox(text: &str) -> Result<String, Invalid> {
    let invalid = || Invalid::new("must be a mailbox such as Shop <shop@example.com>");
    if text.contains(char::is_control) {
        return Err(invalid());
    }
    text.parse::<lettre::message::Mailbox>().map_err(|_| invalid())?;
    Ok(text.to_owned())
}
