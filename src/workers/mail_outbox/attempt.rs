//! One attempt to send one mail, and what follows from it.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::time::timeout;

use crate::{
    clock::{Clock, ClockGuard},
    domain::{
        Timestamp,
        delivery::{ClaimedMail, Settlement, backoff},
        policy,
    },
    mail::{MailSender, OutgoingMail, SendError},
    operations::open_text,
    random::{self, Random},
    sealing::Keyring,
};

/// How much longer than its own timeout a sender gets: cutting off one that is just saying goodbye would send
/// a mail twice that has been taken.
const SENDER_GRACE: Duration = Duration::from_secs(3);

/// How long before its key expires a mail is tried for the last time.
const LAST_CHANCE: TimeDelta = TimeDelta::seconds(1);

/// What sends a mail.
#[derive(Clone)]
pub struct Attempts {
    /// How mails leave.
    pub sender: Arc<dyn MailSender>,
    /// Opens them.
    pub keyring: Arc<Keyring>,
    /// Decides what has expired.
    pub clock: Arc<dyn Clock>,
    /// Whether the time can be trusted.
    pub clock_guard: Arc<ClockGuard>,
    /// Jitter.
    pub random: Arc<dyn Random>,
    /// How long one attempt may take.
    pub timeout: Duration,
}

/// What an attempt says of the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It took part, whatever it said of the mail.
    Answered,
    /// It failed.
    Failed,
    /// It was not asked.
    NotAsked,
}

impl Attempts {
    /// Sends a mail that was claimed, and says what became of it.
    pub(super) async fn attempt(&self, mail: &ClaimedMail) -> (Settlement, Verdict) {
        let now = self.clock.now();
        let expired = self.expire_time(mail, now).is_some_and(|time| policy::is_expired(time, now));
        // With 0 days a key expires as it is issued; its mail is sent once all the same.
        if expired && mail.expire_time > mail.create_time {
            let error = "the key in it has expired".to_owned();
            return (Settlement::Discarded { error }, Verdict::NotAsked);
        }
        // A key that is missing from the keyring can come back, so this is no reason to give up.
        let text = match open_text(&self.keyring, mail.id, &mail.recipient, &mail.sealed_text) {
            Ok(text) => text,
            Err(error) => {
                let error = SendError::Transient(format!("the sealed text can't be opened: {error}"));
                return (self.settle(mail, Err(error)), Verdict::NotAsked);
            }
        };
        let outgoing = OutgoingMail {
            id: mail.id,
            kind: mail.kind,
            recipient: &mail.recipient,
            create_time: mail.create_time,
            text: &text,
        };
        let outcome = timeout(self.timeout + SENDER_GRACE, self.sender.send(&outgoing))
            .await
            .unwrap_or_else(|_| Err(SendError::Interrupted("the attempt took too long".to_owned())));
        let verdict = match &outcome {
            // Broken off from RCPT on: by then the server had let the mail begin, and it may be this recipient's doing.
            // Were it a failure of the server, a few recipients could keep everybody's mail waiting.
            Ok(()) | Err(SendError::Transient(_) | SendError::Permanent(_) | SendError::Interrupted(_)) => {
                Verdict::Answered
            }
            Err(SendError::Unavailable(_)) => Verdict::Failed,
        };
        (self.settle(mail, outcome), verdict)
    }

    fn settle(&self, mail: &ClaimedMail, outcome: Result<(), SendError>) -> Settlement {
        let now = self.clock.now();
        settle(mail, outcome, now, self.expire_time(mail, now), random::number(&*self.random))
    }

    /// When a mail's key expires; never, by a clock that has jumped: a mail that is given up is gone.
    fn expire_time(&self, mail: &ClaimedMail, now: Timestamp) -> Option<Timestamp> {
        let trusted = !policy::is_clock_suspect(now, self.clock_guard.expected());
        trusted.then_some(mail.expire_time)
    }
}

/// What follows from an attempt: what fails for now is tried again until the key expires, and where nothing could be
/// sent at all the attempt doesn't count.
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
        Err(SendError::Unavailable(error)) => {
            Settlement::Returned { next_attempt_time: now, error: Some(error) }
        }
        Err(SendError::Transient(error) | SendError::Interrupted(error)) => {
            let wait = TimeDelta::from_std(backoff(mail.attempt, jitter)).unwrap_or(TimeDelta::MAX);
            let next = now.checked_add_signed(wait);
            // However long the wait, there is an attempt just before the key expires.
            let last = expire_time.map(|expire_time| expire_time - LAST_CHANCE);
            match [next, last].into_iter().flatten().min() {
                Some(next_attempt_time) if last.is_none_or(|last| now < last) => {
                    Settlement::Retry { next_attempt_time, error }
                }
                _ => Settlement::Discarded { error },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

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
        let error = || "451".to_owned();
        let transient = || Err(SendError::Transient(error()));
        let retry = |seconds| Settlement::Retry { next_attempt_time: at(seconds), error: error() };
        let discarded = |error: &str| Settlement::Discarded { error: error.into() };
        let settle = |mail: &ClaimedMail, outcome, now, jitter| {
            super::settle(mail, outcome, now, Some(mail.expire_time), jitter)
        };
        assert_eq!(settle(&mail(1), Ok(()), at(200), 0), Settlement::Delivered);
        assert_eq!(settle(&mail(1), Err(SendError::Permanent("550".into())), at(0), 0), discarded("550"));
        assert_eq!(settle(&mail(1), transient(), at(0), 5_000), retry(5));
        assert_eq!(settle(&mail(2), transient(), at(0), 10_000), retry(10));
        assert_eq!(settle(&mail(2), Err(SendError::Interrupted(error())), at(0), 10_000), retry(10));
        assert_eq!(settle(&mail(1), transient(), at(94), 5_000), retry(99));
        assert_eq!(settle(&mail(1), transient(), at(95), 5_000), retry(99));
        assert_eq!(settle(&mail(9), transient(), at(98), 1_000_000), retry(99));
        assert_eq!(settle(&mail(1), transient(), at(99), 0), discarded("451"));
        assert_eq!(settle(&mail(1), transient(), at(200), 0), discarded("451"));
        assert_eq!(super::settle(&mail(1), transient(), at(200), None, 5_000), retry(205));
        let returned = Settlement::Returned { next_attempt_time: at(94), error: Some(error()) };
        assert_eq!(settle(&mail(9), Err(SendError::Unavailable(error())), at(94), 5_000), returned);
    }
}
