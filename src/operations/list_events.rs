//! ListEvents: X20.

use super::Vestibule;
use crate::{
    domain::event_log::{Event, Position, Start},
    repository::StorageError,
};

/// Events that follow each other.
#[derive(Debug, Clone)]
pub struct EventPage {
    /// The events, in order.
    pub events: Vec<Event>,
    /// Behind the last of them: what follows is read from here.
    pub position: Position,
    /// Whether more events followed when these were read.
    pub more: bool,
}

/// Why there are no events to show.
#[derive(Debug, thiserror::Error)]
pub enum ListEventsError {
    /// The log doesn't hold the position: it was trimmed away, is another log's, or lies beyond the end.
    #[error("the event log doesn't hold that position; the oldest that it holds is {oldest}")]
    Trimmed {
        /// Where its oldest event follows.
        oldest: Position,
    },
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Up to `limit` events from `start` on.
    pub async fn list_events(&self, start: Start, limit: u32) -> Result<EventPage, ListEventsError> {
        let after = match start {
            Start::Oldest => 0,
            Start::After(position) => position.number,
            Start::End => i64::MAX,
        };
        let batch = self.repository.read_events(after, limit).await?;
        let Some(start) = batch.extent.find(start) else {
            return Err(ListEventsError::Trimmed { oldest: batch.extent.oldest() });
        };
        let number = batch.events.last().map_or(start.number, |event| event.number);
        Ok(EventPage {
            events: batch.events,
            position: Position { number, ..start },
            more: number < batch.extent.last_number,
        })
    }
}
