//! What was done for calls that brought a `request_id`, so that each is done once (X10).

use async_trait::async_trait;

use super::{MailCount, StorageError};
use crate::domain::{
    Timestamp,
    request::{Mac, RequestKey},
    site::SiteId,
    user::UserId,
};

/// The part of a store that remembers what was done.
///
/// An act that is given a [`RequestRecord`] inserts it in its own transaction: of any number of concurrent acts with
/// equal keys one is done, the others change nothing and say so, and an act that is refused leaves no record.
#[async_trait]
pub trait Requests {
    /// What was done for the request of that key.
    async fn find_request(&self, key: &RequestKey) -> Result<Option<RequestRecord>, StorageError>;

    /// Remembers what was done for a request by several acts, after the last of them; false, and nothing changes, if the
    /// request was done before.
    async fn remember_request(&self, record: &RequestRecord) -> Result<bool, StorageError>;

    /// Forgets requests that were done at `before` or earlier, at most `limit`, the oldest first; returns how many. It
    /// waits for nobody who does the same.
    async fn forget_requests(&self, before: Timestamp, limit: u32) -> Result<u32, StorageError>;
}

/// What was done for a request: no password, no key, and of its user nothing but the id and times, since it outlives
/// them. All else of the answer stands in the request itself, which is the same if its MAC is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// Which request.
    pub key: RequestKey,
    /// Of the call and everything that it asked for.
    pub fields_mac: Mac,
    /// When it was done.
    pub create_time: Timestamp,
    /// The one user whom the answer is about.
    pub user_id: Option<UserId>,
    /// When what was made expires.
    pub expire_time: Option<Timestamp>,
    /// The site that a request without one meant.
    pub site: Option<SiteId>,
    /// What the answer said of mails.
    pub mails: Option<MailCount>,
    /// What the answer said of reminders.
    pub reminders: Option<RemindCount>,
}

/// What a call came to that reminded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemindCount {
    /// How many users were reminded.
    pub count: u32,
    /// Whether users remained whom another call would remind.
    pub more: bool,
}
