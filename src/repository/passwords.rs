//! Passwords: what a guess is held against, and what becomes of it.

use async_trait::async_trait;
use chrono::Duration;

use super::StorageError;
use crate::domain::{
    Timestamp,
    device::DeviceDigest,
    password::PasswordHash,
    password_guess::{Credentials, Guess, GuessDigest},
    user::{User, UserId, UserName},
};

/// The part of a store that keeps passwords and counts guesses at them.
#[async_trait]
pub trait Passwords {
    /// What a guess at that user is held against; by email, only of the user who has verified it (X23).
    async fn find_credentials(&self, name: &UserName) -> Result<Option<Credentials>, StorageError>;

    /// Counts a guess as if it had failed, and then looks up what it is held against, as
    /// [`Passwords::find_credentials`] does; or says how long it has to wait, which changes nothing.
    ///
    /// A guess from a device that is known for the name, and for the user whose it is now, is counted by that device;
    /// every other one by the name, whether anybody has it or not. Of concurrent ones that are counted together, each
    /// sees those before it. The first guess of a count deletes some rows of others whose time is over.
    async fn count_guess(
        &self,
        guess: &Guess,
        now: Timestamp,
    ) -> Result<Result<CountedGuess, Duration>, StorageError>;

    /// Takes back a guess that was counted and could not be checked; the next one need not wait for it.
    async fn uncount_guess(&self, digest: &GuessDigest, now: Timestamp) -> Result<(), StorageError>;

    /// Records a login by password: when it was, unless a later one is known (U7), and a hash that takes the place of
    /// the one that was verified; forgets the failures that were counted together with it, and makes its device known,
    /// without those that it may have had before it was a stranger.
    ///
    /// `None`, and nothing changed, unless the user is active and the verified hash is still the stored one: whatever
    /// commits first wins (X17).
    async fn record_password_login(&self, login: &PasswordLogin) -> Result<Option<User>, StorageError>;

    /// Gives a user a password or replaces it, whatever the user's state, and forgets the user's devices. `None` if there
    /// is no such user.
    async fn set_password(&self, id: UserId, hash: &PasswordHash) -> Result<Option<User>, StorageError>;
}

/// A guess that was counted.
#[derive(Debug, Clone)]
pub struct CountedGuess {
    /// What it was counted by.
    pub digest: GuessDigest,
    /// What it is held against, if there is such a user.
    pub credentials: Option<Credentials>,
}

/// A login by a password that was right.
#[derive(Debug, Clone)]
pub struct PasswordLogin {
    /// Whose.
    pub user_id: UserId,
    /// What the guess was counted by.
    pub digest: GuessDigest,
    /// The device that it came from, which is known from then on.
    pub device: Option<DeviceDigest>,
    /// The hash that the password was held against.
    pub verified_hash: PasswordHash,
    /// Takes its place.
    pub new_hash: Option<PasswordHash>,
    /// The present instant.
    pub now: Timestamp,
}
