//! The mail bell between servers: there is none, since one process serves an SQLite file. What commands queue beside it
//! is found within a second.

use super::SqliteRepository;
use crate::repository::StorageError;

impl SqliteRepository {
    /// Rings for nobody.
    #[expect(clippy::unused_async, reason = "the twin of a store that has a bell")]
    pub(super) async fn notify(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Hears nothing.
    pub(super) async fn listen(&self, _heard: &mut (dyn FnMut() + Send)) -> Result<(), StorageError> {
        std::future::pending().await
    }
}
