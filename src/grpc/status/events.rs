//! EventService's refusals, and the ends of a watch.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::ErrorDetails;

use super::{ErrorReason, RETRY_DELAY, refuse, refuse_with, storage};
use crate::operations::ListEventsError;

/// The refusals of ListEvents and WatchEvents.
pub fn list_events(error: ListEventsError) -> Status {
    match error {
        ListEventsError::Trimmed { oldest } => refuse_with(
            Code::OutOfRange,
            ErrorReason::EventsTrimmed,
            "The event log doesn't hold the position any more, or is another one.",
            ErrorDetails::new(),
            HashMap::from([("oldest".to_owned(), oldest.to_string())]),
        ),
        ListEventsError::Storage(error) => storage(&error),
    }
}

/// Every place for a watch is taken.
pub fn too_many_watches() -> Status {
    refuse(
        Code::ResourceExhausted,
        ErrorReason::Overloaded,
        "Too many watches are open on this server; try another one, or again later.",
        ErrorDetails::with_retry_info(Some(RETRY_DELAY)),
    )
}

/// A watch is cut off whose reader took nothing for too long; it got everything up to `position`.
pub fn slow_reader(position: String) -> Status {
    refuse_with(
        Code::ResourceExhausted,
        ErrorReason::Overloaded,
        "The reader took nothing for too long; watch again from the position.",
        ErrorDetails::with_retry_info(Some(Duration::ZERO)),
        HashMap::from([("position".to_owned(), position)]),
    )
}
