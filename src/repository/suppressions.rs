//! The addresses that get no mail, since mail to them has bounced for good.

use async_trait::async_trait;

use super::StorageError;
use crate::domain::{
    Timestamp,
    email_address::EmailAddress,
    mail::MailId,
    page::{Page, PageKey, PageSize},
    suppression::{BounceReason, Suppression},
};

/// The part of a store that keeps the suppressed addresses. What it says of an address it says of exactly this one.
///
/// A suppression outlives the users who claimed the address, and the mails that went there.
#[async_trait]
pub trait Suppressions {
    /// Suppresses an address. One that is suppressed already stays so, since when it was; the rest is as this bounce says.
    async fn suppress(&self, bounce: &PermanentBounce) -> Result<Suppression, StorageError>;

    /// The suppression of that address.
    async fn find_suppression(&self, email: &EmailAddress) -> Result<Option<Suppression>, StorageError>;

    /// A page of the suppressions behind `after`, in the order of the addresses' bytes: of all, or of one address alone.
    ///
    /// Every one that is there all the while is on exactly one page.
    async fn list_suppressions(
        &self,
        email: Option<&EmailAddress>,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<Suppression>, StorageError>;

    /// Deletes the suppression of an address, and returns it as it stood; `None` if there is none.
    async fn lift_suppression(&self, email: &EmailAddress) -> Result<Option<Suppression>, StorageError>;
}

/// A bounce after which no later mail can arrive either.
#[derive(Debug, Clone)]
pub struct PermanentBounce {
    /// Where the mail went.
    pub email: EmailAddress,
    /// Which mail it was, if that is known.
    pub mail_id: Option<MailId>,
    /// What was said of it.
    pub reason: BounceReason,
    /// The instant.
    pub now: Timestamp,
}
