//! The bell that tells the workers of all processes on one database that mails were queued.

use async_trait::async_trait;

use super::StorageError;

/// The part of a store that passes rings on. A ring is a hint, on top of looking once in a while.
#[async_trait]
pub trait Bell {
    /// Tells whoever hears the mail bell, also in other processes, that mails were queued. A hint: it may get lost.
    async fn ring_mail_bell(&self) -> Result<(), StorageError>;

    /// Calls `heard` when the bell may have been rung in any process. Never returns but with an error, and never calls
    /// where the store has no such bell.
    async fn hear_mail_bell(&self, heard: &mut (dyn FnMut() + Send)) -> Result<(), StorageError>;
}
