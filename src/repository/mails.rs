//! The mails as an operator looks at them, and what an operator can do about one.

use async_trait::async_trait;

use super::StorageError;
use crate::domain::{
    Timestamp,
    mail::{Mail, MailFilter, MailId},
    page::{Page, PageKey, PageSize},
};

/// The part of a store that shows mails.
#[async_trait]
pub trait Mails {
    /// A page of the mails that the filter selects, behind `after`, in the order (`create_time`, `id`).
    ///
    /// Every such mail that is there all the while is on exactly one page. Conditions that no index serves examine a
    /// bounded number of mails, so that a page may be short and have a next one.
    async fn list_mails(
        &self,
        filter: &MailFilter,
        size: PageSize,
        after: Option<PageKey>,
    ) -> Result<Page<Mail>, StorageError>;

    /// The mail of that id.
    async fn find_mail(&self, id: MailId) -> Result<Option<Mail>, StorageError>;

    /// Makes a queued mail due at `now` at the latest; whoever holds a lease on it keeps it.
    async fn retry_mail(&self, id: MailId, now: Timestamp)
    -> Result<Result<Mail, MailRefusal>, StorageError>;

    /// Discards a queued mail: erases it but for its record, ends the lease on it, so that whoever sends it just now
    /// settles nothing, and appends `activation_mail_failed` if it carries an activation key. One that is discarded
    /// already stays as it is, without an event.
    async fn discard_mail(
        &self,
        id: MailId,
        now: Timestamp,
    ) -> Result<Result<Mail, MailRefusal>, StorageError>;
}

/// Why nothing can be done about a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailRefusal {
    /// There is no such mail.
    MailNotFound,
    /// It is finished, and its text erased.
    Finished,
}
