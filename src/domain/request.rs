//! What a call is known by that may be made again: the caller's own id for it, and a MAC of what it asks (X10).

use chrono::Duration;
use uuid::Uuid;

use super::{Invalid, parse_uuid};

/// How long it is at least remembered that a request was done.
pub const REQUEST_MEMORY: Duration = Duration::hours(24);

/// What a caller calls one thing that it wants done, however often it asks: a UUID of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub Uuid);

/// A request's id in the space of its caller: equal ids of two callers have nothing to do with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// The caller's name; empty for an anonymous one.
    pub caller: String,
    /// The id.
    pub id: RequestId,
}

/// Who makes a call, and what it is known by when it is made again.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// The caller's name; empty for an anonymous one.
    pub caller: String,
    /// The id, if it is to be done once however often it is made.
    pub request_id: Option<RequestId>,
}

/// A MAC under a key that is not in the database: it tells whether two texts are the same, and neither of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac(pub [u8; 32]);

impl Call {
    /// The request's id in the space of its caller.
    pub fn key(&self) -> Option<RequestKey> {
        self.request_id.map(|id| RequestKey { caller: self.caller.clone(), id })
    }
}

impl RequestId {
    /// Accepts a UUID in its form with hyphens.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        parse_uuid(text).map(Self)
    }
}
