//! Sends the mails that wait: claim what is due, send, settle each alone, sleep until rung or due.

use std::{mem, sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{
    sync::Notify,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    causes::Causes,
    clock::{Clock, ClockGuard},
    domain::{
        Timestamp,
        mail::{ClaimedMail, MailId, Settlement, SuppressedMail, UnreadableMail, backoff},
        policy,
    },
    mail::{MailSender, OutgoingMail, SendError},
    operations::open_text,
    random::{self, Random},
    repository::{Claim, Repository, StorageError},
    sealing::Keyring,
};

/// How many mails are sent at the same time.
const MAX_SENDING: usize = 16;
/// How long a worker sleeps that nobody rings: another replica's mails, and those that are due again.
const POLL: Duration = Duration::from_secs(1);
/// How much longer than its own timeout a sender gets: cutting off one that is just saying goodbye would send
/// a mail twice that has been taken.
const SENDER_GRACE: Duration = Duration::from_secs(3);
/// How much longer than an attempt a lease lives, so that the outcome can be recorded.
const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// How often recording an outcome is tried; past that the lease runs out, and the mail is sent again.
const SETTLE_ATTEMPTS: u32 = 5;
const SETTLE_DELAY: Duration = Duration::from_millis(500);

/// The worker that empties the outbox.
#[derive(Clone)]
pub struct MailOutbox {
    /// Where mails wait.
    pub repository: Arc<dyn Repository>,
    /// How they leave.
    pub sender: Arc<dyn MailSender>,
    /// Opens them.
    pub keyring: Arc<Keyring>,
    /// Decides what is due.
    pub clock: Arc<dyn Clock>,
    /// Whether the time can be trusted.
    pub clock_guard: Arc<ClockGuard>,
    /// Jitter and claim tokens.
    pub random: Arc<dyn Random>,
    /// Rung when a mail was queued.
    pub mail_queued: Arc<Notify>,
    /// How long one attempt may take.
    pub attempt_timeout: Duration,
}

impl MailOutbox {
    /// Sends until it is stopped; what has been claimed by then is sent and settled first.
    pub async fn run(self, stop: CancellationToken) {
        let mut sending = JoinSet::new();
        let mut failing = false;
        while !stop.is_cancelled() {
            // Interest is noted before looking, so that a ring in between is not missed.
            let rung = self.mail_queued.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            match self.claim(MAX_SENDING.saturating_sub(sending.len())).await {
                Ok(claim) => {
                    failing = false;
                    for mail in claim.mails {
                        let outbox = self.clone();
                        sending.spawn(async move { outbox.attempt(mail).await });
                    }
                    for mail in claim.unreadable {
                        let outbox = self.clone();
                        sending.spawn(async move { outbox.give_up(mail).await });
                    }
                    for mail in claim.suppressed {
                        let outbox = self.clone();
                        sending.spawn(async move { outbox.withhold(mail).await });
                    }
                }
                Err(error) => {
                    // Once for each outage, not once a second.
                    if !mem::replace(&mut failing, true) {
                        tracing::warn!(error = %Causes(&error), "the outbox can't be read");
                    }
                }
            }
            // One mail that takes long holds up nobody else: as soon as a place is free, more are claimed.
            let full = sending.len() >= MAX_SENDING;
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = sending.join_next() => {
                    let mut ended = Some(ended);
                    while let Some(outcome) = ended {
                        tell_of_a_panic(outcome);
                        ended = sending.try_join_next();
                    }
                }
                () = rung, if !full => {}
                () = sleep(POLL), if !full => {}
            }
        }
        while let Some(outcome) = sending.join_next().await {
            tell_of_a_panic(outcome);
        }
    }

    /// Takes a lease on up to `limit` mails that are due.
    async fn claim(&self, limit: usize) -> Result<Claim, StorageError> {
        let now = self.clock.now();
        let lease = TimeDelta::from_std(self.attempt_timeout + LEASE_MARGIN).unwrap_or(TimeDelta::MAX);
        let claim_token = random::uuid_v4(&*self.random);
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        self.repository.claim_mails(now, now + lease, claim_token, limit).await
    }

    /// Sends one mail and records what became of it.
    async fn attempt(&self, mail: ClaimedMail) {
        let outcome = self.send(&mail).await;
        let now = self.clock.now();
        let expire_time = self.expire_time(&mail, now);
        let settlement = settle(&mail, outcome, now, expire_time, random::number(&*self.random));
        match &settlement {
            Settlement::Delivered => tracing::info!(mail_id = %mail.id, attempt = mail.attempt, "mail sent"),
            Settlement::Retry { next_attempt_time, error } => {
                tracing::warn!(mail_id = %mail.id, attempt = mail.attempt, %next_attempt_time, error, "mail failed for now");
            }
            Settlement::Discarded { error } => {
                tracing::error!(mail_id = %mail.id, attempt = mail.attempt, error, "mail given up");
            }
        }
        self.record(mail.id, mail.claim_token, &settlement).await;
    }

    /// Discards a mail that can't be read: it would come back with every claim, and never leave.
    async fn give_up(&self, mail: UnreadableMail) {
        let error = format!("{} in its row is none that Vestibule writes", mail.what);
        tracing::error!(mail_id = %mail.id, error, "mail given up");
        self.record(mail.id, mail.claim_token, &Settlement::Discarded { error }).await;
    }

    /// Discards a mail whose recipient is suppressed: nothing is wrong with it, so whoever looks after the service need
    /// not be told.
    async fn withhold(&self, mail: SuppressedMail) {
        tracing::info!(mail_id = %mail.id, "mail withheld, as its address is suppressed");
        let error = "the address is suppressed".to_owned();
        self.record(mail.id, mail.claim_token, &Settlement::Discarded { error }).await;
    }

    async fn record(&self, id: MailId, claim_token: Uuid, settlement: &Settlement) {
        for _ in 0..SETTLE_ATTEMPTS {
            match self.repository.settle_mail(id, claim_token, settlement, self.clock.now()).await {
                Ok(true) => return,
                Ok(false) => {
                    tracing::info!(mail_id = %id, "the mail's user is gone, or its lease is somebody else's");
                    return;
                }
                Err(error) => {
                    tracing::warn!(mail_id = %id, error = %Causes(&error), "a mail's outcome can't be recorded");
                    sleep(SETTLE_DELAY).await;
                }
            }
        }
    }

    /// When a mail's key expires; never, by a clock that has jumped: a mail that is given up is gone.
    fn expire_time(&self, mail: &ClaimedMail, now: Timestamp) -> Option<Timestamp> {
        let trusted = !policy::is_clock_suspect(now, self.clock_guard.expected());
        trusted.then_some(mail.expire_time)
    }

    async fn send(&self, mail: &ClaimedMail) -> Result<(), SendError> {
        let now = self.clock.now();
        let expired = self.expire_time(mail, now).is_some_and(|time| policy::is_expired(time, now));
        // With 0 days a key expires as it is issued; its mail is sent once all the same.
        if expired && mail.expire_time > mail.create_time {
            return Err(SendError::Permanent("the key in it has expired".to_owned()));
        }
        // A key that is missing from the keyring can come back, so this is no reason to give up.
        let text = open_text(&self.keyring, mail.id, &mail.recipient, &mail.sealed_text)
            .map_err(|error| SendError::Transient(format!("the sealed text can't be opened: {error}")))?;
        let outgoing = OutgoingMail {
            id: mail.id,
            kind: mail.kind,
            recipient: &mail.recipient,
            create_time: mail.create_time,
            text: &text,
        };
        timeout(self.attempt_timeout + SENDER_GRACE, self.sender.send(&outgoing))
            .await
            .unwrap_or_else(|_| Err(SendError::Transient("the attempt took too long".to_owned())))
    }
}

