//! ReportBounce: an address whose mail comes back for good gets no more.

use tracing::field::display;

use super::Vestibule;
use crate::{
    domain::{
        email_address::EmailAddress,
        mail::MailId,
        suppression::{BounceReason, Bounced, Suppression},
    },
    repository::{PermanentBounce, StorageError},
};

/// Why nothing follows from a bounce.
#[derive(Debug, thiserror::Error)]
pub enum ReportBounceError {
    /// There is no such mail.
    #[error("there is no such mail")]
    MailNotFound(MailId),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Suppresses the address of a permanent bounce; from a temporary one nothing follows.
    pub async fn report_bounce(
        &self,
        bounced: Bounced,
        permanent: bool,
        reason: BounceReason,
    ) -> Result<Option<Suppression>, ReportBounceError> {
        let (mail_id, email) = match bounced {
            Bounced::Email(email) => (None, email),
            Bounced::Mail(id) => {
                let mail = self.repository.find_mail(id).await?.ok_or(ReportBounceError::MailNotFound(id))?;
                let email = EmailAddress::parse(&mail.recipient)
                    .map_err(|_| StorageError::Corrupt("a mail's recipient"))?;
                (Some(id), email)
            }
        };
        // Neither the address nor what was said of it: a log is no place for who has registered.
        let logged_id = mail_id.map(display);
        if !permanent {
            tracing::info!(mail_id = logged_id, "a mail bounced for now");
            return Ok(None);
        }
        let bounce = PermanentBounce { email, mail_id, reason, now: self.clock.now() };
        let suppression = self.repository.suppress(&bounce).await?;
        tracing::info!(mail_id = logged_id, "a mail bounced for good, and its address is suppressed");
        Ok(Some(suppression))
    }
}
