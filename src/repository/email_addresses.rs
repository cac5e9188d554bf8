//! The email addresses of users.

use async_trait::async_trait;

use super::{StorageError, VerificationKeyIssue, VerificationKeyRefusal};
use crate::domain::{
    Timestamp,
    email_address::EmailAddress,
    mail::NewMail,
    user::UserId,
    user_email_address::{AddressRefusal, MaxEmailAddresses, UserEmailAddress},
};

/// The part of a store that keeps the addresses of users: exactly one of each is the primary one (U8).
///
/// An act answers with all of the user's addresses as they are after it, in the order of the list. A refusal changes
/// nothing.
#[async_trait]
pub trait EmailAddresses {
    /// A user's addresses, the primary one first, then in the order in which they were added; none if there is no such
    /// user.
    async fn list_email_addresses(&self, user_id: UserId) -> Result<Vec<UserEmailAddress>, StorageError>;

    /// Gives a user a further, unverified address with its first key, and queues the mail. Refused are an address that
    /// the user has, one that another user has verified, and more than one may have.
    async fn add_email_address(
        &self,
        addition: &NewEmailAddress,
    ) -> Result<Result<Vec<UserEmailAddress>, VerificationKeyRefusal>, StorageError>;

    /// Makes a verified address of an active user the primary one, deletes the activation keys of the one that was
    /// (X15), queues the mail that tells it, and appends `primary_email_address_changed`. Nothing changes if it is the
    /// primary one already.
    async fn set_primary_email_address(
        &self,
        change: &PrimaryChange,
    ) -> Result<Result<Vec<UserEmailAddress>, AddressRefusal>, StorageError>;

    /// Removes an address that is not the primary one with every key of it, discards the mails that wait to carry one,
    /// and frees it if it was verified.
    async fn remove_email_address(
        &self,
        removal: &AddressRemoval,
    ) -> Result<Result<Vec<UserEmailAddress>, AddressRefusal>, StorageError>;
}

/// A further address for a user.
#[derive(Debug, Clone)]
pub struct NewEmailAddress {
    /// Whose, which, and its first key.
    pub issue: VerificationKeyIssue,
    /// How many the user may have then.
    pub max: MaxEmailAddresses,
}

/// Another primary address for a user.
#[derive(Debug, Clone)]
pub struct PrimaryChange {
    /// Whose.
    pub user_id: UserId,
    /// Which.
    pub email: EmailAddress,
    /// The primary address that the mail was made for; if the user has another one by now, that is a conflict.
    pub old_email: String,
    /// The mail that tells the old one.
    pub mail: NewMail,
    /// The present instant.
    pub now: Timestamp,
}

/// An address that goes.
#[derive(Debug, Clone)]
pub struct AddressRemoval {
    /// Whose.
    pub user_id: UserId,
    /// Which.
    pub email: EmailAddress,
    /// The present instant.
    pub now: Timestamp,
}