/// A mail whose attempt panicked is sent again when its lease is over; the others must not notice.
fn tell_of_a_panic(outcome: Result<(), JoinError>) {
    if let Err(panic) = outcome {
        tracing::error!(error = %panic, "a mail's attempt failed");
    }
}

/// What follows from an attempt: transient failures are tried again until the key expires.
fn settle(
    mail: &ClaimedMail,
    outcome: Result<(), SendError>,
    now: Timestamp,
    expire_time: Option<Timestamp>,
    jitter: u64,
) -> Settlement {
    match outcome {
        Ok(()) => Settlement::Delivered,
        Err(SendError::Permanent(error)) => Settlement::Discarded { error },
        Err(SendError::Transient(error)) => {
            let wait = TimeDelta::from_std(backoff(mail.attempt, jitter)).unwrap_or(TimeDelta::MAX);
            let in_time = |time: &Timestamp| expire_time.is_none_or(|expire_time| *time < expire_time);
            match now.checked_add_signed(wait).filter(in_time) {
                Some(next_attempt_time) => Settlement::Retry { next_attempt_time, error },
                None => Settlement::Discarded { error },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        mail::{MailId, MailKind},
        user::UserId,
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 0).unwrap()
    }

    fn mail(attempt: u32) -> ClaimedMail {
        ClaimedMail {
            id: MailId(Uuid::nil()),
            user_id: UserId(Uuid::nil()),
            kind: MailKind::Activation,
            recipient: "a@example.com".into(),
            sealed_text: Vec::new(),
            attempt,
            claim_token: Uuid::nil(),
            create_time: at(0),
            expire_time: at(100),
        }
    }

    #[test]
    fn what_follows_from_an_attempt() {
        let transient = || Err(SendError::Transient("451".into()));
        let retry = |seconds| Settlement::Retry { next_attempt_time: at(seconds), error: "451".into() };
        let discarded = |error: &str| Settlement::Discarded { error: error.into() };
        let settle = |mail: &ClaimedMail, outcome, now, jitter| {
            super::settle(mail, outcome, now, Some(mail.expire_time), jitter)
        };
        assert_eq!(settle(&mail(1), Ok(()), at(200), 0), Settlement::Delivered);
        assert_eq!(settle(&mail(1), Err(SendError::Permanent("550".into())), at(0), 0), discarded("550"));
        assert_eq!(settle(&mail(1), transient(), at(0), 5_000), retry(5));
        assert_eq!(settle(&mail(2), transient(), at(0), 10_000), retry(10));
        assert_eq!(settle(&mail(1), transient(), at(94), 5_000), retry(99));
        assert_eq!(settle(&mail(1), transient(), at(95), 5_000), discarded("451"));
        assert_eq!(settle(&mail(1), transient(), at(200), 0), discarded("451"));
        assert_eq!(super::settle(&mail(1), transient(), at(200), None, 5_000), retry(205));
    }
}
