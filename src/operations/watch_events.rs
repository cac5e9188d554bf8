//! WatchEvents: X20.

use std::future;

use tokio::sync::watch;

use super::{EventPage, ListEventsError, Vestibule};
use crate::domain::event_log::{Position, Start};

/// How many events one look at the log takes.
const BATCH: u32 = 100;

/// A reader that follows the log: wait until it goes on, read what follows, and advance by that.
#[derive(Debug)]
pub struct EventWatch {
    position: Position,
    numbered: watch::Receiver<i64>,
}

impl Vestibule {
    /// A reader that begins at `start`.
    pub async fn watch_events(&self, start: Start) -> Result<EventWatch, ListEventsError> {
        let mut numbered = self.events_numbered.subscribe();
        // The log may hold more than the position.
        numbered.mark_changed();
        let page = self.list_events(start, 0).await?;
        Ok(EventWatch { position: page.position, numbered })
    }

    /// What follows a reader's position.
    pub async fn follow_events(&self, position: Position) -> Result<EventPage, ListEventsError> {
        self.list_events(Start::After(position), BATCH).await
    }
}

impl EventWatch {
    /// Behind what has been read.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns once there may be something to read. Dropped before, it has missed nothing.
    pub async fn wait(&mut self) {
        if self.numbered.changed().await.is_err() {
            // Whoever numbers is gone for good.
            future::pending::<()>().await;
        }
    }

    /// Goes on behind what was read.
    pub fn advance(&mut self, page: &EventPage) {
        self.position = page.position;
        if page.more {
            self.numbered.mark_changed();
        }
    }
}
