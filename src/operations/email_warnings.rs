//! What a caller is told of an address that it registers or adds, though it is accepted.

use super::Vestibule;
use crate::{
    domain::{email_address::EmailAddress, email_policy::Warning},
    repository::StorageError,
};

impl Vestibule {
    /// Whether the address is suppressed, as a warning. It is asked before anything is done, so that a store that fails
    /// fails a call that has done nothing.
    pub(super) async fn email_warnings(&self, email: &EmailAddress) -> Result<Vec<Warning>, StorageError> {
        let suppression = self.repository.find_suppression(email).await?;
        Ok(suppression.map(|_| Warning::EmailAddressSuppressed).into_iter().collect())
    }
}
