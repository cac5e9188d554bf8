//! Nouns and rules, pure: no I/O, no clock, no chance, nothing async.
//!
//! A type here can only hold what its rule allows, so that the layers above never check twice.

pub mod activation_code;
pub mod activation_key;
pub mod bidi;
pub mod delivery;
pub mod device;
pub mod email_address;
pub mod email_policy;
pub mod event;
pub mod event_log;
pub mod lease;
pub mod locale;
pub mod mail;
pub mod mail_limit;
pub mod masking;
pub mod page;
pub mod password;
pub mod password_guess;
pub mod password_policy;
pub mod policy;
pub mod profile;
pub mod reminder;
pub mod request;
pub mod site;
pub mod suppression;
pub mod unverified;
pub mod user;
pub mod user_email_address;
pub mod username;
pub mod username_policy;

use uuid::Uuid;

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

/// Accepts a UUID in its form with hyphens.
fn parse_uuid(text: &str) -> Result<Uuid, Invalid> {
    let invalid = || Invalid::new("must be a UUID such as 018f3d5c-7c00-7000-8000-000000000000");
    if text.len() != 36 {
        return Err(invalid());
    }
    Uuid::try_parse(text).map_err(|_| invalid())
}
