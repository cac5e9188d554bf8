//! RetryMail: a mail that waits is sent now.

use super::Vestibule;
use crate::{
    domain::mail::{Mail, MailId},
    repository::{MailRefusal, StorageError},
};

/// Why the mail is not sent.
#[derive(Debug, thiserror::Error)]
pub enum RetryMailError {
    /// There is no such mail.
    #[error("there is no such mail")]
    MailNotFound,
    /// Its text is erased.
    #[error("the mail is finished, and its text erased")]
    Finished,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Makes a queued mail due, and rings the outbox.
    pub async fn retry_mail(&self, id: MailId) -> Result<Mail, RetryMailError> {
        let retried = self.repository.retry_mail(id, self.clock.now()).await?;
        let mail = retried.map_err(|refusal| match refusal {
            MailRefusal::MailNotFound => RetryMailError::MailNotFound,
            MailRefusal::Finished => RetryMailError::Finished,
        })?;
        self.mail_bell.ring();
        Ok(mail)
    }
}
