//! InspectActivationKey: X14.

use super::Vestibule;
use crate::{
    domain::{
        Timestamp,
        activation_key::ActivationKey,
        profile::{KeyRefusal, refuse_key},
        site::SiteId,
    },
    repository::StorageError,
};

/// What Activate would answer for a key.
#[derive(Debug)]
pub struct InspectedKey {
    /// Whether it would succeed, or how it would refuse.
    pub outcome: Result<(), KeyRefusal>,
    /// When the key expires, or expired.
    pub expire_time: Option<Timestamp>,
    /// The site that its user registered on.
    pub site: SiteId,
}

/// Why nothing can be said of a key.
#[derive(Debug, thiserror::Error)]
pub enum InspectActivationKeyError {
    /// The key is malformed or unknown (X11).
    #[error("the activation key is unknown")]
    UnknownKey,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Says what Activate would answer, and changes nothing.
    pub async fn inspect_activation_key(&self, key: &str) -> Result<InspectedKey, InspectActivationKeyError> {
        let digest = ActivationKey::parse(key).ok_or(InspectActivationKeyError::UnknownKey)?.digest();
        let status = self.repository.find_key(&digest).await?.ok_or(InspectActivationKeyError::UnknownKey)?;
        Ok(InspectedKey {
            outcome: refuse_key(&status.user, status.email_taken, self.clock.now()),
            expire_time: status.user.profile.map(|profile| profile.expire_time),
            site: status.user.site,
        })
    }
}
