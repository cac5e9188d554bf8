//! What the log is told of single mails.

use crate::domain::{
    delivery::{Settlement, Unfit, UnfitMail},
    mail::MailId,
};

/// What becomes of a mail that must not be sent. Nothing is wrong with one whose address is suppressed, or that nobody
/// needs, so whoever looks after the service need not be told.
pub(super) fn refuse(mail: &UnfitMail) -> Settlement {
    let id = mail.lease.id;
    match mail.why {
        Unfit::Unreadable(what) => {
            let error = format!("{what} in its row is none that Vestibule writes");
            tracing::error!(mail_id = %id, error, "mail given up");
            Settlement::Discarded { error }
        }
        Unfit::Suppressed => {
            tracing::info!(mail_id = %id, "mail withheld, as its address is suppressed");
            Settlement::Discarded { error: "the address is suppressed".to_owned() }
        }
        Unfit::Pointless => {
            tracing::info!(mail_id = %id, "mail withdrawn, as nobody needs it any more");
            Settlement::Withdrawn
        }
    }
}

/// Tells the log what became of an attempt.
pub(super) fn tell(id: MailId, attempt: u32, settlement: &Settlement) {
    match settlement {
        Settlement::Delivered => tracing::info!(mail_id = %id, attempt, "mail sent"),
        Settlement::Retry { next_attempt_time, error } => {
            tracing::warn!(mail_id = %id, attempt, %next_attempt_time, error, "mail failed for now");
        }
        Settlement::Returned { error, .. } => {
            tracing::warn!(mail_id = %id, error, "mail not sent, as the mail server fails");
        }
        Settlement::Discarded { error } => {
            tracing::error!(mail_id = %id, attempt, error, "mail given up");
        }
        Settlement::Withdrawn => tracing::info!(mail_id = %id, "mail withdrawn"),
    }
}
