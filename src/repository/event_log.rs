//! The event log: events that acts have appended, as they are read (X20).

use async_trait::async_trait;

use super::StorageError;
use crate::domain::{
    Timestamp,
    event_log::{Event, Extent, LogId},
};

/// What came of numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// The number of the last event of the log; 0 if there was none yet.
    pub last_number: i64,
    /// Whether there may be events left that have no number.
    pub more: bool,
}

/// Events that follow each other, and what the log held when they were read.
#[derive(Debug, Clone)]
pub struct EventBatch {
    /// What the log held.
    pub extent: Extent,
    /// The events, by number.
    pub events: Vec<Event>,
}

/// The part of a store that tells what happened.
///
/// Only events that have a number are read. Numbers are given to committed events in the order of their ids, by one at
/// a time: a number is there for all to see before a higher one is given, so that nothing comes up later below what
/// has been read. A user's events have ids in the order in which they happened, since every act locks the user's row
/// before it appends one; they are numbered in that order, whatever order they were committed in.
#[async_trait]
pub trait EventLog {
    /// Gives a number to each of up to `limit` committed events that have none yet, the lowest ids first, and says that
    /// there may be more until it finds none. It waits for no act and for nobody else who numbers or trims: while
    /// somebody does, it does nothing.
    async fn number_events(&self, limit: u32) -> Result<Numbered, StorageError>;

    /// What the log holds, and of its events up to `limit` with a number above `after`, all as of one instant.
    async fn read_events(&self, after: i64, limit: u32) -> Result<EventBatch, StorageError>;

    /// Deletes up to `limit` events, the oldest by number first, up to the first that happened at `before` or later,
    /// and says how many went. The log remembers how far they went. What has no number stays, and so does everything
    /// while somebody else numbers or trims.
    async fn trim_events(&self, before: Timestamp, limit: u32) -> Result<u32, StorageError>;

    /// Gives the log another id: every position that was given before is another log's from then on. The events and
    /// their numbers stay.
    async fn renew_event_log(&self, log: LogId) -> Result<Extent, StorageError>;
}
