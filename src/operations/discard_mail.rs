//! DiscardMail: a mail that waits is given up.

use super::Vestibule;
use crate::{
    domain::mail::{Mail, MailId},
    repository::{MailRefusal, StorageError},
};

/// Why the mail is not given up.
#[derive(Debug, thiserror::Error)]
pub enum DiscardMailError {
    /// There is no such mail.
    #[error("there is no such mail")]
    MailNotFound,
    /// A mail server has it.
    #[error("the mail was delivered")]
    Delivered,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Gives a queued mail up and erases its text; one that was given up already stays as it is.
    pub async fn discard_mail(&self, id: MailId) -> Result<Mail, DiscardMailError> {
        let discarded = self.repository.discard_mail(id, self.clock.now()).await?;
        discarded.map_err(|refusal| match refusal {
            MailRefusal::MailNotFound => DiscardMailError::MailNotFound,
            MailRefusal::Finished => DiscardMailError::Delivered,
        })
    }
}
