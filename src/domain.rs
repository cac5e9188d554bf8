//! Nouns and rules, pure: no I/O, no clock, no chance, nothing async.
//!
//! A type here can only hold what its rule allows, so that the layers above never check twice.

pub mod activation_key;
pub mod bidi;
pub mod email_address;
pub mod email_policy;
pub mod event;
pub mod event_log;
pub mod locale;
pub mod mail;
pub mod page;
pub mod password;
pub mod password_guess;
pub mod password_policy;
pub mod policy;
pub mod profile;
pub mod site;
pub mod unverified;
pub mod user;
pub mod user_email_address;
pub mod username;
pub mod username_policy;

/// An instant in UTC, kept to the microsecond (X21).
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// Why a text was refused, as a sentence that says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    /// Wraps a sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}
