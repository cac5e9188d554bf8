//! CountUnverified: U1 to U3, X19.

use super::{ListUnverifiedError, Vestibule};
use crate::domain::unverified::UnverifiedFilter;

impl Vestibule {
    /// How many users ListUnverified would list for the same filter.
    pub async fn count_unverified(&self, filter: &UnverifiedFilter) -> Result<u64, ListUnverifiedError> {
        self.check_site(filter)?;
        Ok(self.repository.count_unverified(filter, self.clock.now()).await?)
    }
}
