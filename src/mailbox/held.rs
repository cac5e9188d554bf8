//! The mails of this process in memory: the newest ones within bounds, numbered in the order in which they came.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

use super::cursor::Cursor;
use crate::{
    domain::{
        Timestamp,
        email_address::EmailAddress,
        mail::{MailId, MailKind, MailText},
    },
    mail::OutgoingMail,
};

/// How many mails are held; the oldest give way.
pub const MAX_MAILS: usize = 1_000;
/// How many bytes of text they may have together.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// How many calls may wait for a mail at once.
const MAX_WAITING: usize = 256;

/// A mail as it was handed on. It has no `Debug`: a key stands in it.
pub struct HeldMail {
    /// Which one of this process, from 1.
    pub number: u64,
    /// The id, which its Message-ID is made from.
    pub id: MailId,
    /// What it is for.
    pub kind: MailKind,
    /// Its one recipient.
    pub recipient: String,
    /// When it was queued.
    pub create_time: Timestamp,
    /// From, subject and bodies.
    pub text: MailText,
    /// The message as it would have gone over the wire.
    pub message: String,
}

/// The mails, and whoever waits for the next.
pub struct HeldMails {
    run: u64,
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    /// By number, the oldest first.
    mails: VecDeque<Arc<HeldMail>>,
    bytes: usize,
    newest: u64,
    /// The newest one that gave way to others.
    gave_way: u64,
    closed: bool,
}

/// What waiting for a mail came to.
pub enum Next {
    /// The oldest one after the cursor.
    Mail(Arc<HeldMail>),
    /// None came in time.
    TimedOut,
    /// Some after the cursor have given way to others, and it may have been among them.
    Missed,
    /// The mailbox stops.
    Closed,
    /// Too many wait already.
    Crowded,
}

/// Mails from the newest on.
pub struct Page {
    /// The mails, the newest first.
    pub mails: Vec<Arc<HeldMail>>,
    /// Whether there are older ones.
    pub more: bool,
}

impl HeldMail {
    fn bytes(&self) -> usize {
        let html = self.text.html().map_or(0, str::len);
        self.message.len() + self.recipient.len() + self.text.subject.len() + self.text.body().len() + html
    }

    fn goes_to(&self, recipient: Option<&EmailAddress>) -> bool {
        recipient.is_none_or(|recipient| self.recipient.eq_ignore_ascii_case(recipient.as_str()))
    }
}

impl State {
    fn find_next(&self, after: u64, recipient: Option<&EmailAddress>) -> Option<&Arc<HeldMail>> {
        let start = self.mails.partition_point(|mail| mail.number <= after);
        self.mails.range(start..).find(|mail| mail.goes_to(recipient))
    }

    fn make_room(&mut self) {
        while self.mails.len() > MAX_MAILS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.mails.pop_front() else { return };
            self.bytes -= oldest.bytes();
            self.gave_way = oldest.number;
        }
    }
}

impl HeldMails {
    /// Holds none; `run` is a number that no other process has.
    pub fn new(run: u64) -> Self {
        Self { run, state: watch::Sender::default() }
    }

    /// Holds a mail, once however often it is sent.
    pub fn hold(&self, mail: &OutgoingMail<'_>, message: String) {
        self.state.send_if_modified(|state| {
            if state.mails.iter().any(|held| held.id == mail.id) {
                return false;
            }
            state.newest += 1;
            let held = HeldMail {
                number: state.newest,
                id: mail.id,
                kind: mail.kind,
                recipient: mail.recipient.to_owned(),
                create_time: mail.create_time,
                text: mail.text.clone(),
                message,
            };
            state.bytes += held.bytes();
            state.mails.push_back(Arc::new(held));
            state.make_room();
            true
        });
    }

    /// Lets go of all of them.
    pub fn empty(&self) {
        self.state.send_modify(|state| {
            state.mails.clear();
            state.bytes = 0;
        });
    }

    /// Ends every wait, those to come included.
    pub fn close(&self) {
        self.state.send_modify(|state| state.closed = true);
    }

    /// Where a mail stands.
    pub fn cursor(&self, mail: &HeldMail) -> Cursor {
        Cursor { run: self.run, number: mail.number }
    }

    /// Where the newest of all mails stands or stood.
    pub fn newest(&self) -> Cursor {
        Cursor { run: self.run, number: self.state.borrow().newest }
    }

    /// The number of a cursor, if this process gave it out.
    pub fn number(&self, cursor: Cursor) -> Option<u64> {
        (cursor.run == self.run && cursor.number <= self.state.borrow().newest).then_some(cursor.number)
    }

    /// The mail of an id.
    pub fn find(&self, id: MailId) -> Option<Arc<HeldMail>> {
        self.state.borrow().mails.iter().find(|mail| mail.id == id).cloned()
    }

    /// At most `limit` mails older than `before`, the newest first.
    pub fn list(&self, before: Option<u64>, recipient: Option<&EmailAddress>, limit: usize) -> Page {
        let state = self.state.borrow();
        let end = before
            .map_or(state.mails.len(), |before| state.mails.partition_point(|mail| mail.number < before));
        let mut older = state.mails.range(..end).rev().filter(|mail| mail.goes_to(recipient));
        let mails = older.by_ref().take(limit).cloned().collect();
        Page { mails, more: older.next().is_some() }
    }

