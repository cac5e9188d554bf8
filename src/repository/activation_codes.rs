//! The codes that activation mails carry beside their links, and the guesses at them.

use async_trait::async_trait;

use super::StorageError;
use crate::domain::{
    Timestamp, activation_code::CodeHash, activation_key::KeyDigest, email_address::EmailAddress,
    request::Mac,
};

/// The part of a store that keeps activation codes.
///
/// A code stands for the key in its mail, and is dead whenever that key is. A user has one at most, that of the newest
/// mail with a code.
#[async_trait]
pub trait ActivationCodes {
    /// Counts a guess at an address, whether anybody claims it or not, and a try at each code that the guess is to be
    /// compared with, and returns these codes.
    ///
    /// They are those of the address that live and have had fewer than
    /// [`MAX_TRIES`](crate::domain::activation_code::MAX_TRIES) tries, the newest
    /// [`MAX_COMPARED`](crate::domain::activation_code::MAX_COMPARED) of them; none once the address has had
    /// [`MAX_GUESSES`](crate::domain::activation_code::MAX_GUESSES) guesses in an hour. It is committed when it returns:
    /// however many guess at once, on however many servers, a code is handed out so many times and no more.
    async fn count_code_guess(
        &self,
        guess: &CodeGuess,
        now: Timestamp,
    ) -> Result<Vec<LiveCode>, StorageError>;

    /// Takes back a guess that was counted and came to nothing for another reason than a wrong code.
    async fn uncount_code_guess(&self, guess: &CodeGuess, codes: &[LiveCode]) -> Result<(), StorageError>;

    /// Forgets codes whose time is over, at most `limit`; returns how many. It waits for nobody who does the same.
    async fn forget_activation_codes(&self, now: Timestamp, limit: u32) -> Result<u32, StorageError>;

    /// Forgets counts of guesses whose hour is over, at most `limit`; returns how many. It waits for nobody who does the
    /// same.
    async fn forget_code_guesses(&self, now: Timestamp, limit: u32) -> Result<u32, StorageError>;
}

/// A code to be stored with the key of its mail.
#[derive(Debug, Clone, Copy)]
pub struct NewCode {
    /// What stands in its place.
    pub hash: CodeHash,
    /// When it expires.
    pub expire_time: Timestamp,
}

/// A guess at the codes of an address.
#[derive(Debug, Clone)]
pub struct CodeGuess {
    /// What guesses at the address are counted by.
    pub counter: Mac,
    /// The address.
    pub email: EmailAddress,
}

/// A code that a guess may be compared with.
#[derive(Debug, Clone, Copy)]
pub struct LiveCode {
    /// The key that it stands for.
    pub key: KeyDigest,
    /// What stands in its place.
    pub hash: CodeHash,
}
