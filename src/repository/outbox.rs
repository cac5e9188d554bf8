//! The mails that wait to be sent.

use async_trait::async_trait;
use uuid::Uuid;

use super::StorageError;
use crate::domain::{
    Timestamp,
    mail::{ClaimedMail, MailId, Settlement, SuppressedMail, UnreadableMail},
};

/// Whose end an event tells of, in SQL that both stores understand: mails that carry an activation key, also one whose
/// kind can't be read.
macro_rules! carries_activation_key {
    () => {
        "kind NOT IN ('email_verification', 'primary_email_changed')"
    };
}

pub(super) use carries_activation_key;

/// What a worker has taken a lease on.
#[derive(Debug, Default)]
pub struct Claim {
    /// To be sent, those due longest first.
    pub mails: Vec<ClaimedMail>,
    /// To be settled like any other, so that none of them comes back with every claim.
    pub unreadable: Vec<UnreadableMail>,
    /// To be discarded.
    pub suppressed: Vec<SuppressedMail>,
}

/// The part of a store that hands out mails and remembers what became of them.
#[async_trait]
pub trait Outbox {
    /// Takes a lease until `lease_expire_time` on up to `limit` queued mails that are due and that nobody holds a
    /// live lease on, those due longest first, and counts an attempt on each. No mail is handed out twice
    /// while its lease lives, and none holds up another: a row that can't be read is handed out as such.
    ///
    /// Every mail to an address that is suppressed by then, of whatever kind, is handed out as such, without its text.
    /// This is the one place that keeps mail from such addresses, so that no call can forget it.
    async fn claim_mails(
        &self,
        now: Timestamp,
        lease_expire_time: Timestamp,
        claim_token: Uuid,
        limit: u32,
    ) -> Result<Claim, StorageError>;

    /// Records what became of an attempt. A mail that is done is erased but for its record, and if it carried an
    /// activation key, `activation_mail_sent` or `activation_mail_failed` is appended.
    /// False, and nothing changed, if the lease went to somebody else or the mail is gone.
    async fn settle_mail(
        &self,
        id: MailId,
        claim_token: Uuid,
        settlement: &Settlement,
        now: Timestamp,
    ) -> Result<bool, StorageError>;
}
