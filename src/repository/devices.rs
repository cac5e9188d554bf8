//! Devices that users have logged in from, each known for a while.

use async_trait::async_trait;

use super::StorageError;
use crate::domain::Timestamp;

/// The part of a store that knows devices.
///
/// A login makes its device known for the name that it was by, and for as long as that name is the user's; a new password
/// makes all devices of the user strangers again, and so does deleting the user.
/// At most [`MAX_KNOWN`](crate::domain::device::MAX_KNOWN) are known of one user, however many log in at the same time.
#[async_trait]
pub trait Devices {
    /// Forgets devices whose time is over, at most `limit`; returns how many. It waits for nobody who does the same.
    async fn forget_devices(&self, now: Timestamp, limit: u32) -> Result<u32, StorageError>;
}
