//! Registering, activating, and the keys and profiles in between.

use async_trait::async_trait;

use super::{NewCode, RequestRecord, StorageError};
use crate::domain::{
    Timestamp,
    activation_key::KeyDigest,
    email_address::EmailAddress,
    locale::Locale,
    mail::{MailState, NewMail},
    mail_limit::{MailCounter, MailLimitReached},
    password::PasswordHash,
    profile::KeyRefusal,
    site::SiteId,
    user::{User, UserId},
    username::Username,
};

/// The part of a store that registers and activates.
#[async_trait]
pub trait Registrations {
    /// Creates a pending user, its primary unverified address, its profile and key, queues the mail if there is
    /// one, and appends `user_registered`: all of it, or nothing (R1, R6).
    ///
    /// A pending user who holds the username, whose window is over and who has verified no address, gives way: if the
    /// registration says so, it is deleted in the same transaction, with `user_deleted`. Otherwise, as with any other
    /// holder, there is a refusal (X7). Of concurrent calls with
    /// equal usernames at most one succeeds.
    async fn register(
        &self,
        registration: &NewRegistration,
    ) -> Result<Result<User, RegisterRefusal>, StorageError>;

    /// Makes the key's user active, marks the key's address verified, spends every key of the user, replaces the
    /// password hash if one is given, and appends `user_activated` (R7, R12).
    ///
    /// A refusal changes nothing. Of any number of concurrent calls for one user, or for users who claim the same
    /// address, exactly one succeeds (R12, X8).
    async fn activate(&self, activation: &Activation) -> Result<Result<User, ActivateRefusal>, StorageError>;

    /// The user of a key, and whether another user has verified the key's address; `None` if it is unknown.
    async fn find_key(&self, digest: &KeyDigest) -> Result<Option<KeyStatus>, StorageError>;

    /// Adds a key to a pending user within the window, which does not move, and queues the mail if there is one.
    /// Keys beyond the newest five are deleted (R14, X15).
    async fn issue_key(&self, issue: &KeyIssue) -> Result<Result<User, IssueKeyRefusal>, StorageError>;

    /// Adds a key to each of several users, as `issue_key` does, all in one transaction, and passes over whoever can't
    /// have one (X23). Returns how many got one.
    async fn issue_keys(&self, issues: &KeyIssues) -> Result<Result<u32, IssueKeysRefusal>, StorageError>;

    /// Gives a pending user without a profile one, with its first key, and queues the mail if there is one (R13).
    async fn create_profile(
        &self,
        profile: &NewProfile,
    ) -> Result<Result<User, CreateProfileRefusal>, StorageError>;

    /// Deletes a user's profile with its keys, and returns the user as it stood (R13).
    async fn delete_profile(&self, user_id: UserId) -> Result<Result<User, ProfileRefusal>, StorageError>;

    /// How many activation mails of a user were delivered, and the state of the latest.
    async fn count_activation_mails(&self, user_id: UserId) -> Result<MailCount, StorageError>;
}

/// A registration, complete but for the transaction.
#[derive(Debug, Clone)]
pub struct NewRegistration {
    /// The new user's id.
    pub user_id: UserId,
    /// The username.
    pub username: Username,
    /// The primary address.
    pub email: EmailAddress,
    /// The password's hash, if there is a password.
    pub password_hash: Option<PasswordHash>,
    /// The site registered on.
    pub site: SiteId,
    /// What the user's mails are written in, if it was said.
    pub locale: Option<Locale>,
    /// The first key.
    pub digest: KeyDigest,
    /// The sign-up instant.
    pub now: Timestamp,
    /// When the key expires.
    pub expire_time: Timestamp,
    /// The activation mail, unless the caller delivers the key.
    pub mail: Option<NewMail>,
    /// The code that stands in the mail beside the key.
    pub code: Option<NewCode>,
    /// Whether a holder of the username whose window is over is deleted.
    pub give_way: bool,
    /// What is remembered of the request that it was asked for with.
    pub request: Option<RequestRecord>,
    /// What its mail is counted as.
    pub counters: Vec<MailCounter>,
}

impl NewRegistration {
    /// The user that the registration makes.
    pub fn user(&self) -> User {
        let (site, locale) = (self.site.clone(), self.locale.clone());
        User::registered(self.user_id, &self.username, &self.email, site, locale, self.now, self.expire_time)
    }
}

