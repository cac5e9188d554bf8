//! The mails that a worker holds leases on: those that are being sent, and a few more that wait for a place.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::{task, time::Instant};

use super::domains::Domains;
use crate::domain::delivery::{ClaimedMail, MailLease};

/// How long after its lease was asked for a mail may still begin: its lease must not end before the next renewal.
const HELD: Duration = Duration::from_secs(18);

/// What is in hand.
pub(super) struct Hand {
    places: usize,
    waiting: VecDeque<Waiting>,
    sending: HashMap<task::Id, Sending>,
    domains: Domains,
}

struct Waiting {
    mail: ClaimedMail,
    held_until: Instant,
}

struct Sending {
    lease: MailLease,
    domain: String,
}

impl Hand {
    pub fn new(places: usize) -> Self {
        Self { places, waiting: VecDeque::new(), sending: HashMap::new(), domains: Domains::new(places) }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sending.is_empty()
    }

    /// How many mails are being sent.
    pub fn sending(&self) -> i64 {
        i64::try_from(self.sending.len()).unwrap_or(i64::MAX)
    }

    /// How many more mails are wanted: none while there are enough to fill the places once more.
    pub fn appetite(&self) -> usize {
        if self.waiting.len() < self.places { 2 * self.places - self.waiting.len() } else { 0 }
    }

    /// Takes in mails whose leases were asked for at an instant.
    pub fn add(&mut self, mails: Vec<ClaimedMail>, asked: Instant) {
        let held_until = asked + HELD;
        self.waiting.extend(mails.into_iter().map(|mail| Waiting { mail, held_until }));
    }

    /// The next mail that may begin: there is a place, its domain has room, and its lease is alive. One whose lease is
    /// too old is let go, since somebody else may have it.
    pub fn next(&mut self, now: Instant) -> Option<ClaimedMail> {
        self.waiting.retain(|waiting| waiting.held_until > now);
        if self.sending.len() >= self.places {
            return None;
        }
        let place = self.waiting.iter().position(|waiting| self.domains.has_room(waiting.mail.domain()))?;
        self.waiting.remove(place).map(|waiting| waiting.mail)
    }

    pub fn begun(&mut self, id: task::Id, lease: MailLease, domain: String, now: Instant) {
        self.domains.begun(&domain, id, now);
        self.sending.insert(id, Sending { lease, domain });
    }

    /// A job has ended; nothing follows if it was no mail's.
    pub fn ended(&mut self, id: task::Id, now: Instant) {
        if let Some(sending) = self.sending.remove(&id) {
            self.domains.ended(&sending.domain, id, now);
        }
    }

    pub fn leases(&self) -> Vec<MailLease> {
        let waiting = self.waiting.iter().map(|waiting| waiting.mail.lease());
        waiting.chain(self.sending.values().map(|sending| sending.lease)).collect()
    }

    /// Leases were renewed but for those that are lost, whose mails must not begin.
    pub fn renewed(&mut self, asked: Instant, lost: &[MailLease]) {
        self.waiting.retain(|waiting| !lost.contains(&waiting.mail.lease()));
        for waiting in &mut self.waiting {
            // A mail that came in meanwhile has a younger lease.
            waiting.held_until = waiting.held_until.max(asked + HELD);
        }
    }

    pub fn look(&mut self, now: Instant) {
        self.domains.look(now);
    }

    /// The domains whose mails have to wait.
    pub fn full(&self) -> impl Iterator<Item = &str> {
        self.domains.full()
    }

    /// Lets go of everything that waits.
    pub fn drop_waiting(&mut self) -> Vec<ClaimedMail> {
        self.waiting.drain(..).map(|waiting| waiting.mail).collect()
    }

    /// Lets go of what waits for slow domains, so that it is in nobody's way.
    pub fn drop_slow(&mut self) -> Vec<ClaimedMail> {
        let (slow, waiting) = self
            .waiting
            .drain(..)
            .partition::<Vec<_>, _>(|waiting| self.domains.is_slow(waiting.mail.domain()));
        self.waiting = waiting.into();
        slow.into_iter().map(|waiting| waiting.mail).collect()
    }
}
