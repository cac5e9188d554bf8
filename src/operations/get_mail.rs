//! GetMail: a mail and what became of it.

use super::Vestibule;
use crate::{
    domain::mail::{Mail, MailId},
    repository::StorageError,
};

/// Why there is no mail to show.
#[derive(Debug, thiserror::Error)]
pub enum GetMailError {
    /// There is no such mail.
    #[error("there is no such mail")]
    MailNotFound,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// The mail of that id.
    pub async fn get_mail(&self, id: MailId) -> Result<Mail, GetMailError> {
        self.repository.find_mail(id).await?.ok_or(GetMailError::MailNotFound)
    }
}