/// An activation.
#[derive(Debug, Clone)]
pub struct Activation {
    /// Of the key that was shown.
    pub digest: KeyDigest,
    /// Replaces the one given at registration (X9).
    pub password_hash: Option<PasswordHash>,
    /// The present instant.
    pub now: Timestamp,
}

/// A further key for a user.
#[derive(Debug, Clone)]
pub struct KeyIssue {
    /// Whose.
    pub user_id: UserId,
    /// The primary address that the mail was made for; if the user has another one by now, that is a conflict.
    pub email: String,
    /// The key.
    pub digest: KeyDigest,
    /// The mail that carries it, unless the caller delivers it.
    pub mail: Option<NewMail>,
    /// The code that stands in the mail beside the key, and takes the place of the user's former one.
    pub code: Option<NewCode>,
    /// The present instant.
    pub now: Timestamp,
    /// What is remembered of the request that it was asked for with.
    pub request: Option<RequestRecord>,
    /// What its mail is counted as.
    pub counters: Vec<MailCounter>,
}

/// Further keys for the users who claim one address.
#[derive(Debug, Clone)]
pub struct KeyIssues {
    /// The keys, none with a request of its own; whoever's counters are full is passed over.
    pub issues: Vec<KeyIssue>,
    /// What is remembered of the request that they were asked for with.
    pub request: Option<RequestRecord>,
    /// What the asking is counted as, whoever claims the address.
    pub counters: Vec<MailCounter>,
    /// The present instant.
    pub now: Timestamp,
}

/// A profile for a user who has none.
#[derive(Debug, Clone)]
pub struct NewProfile {
    /// Its first key.
    pub issue: KeyIssue,
    /// When the window ends.
    pub expire_time: Timestamp,
}

/// What a known key leads to.
#[derive(Debug, Clone)]
pub struct KeyStatus {
    /// Its user.
    pub user: User,
    /// Whether another user has verified the key's address.
    pub email_taken: bool,
}

/// What was mailed to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailCount {
    /// How many activation mails a mail server took.
    pub delivered: u32,
    /// The state of the latest activation mail.
    pub last_state: Option<MailState>,
}

impl MailCount {
    /// Reads what a store has counted.
    pub(super) fn read(delivered: i64, last_state: Option<&str>) -> Result<Self, StorageError> {
        let state = |name| MailState::from_name(name).ok_or(StorageError::Corrupt("a mail's state"));
        Ok(Self {
            delivered: u32::try_from(delivered).unwrap_or(u32::MAX),
            last_state: last_state.map(state).transpose()?,
        })
    }
}

/// Why nobody was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterRefusal {
    /// Somebody holds an equal username.
    UsernameTaken,
    /// Somebody holds an equal username who would give way.
    UsernameExpired,
    /// Somebody has verified the address.
    EmailTaken,
    /// The request was done before.
    RequestDone,
    /// Too many mails were asked for.
    MailLimit(MailLimitReached),
}

/// Why nobody was activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivateRefusal {
    /// No user has such a key.
    UnknownKey,
    /// The user or the window says no.
    Key(KeyRefusal),
}

/// Why a profile can't be worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileRefusal {
    /// There is no such user.
    UserNotFound,
    /// The user has no profile.
    ProfileNotFound,
}

/// Why no further key was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueKeyRefusal {
    /// There is no such user.
    UserNotFound,
    /// The user has no profile.
    ProfileNotFound,
    /// The user or the window says no.
    Key(KeyRefusal),
    /// The request was done before.
    RequestDone,
    /// Too many mails were asked for.
    MailLimit(MailLimitReached),
}

/// Why no keys were issued, whoever claims the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueKeysRefusal {
    /// The request was done before.
    RequestDone,
    /// Too many mails were asked for.
    MailLimit(MailLimitReached),
}

/// Why no profile was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateProfileRefusal {
    /// There is no such user.
    UserNotFound,
    /// The user is not pending, or another user has verified the address.
    Key(KeyRefusal),
    /// The user has a profile.
    ProfileExists,
    /// The request was done before.
    RequestDone,
    /// Too many mails were asked for.
    MailLimit(MailLimitReached),
}