    /// Waits up to `span` for the oldest mail that came after the one numbered `after`; without it, for any that is held.
    pub async fn wait_for_next(
        &self,
        after: Option<u64>,
        recipient: Option<&EmailAddress>,
        span: Duration,
    ) -> Next {
        let mut changes = self.state.subscribe();
        if self.state.receiver_count() > MAX_WAITING {
            return Next::Crowded;
        }
        // What was looked at and gave way later was not missed.
        let mut looked_at = after.unwrap_or_else(|| changes.borrow().gave_way);
        let mut ended = |state: &State| {
            let ended =
                state.closed || state.gave_way > looked_at || state.find_next(looked_at, recipient).is_some();
            if !ended {
                looked_at = state.newest;
            }
            ended
        };
        let waited = timeout(span, changes.wait_for(&mut ended)).await;
        match waited {
            Err(_) => Next::TimedOut,
            Ok(Err(_)) => Next::Closed,
            Ok(Ok(state)) if state.closed => Next::Closed,
            Ok(Ok(state)) if state.gave_way > looked_at => Next::Missed,
            Ok(Ok(state)) => {
                state.find_next(looked_at, recipient).cloned().map_or(Next::TimedOut, Next::Mail)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use secrecy::SecretString;
    use uuid::Uuid;

    use super::*;

    /// Longer than anything that a test waits for.
    const PATIENCE: Duration = Duration::from_mins(1);

    fn hold(mails: &HeldMails, id: usize, recipient: &str, message: String) {
        let text = MailText {
            from: "shop@example.com".into(),
            subject: "s".into(),
            body: SecretString::from("b"),
            html: None,
        };
        let mail = OutgoingMail {
            id: MailId(Uuid::from_u128(id.try_into().unwrap())),
            kind: MailKind::Activation,
            recipient,
            create_time: Timestamp::default(),
            text: &text,
        };
        mails.hold(&mail, message);
    }

    fn held(mails: &HeldMails) -> Vec<u64> {
        mails.list(None, None, usize::MAX).mails.iter().map(|mail| mail.number).collect()
    }

    async fn next(mails: &HeldMails, after: Option<u64>) -> Result<u64, &'static str> {
        match mails.wait_for_next(after, None, Duration::ZERO).await {
            Next::Mail(mail) => Ok(mail.number),
            Next::TimedOut => Err("timed out"),
            Next::Missed => Err("missed"),
            Next::Closed => Err("closed"),
            Next::Crowded => Err("crowded"),
        }
    }

    #[tokio::test]
    async fn the_oldest_give_way_to_the_thousand_newest() {
        let mails = HeldMails::new(1);
        for id in 1..=MAX_MAILS + 2 {
            hold(&mails, id, "alice@example.com", String::new());
        }
        let held = held(&mails);
        assert_eq!((held.len(), held.first(), held.last()), (MAX_MAILS, Some(&1_002), Some(&3)));
        assert_eq!(next(&mails, None).await, Ok(3), "what is held is all there is");
        assert_eq!(next(&mails, Some(2)).await, Ok(3));
        assert_eq!(next(&mails, Some(1)).await, Err("missed"), "the second was after it");
    }

    #[test]
    fn all_together_have_no_more_bytes_than_are_allowed() {
        let mails = HeldMails::new(1);
        let bytes = |mails: &HeldMails| mails.state.borrow().bytes;
        for id in 1..=5 {
            hold(&mails, id, "alice@example.com", "x".repeat(MAX_BYTES / 4));
            assert!(bytes(&mails) <= MAX_BYTES);
        }
        assert_eq!(held(&mails), [5, 4, 3]);
        hold(&mails, 6, "alice@example.com", "x".repeat(MAX_BYTES));
        assert_eq!(
            (held(&mails), bytes(&mails)),
            (vec![], 0),
            "one that is too long for all the room is not held"
        );
        hold(&mails, 7, "alice@example.com", String::new());
        mails.empty();
        assert_eq!((held(&mails), bytes(&mails)), (vec![], 0));
    }

    #[tokio::test]
    async fn a_mail_that_is_sent_again_is_held_once() {
        let mails = HeldMails::new(1);
        hold(&mails, 1, "alice@example.com", "first".into());
        hold(&mails, 1, "alice@example.com", "second".into());
        assert_eq!((held(&mails), next(&mails, Some(1)).await), (vec![1], Err("timed out")));
    }

    #[tokio::test]
    async fn mails_to_others_that_came_and_gave_way_during_a_wait_were_not_missed() {
        let mails = HeldMails::new(1);
        let alice = EmailAddress::parse("alice@example.com").unwrap();
        let waiting = mails.wait_for_next(Some(0), Some(&alice), PATIENCE);
        let sending = async {
            for id in 1..=MAX_MAILS * 2 {
                hold(&mails, id, "bob@example.com", String::new());
                tokio::task::yield_now().await;
            }
            hold(&mails, 0, "alice@example.com", String::new());
        };
        let (next, ()) = tokio::join!(waiting, sending);
        assert!(matches!(next, Next::Mail(mail) if mail.recipient == "alice@example.com"));
    }

    #[tokio::test]
    async fn a_wait_ends_when_the_mailbox_is_closed_and_none_begins_afterwards() {
        let mails = HeldMails::new(1);
        let (ended, ()) = tokio::join!(mails.wait_for_next(None, None, PATIENCE), async { mails.close() });
        assert!(matches!(ended, Next::Closed));
        assert_eq!(next(&mails, None).await, Err("closed"));
    }

    #[tokio::test]
    async fn only_so_many_wait_at_once() {
        let mails = HeldMails::new(1);
        let mut waiting: Vec<_> =
            (0..MAX_WAITING).map(|_| Box::pin(mails.wait_for_next(None, None, PATIENCE))).collect();
        let mut context = Context::from_waker(Waker::noop());
        for wait in &mut waiting {
            assert!(wait.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(next(&mails, None).await, Err("crowded"));
        waiting.pop();
        assert_eq!(next(&mails, None).await, Err("timed out"));
    }
}
