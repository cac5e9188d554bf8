//! What went wrong behind a page: the log is told once what it was, and the person what to do.

use std::error::Error;

use crate::{causes::Causes, operations::Unfinished, repository::StorageError, templates::Trouble};

/// There is no outcome; `pressed` says whether a button was pressed.
pub fn unfinished(error: &Unfinished, pressed: bool) -> Trouble {
    match error {
        Unfinished::DeadlinePassed => Trouble::Unavailable { pressed },
        Unfinished::Failed(error) => internal(error),
    }
}

/// The store failed.
pub fn storage(error: &StorageError, pressed: bool) -> Trouble {
    match error {
        StorageError::Unavailable(_) => {
            tracing::warn!(error = %Causes(error), "database unavailable");
            Trouble::Unavailable { pressed }
        }
        StorageError::Conflict(_) => Trouble::Unavailable { pressed },
        StorageError::Database(_) | StorageError::Corrupt(_) => internal(error),
    }
}

/// A fault of ours, under the id that the page shows.
pub fn internal(error: &(dyn Error + 'static)) -> Trouble {
    tracing::error!(error = %Causes(error), "internal error");
    Trouble::Failed
}
