//! How many mails were asked for, in a count that outlives the mails, so that no purge and no new registration
//! makes room for more.

use async_trait::async_trait;

use super::StorageError;
use crate::domain::Timestamp;

/// The part of a store that counts mails.
///
/// An act that is given counters adds to them in its own transaction, before it does anything else: if there would be
/// too many of one, it is refused and changes nothing, and if it is refused for anything else, nothing is counted.
/// Reminders are given counters for all of a transaction: as many are queued as may be, and only they are counted.
/// The count of an address is exact. The other two may be exceeded by as many mails as are asked for at the same instant,
/// which are never more than the sessions of all replicas.
#[async_trait]
pub trait MailCounts {
    /// Forgets what was counted in spans that began at `before` or earlier, at most `limit` rows; returns how many. It
    /// waits for nobody who does the same.
    async fn forget_mail_counts(&self, before: Timestamp, limit: u32) -> Result<u32, StorageError>;
}
