//! LiftSuppression: an address gets mail again.

use super::Vestibule;
use crate::{
    domain::{email_address::EmailAddress, suppression::Suppression},
    repository::StorageError,
};

/// Why nothing is lifted.
#[derive(Debug, thiserror::Error)]
pub enum LiftSuppressionError {
    /// The address is not suppressed.
    #[error("the address is not suppressed")]
    SuppressionNotFound,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Lifts the suppression of an address, and returns it as it stood.
    pub async fn lift_suppression(&self, email: &EmailAddress) -> Result<Suppression, LiftSuppressionError> {
        let lifted = self.repository.lift_suppression(email).await?;
        lifted.ok_or(LiftSuppressionError::SuppressionNotFound)
    }
}
