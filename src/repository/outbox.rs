//! The mails that wait to be sent.

use async_trait::async_trait;
use uuid::Uuid;

use super::StorageError;
use crate::domain::{
    Timestamp,
    delivery::{ClaimedMail, MailLease, RestingDomain, Settled, Settlement, Unfit, UnfitMail, WITHDRAWN},
    event::EventKind,
    mail::{MailId, MailState},
};

/// Whose end an event tells of, in SQL that both stores understand: mails that carry an activation key, also one whose
/// kind can't be read.
macro_rules! carries_activation_key {
    () => {
        "kind NOT IN ('email_verification', 'primary_email_changed')"
    };
}

/// Whether nobody needs a mail any more, in SQL that both stores understand: the key in it is dead, its user is past
/// activating, or its address is verified.
macro_rules! is_pointless {
    () => {
        "CASE
            WHEN kind IN ('activation', 'reminder') THEN NOT EXISTS (
                SELECT 1 FROM users
                WHERE users.id = mails.user_id AND users.state = 'PENDING' AND users.profile_issue_time IS NOT NULL
            ) OR mails.key_digest IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM activation_keys WHERE activation_keys.digest = mails.key_digest
            ) OR EXISTS (
                SELECT 1 FROM verified_email_addresses
                WHERE verified_email_addresses.email = mails.recipient
                    AND verified_email_addresses.user_id <> mails.user_id
            )
            WHEN kind = 'email_verification' THEN mails.key_digest IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM verification_keys WHERE verification_keys.digest = mails.key_digest
            ) OR EXISTS (
                SELECT 1 FROM verified_email_addresses WHERE verified_email_addresses.email = mails.recipient
            )
            ELSE false
        END"
    };
}

pub(super) use {carries_activation_key, is_pointless};

/// Which mails a worker asks for, and on what terms.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// What is due by now.
    pub now: Timestamp,
    /// How long the lease lives, unless it is renewed.
    pub lease_expire_time: Timestamp,
    /// New for each claim.
    pub claim_token: Uuid,
    /// How many mails are looked at.
    pub limit: u32,
    /// Whose mails are put off instead.
    pub resting: Vec<RestingDomain>,
}

/// What a worker has taken a lease on.
#[derive(Debug, Default)]
pub struct Claim {
    /// To be sent, those due longest first.
    pub mails: Vec<ClaimedMail>,
    /// To be settled like any other, so that none of them comes back with every claim.
    pub unfit: Vec<UnfitMail>,
    /// How many were put off, since their domain rests.
    pub put_off: usize,
}

/// A row that a claim has found.
pub(super) struct Found {
    pub lease: MailLease,
    pub put_off: bool,
    pub pointless: bool,
    pub suppressed: bool,
    /// The mail, and since when it is due.
    pub mail: Result<(Timestamp, ClaimedMail), StorageError>,
}

impl Claim {
    /// Sorts what was found into what may be sent and what not.
    pub(super) fn sort(
        found: impl Iterator<Item = Result<Found, StorageError>>,
    ) -> Result<Self, StorageError> {
        let (mut mails, mut unfit, mut put_off) = (Vec::new(), Vec::new(), 0);
        for found in found {
            let found = found?;
            let why = match found.mail {
                _ if found.put_off => {
                    put_off += 1;
                    continue;
                }
                _ if found.pointless => Unfit::Pointless,
                _ if found.suppressed => Unfit::Suppressed,
                Ok(mail) => {
                    mails.push(mail);
                    continue;
                }
                Err(error) => Unfit::Unreadable(error.corrupt_part()),
            };
            unfit.push(UnfitMail { lease: found.lease, why });
        }
        mails.sort_by_key(|(due, mail)| (*due, mail.id));
        Ok(Self { mails: mails.into_iter().map(|(_, mail)| mail).collect(), unfit, put_off })
    }
}

/// What a settlement writes into a mail's row.
pub(super) struct End<'a> {
    pub state: MailState,
    /// Stays as it is where there is none.
    pub next_attempt_time: Option<Timestamp>,
    /// Whether the attempt that the claim counted is taken back.
    pub uncounted: bool,
    /// The one before stays where there is none.
    pub error: Option<&'a str>,
    /// Appended if the mail carries an activation key.
    pub event: Option<&'static str>,
}

impl<'a> End<'a> {
    pub fn of(settlement: &'a Settlement) -> Self {
        let end = |state, error, event: Option<EventKind>| Self {
            state,
            next_attempt_time: None,
            uncounted: false,
            error,
            event: event.map(EventKind::as_str),
        };
        match settlement {
            Settlement::Delivered => end(MailState::Delivered, None, Some(EventKind::ActivationMailSent)),
            Settlement::Discarded { error } => {
                end(MailState::Discarded, Some(error), Some(EventKind::ActivationMailFailed))
            }
            Settlement::Withdrawn => end(MailState::Discarded, Some(WITHDRAWN), None),
            Settlement::Retry { next_attempt_time, error } => Self {
                next_attempt_time: Some(*next_attempt_time),
                ..end(MailState::Queued, Some(error), None)
            },
            Settlement::Returned { next_attempt_time, error } => Self {
                next_attempt_time: Some(*next_attempt_time),
                uncounted: true,
                ..end(MailState::Queued, error.as_deref(), None)
            },
        }
    }
}

/// The part of a store that hands out mails and remembers what became of them.
#[async_trait]
pub trait Outbox {
    /// Takes a lease on up to `limit` queued mails that are due and that nobody holds a live lease on, those due longest
    /// first, and counts an attempt on each. No mail is handed out twice while its lease lives, and none holds
    /// up another: what can't be read, has a suppressed recipient or is pointless is handed out as such, and the
    /// mails of a domain that rests are not handed out but due again when it has rested.
    async fn claim_mails(&self, request: &ClaimRequest) -> Result<Claim, StorageError>;

    /// Lengthens leases, but for those that went to somebody else, and says which it has lengthened.
    async fn renew_mail_leases(
        &self,
        leases: &[MailLease],
        lease_expire_time: Timestamp,
    ) -> Result<Vec<MailId>, StorageError>;

    /// Records what became of mails, of all of them or, if it fails, of none. A mail that is done is erased but for its
    /// record, and if it carried an activation key, `activation_mail_sent` or `activation_mail_failed` is
    /// appended. Says which it has recorded: not those whose lease went to somebody else or that are gone,
    /// where nothing changes.
    async fn settle_mails(&self, settled: &[Settled], now: Timestamp) -> Result<Vec<MailId>, StorageError>;
}
