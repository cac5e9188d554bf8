//! ListEmailAddresses: U8.

use super::Vestibule;
use crate::{
    domain::{user::UserId, user_email_address::UserEmailAddress},
    repository::StorageError,
};

/// Why there are no addresses to show.
#[derive(Debug, thiserror::Error)]
pub enum ListEmailAddressesError {
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// A user's addresses, the primary one first.
    pub async fn list_email_addresses(
        &self,
        user_id: UserId,
    ) -> Result<Vec<UserEmailAddress>, ListEmailAddressesError> {
        let addresses = self.repository.list_email_addresses(user_id).await?;
        // Nobody is without one.
        if addresses.is_empty() { Err(ListEmailAddressesError::UserNotFound) } else { Ok(addresses) }
    }
}
