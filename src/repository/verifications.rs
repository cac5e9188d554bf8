//! The keys that verify email addresses.

use async_trait::async_trait;

use super::{RequestRecord, StorageError};
use crate::domain::{
    Timestamp,
    activation_key::KeyDigest,
    email_address::EmailAddress,
    mail::NewMail,
    mail_limit::{MailCounter, MailLimitReached},
    user::UserId,
    user_email_address::{AddressRefusal, UserEmailAddress, VerificationRefusal},
};

/// The part of a store that verifies addresses (U8).
///
/// A key belongs to one user and one address, and is none that activates. It goes when the address goes, is spent
/// when the address is verified, and is dead when the user was disabled since.
#[async_trait]
pub trait Verifications {
    /// Adds a key to an unverified address of a user, with a window of its own, and queues the mail. Keys of the address
    /// beyond the newest five are deleted (X15). Refused are the primary address of a pending user, which activating
    /// verifies, and an address that another user has verified. A refusal changes nothing.
    async fn issue_verification_key(
        &self,
        issue: &VerificationKeyIssue,
    ) -> Result<Result<Vec<UserEmailAddress>, VerificationKeyRefusal>, StorageError>;

    /// Marks the key's address verified, and so spends every key of it, and appends `email_address_verified`. From then
    /// on nobody else can verify it.
    ///
    /// A refusal changes nothing. Of any number of concurrent calls for one address, those that activate a user who
    /// claims it included, exactly one succeeds (X8).
    async fn verify_email_address(
        &self,
        verification: &Verification,
    ) -> Result<Result<VerifiedAddress, VerifyRefusal>, StorageError>;
}

/// A further key for an address.
#[derive(Debug, Clone)]
pub struct VerificationKeyIssue {
    /// Whose.
    pub user_id: UserId,
    /// Which address.
    pub email: EmailAddress,
    /// The key.
    pub digest: KeyDigest,
    /// When it expires.
    pub expire_time: Timestamp,
    /// The mail that carries it to the address.
    pub mail: NewMail,
    /// The present instant.
    pub now: Timestamp,
    /// What is remembered of the request that it was asked for with.
    pub request: Option<RequestRecord>,
    /// What its mail is counted as.
    pub counters: Vec<MailCounter>,
}

/// Why no key was issued, and no address added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerificationKeyRefusal {
    /// The user or the address says no.
    Address(AddressRefusal),
    /// The request was done before.
    RequestDone,
    /// Too many mails were asked for.
    MailLimit(MailLimitReached),
}

impl From<AddressRefusal> for VerificationKeyRefusal {
    fn from(refusal: AddressRefusal) -> Self {
        Self::Address(refusal)
    }
}

/// A verification.
#[derive(Debug, Clone)]
pub struct Verification {
    /// Of the key that was shown.
    pub digest: KeyDigest,
    /// The present instant.
    pub now: Timestamp,
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedAddress {
    /// Whose address it is.
    pub user_id: UserId,
    /// The address.
    pub email: String,
    /// All of the user's addresses.
    pub addresses: Vec<UserEmailAddress>,
}

/// Why no address was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyRefusal {
    /// No address has such a key.
    UnknownKey,
    /// The user, the address or the window says no.
    Key(VerificationRefusal),
}
