//! The [`Repository`] trait: what a store promises. Two stores keep it, as twins.
//!
//! One method is one business act and one transaction, opened and closed inside; it appends the event and
//! queues the mail itself. `now` is always a parameter. Every promise written here and in the parts
//! is a case of the contract suite, which both stores pass.

mod activation_codes;
mod bell;
mod devices;
mod email_addresses;
mod event_log;
mod leases;
mod mail_counts;
mod mails;
mod outbox;
mod passwords;
pub mod postgres;
mod registrations;
mod requests;
mod selections;
pub mod sqlite;
mod suppressions;
mod unverified;
mod users;
mod verifications;

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::Timestamp;

pub use activation_codes::{ActivationCodes, CodeGuess, LiveCode, NewCode};
pub use bell::Bell;
pub use devices::Devices;
pub use email_addresses::{AddressRemoval, EmailAddresses, NewEmailAddress, PrimaryChange};
pub use event_log::{EventBatch, EventLog, Numbered};
pub use leases::{LeaseRequest, Leased, Leases};
pub use mail_counts::MailCounts;
pub use mails::{MailRefusal, Mails};
pub use outbox::{Claim, ClaimRequest, Outbox};
pub use passwords::{CountedGuess, PasswordLogin, Passwords};
pub use registrations::{
    ActivateRefusal, Activation, CreateProfileRefusal, IssueKeyRefusal, IssueKeysRefusal, KeyIssue,
    KeyIssues, KeyStatus, MailCount, NewProfile, NewRegistration, ProfileRefusal, RegisterRefusal,
    Registrations,
};
pub use requests::{RemindCount, RequestRecord, Requests};
pub use selections::{NewReminder, Selections};
pub use suppressions::{PermanentBounce, Suppressions};
pub use unverified::Unverified;
pub use users::{UserRefusal, Users};
pub use verifications::{
    Verification, VerificationKeyIssue, VerificationKeyRefusal, Verifications, VerifiedAddress, VerifyRefusal,
};

/// How long a store may take to say whether it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(3);

/// Everything a store keeps, as a sum of its parts.
#[async_trait]
pub trait Repository:
    Registrations
    + ActivationCodes
    + Requests
    + Unverified
    + Selections
    + Users
    + Passwords
    + Devices
    + EmailAddresses
    + Verifications
    + MailCounts
    + Mails
    + Outbox
    + Bell
    + Suppressions
    + Leases
    + EventLog
    + Send
    + Sync
{
    /// Brings the schema up to date; harmless when it is, and when others do the same.
    async fn migrate(&self) -> Result<(), StorageError>;

    /// Whether every migration of this program is there. A schema that is newer still is ready too, so that an upgrade
    /// can migrate while the old program runs. An error if the store can't be reached or written to; either way
    /// the answer comes within seconds, and however many acts are under way.
    async fn is_ready(&self) -> Result<bool, StorageError>;

    /// What time it is by the store's own clock, if that is another machine's (X22).
    async fn time(&self) -> Result<Option<Timestamp>, StorageError>;

    /// Waits for what is under way and closes every connection.
    async fn close(&self);
}

/// What a driver said; for the log, never for a caller.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong in a store, whatever was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// It can't be reached, or can't be written to, for now.
    #[error("the database is unavailable")]
    Unavailable(#[source] Cause),
    /// Another transaction was in the way; trying again cures it.
    #[error("a concurrent transaction was in the way")]
    Conflict(#[source] Cause),
    /// Anything else the database says.
    #[error("the database refused a statement")]
    Database(#[source] Cause),
    /// A row that no version of this program writes.
    #[error("{0} in the database is none that Vestibule writes")]
    Corrupt(&'static str),
}

impl StorageError {
    /// What in a row that has been fetched is no good.
    fn corrupt_part(&self) -> &'static str {
        match self {
            Self::Corrupt(part) => part,
            Self::Unavailable(_) | Self::Conflict(_) | Self::Database(_) => "a column",
        }
    }
}
