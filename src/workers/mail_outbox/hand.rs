//! The mails that a worker holds leases on: those that are being sent, and a few more that wait for a place.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    time::Duration,
};

use tokio::{task, time::Instant};

use super::domains::Domains;
use crate::domain::delivery::{ClaimedMail, MailLease};

/// How long after its lease was asked for a mail may still begin: its lease must not end before the next renewal.
const HELD: Duration = Duration::from_secs(18);

/// How many mails are asked for at once at most: a claim is one act of the database, which must not take long.
const MAX_CLAIM: usize = 256;

/// After how many mails for each place one more place is tried, where the mail server took no more.
const PATIENCE: usize = 10;

/// What is in hand.
pub(super) struct Hand {
    /// How many mails the settings let be sent at the same time …
    most: usize,
    /// … and how many the mail server takes, as far as is known.
    places: usize,
    /// How many mails it has answered since that was last changed.
    answered: usize,
    /// How many mails have begun since the last look …
    begun: usize,
    /// … and between the two looks before it, about a second apart.
    pace: usize,
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
        Self {
            most: places,
            places,
            answered: 0,
            begun: 0,
            pace: 0,
            waiting: VecDeque::new(),
            sending: HashMap::new(),
            domains: Domains::new(places),
        }
    }

    /// The mail server turned a mail away while it takes others: true if there is a place less for that.
    pub fn shrink(&mut self) -> bool {
        let fewer = self.sending.len() < self.places;
        if fewer {
            self.places = self.sending.len().max(1);
        }
        self.answered = 0;
        fewer
    }

    /// The mail server answered a mail.
    pub fn answered(&mut self) {
        self.answered += 1;
        if self.answered >= PATIENCE * self.places && self.places < self.most {
            self.places += 1;
            self.answered = 0;
        }
    }

    /// Nothing is known of what the mail server takes.
    pub fn forget_places(&mut self) {
        self.places = self.most;
        self.answered = 0;
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sending.is_empty()
    }

    /// How many mails are being sent.
    pub fn sending(&self) -> i64 {
        i64::try_from(self.sending.len()).unwrap_or(i64::MAX)
    }

    /// How many more mails are wanted: enough for a quarter of a second, or to fill the places twice, and none while half
    /// of that is there.
    pub fn appetite(&self) -> usize {
        let enough = (self.pace / 4).min(MAX_CLAIM).max(2 * self.places);
        if self.waiting.len() < enough / 2 { enough - self.waiting.len() } else { 0 }
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
        let room = self.domains.room();
        let place = self.waiting.iter().position(|waiting| room.is_for(waiting.mail.domain()))?;
        self.waiting.remove(place).map(|waiting| waiting.mail)
    }

    pub fn begun(&mut self, id: task::Id, lease: MailLease, domain: String, now: Instant) {
        self.begun += 1;
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
        self.pace = mem::take(&mut self.begun);
        self.domains.look(now);
    }

    /// The domains whose mails have to wait, and how long.
    pub fn full(&self, now: Instant) -> impl Iterator<Item = (&str, Duration)> {
        self.domains.full(now)
    }

    /// Lets go of everything that waits.
    pub fn drop_waiting(&mut self) -> Vec<ClaimedMail> {
        self.waiting.drain(..).map(|waiting| waiting.mail).collect()
    }

    /// Lets go of what waits for slow domains, so that it is in nobody's way; says how long each mail rests.
    pub fn drop_slow(&mut self, now: Instant) -> Vec<(MailLease, Duration)> {
        let mut slow = Vec::new();
        self.waiting.retain(|Waiting { mail, .. }| {
            let rest = self.domains.rest(mail.domain(), now);
            slow.extend(rest.map(|rest| (mail.lease(), rest)));
            rest.is_none()
        });
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_shrink_to_what_a_server_takes_and_grow_again_with_its_answers() {
        let (mut hand, mut tasks) = (Hand::new(16), task::JoinSet::new());
        let begin = |hand: &mut Hand, tasks: &mut task::JoinSet<()>| {
            let lease = MailLease {
                id: crate::domain::mail::MailId(uuid::Uuid::nil()),
                claim_token: uuid::Uuid::nil(),
            };
            let id = tasks.spawn(async {}).id();
            hand.begun(id, lease, "example.com".into(), Instant::now());
            id
        };
        let ids: Vec<_> = (0..16).map(|_| begin(&mut hand, &mut tasks)).collect();
        for id in &ids[6..] {
            hand.ended(*id, Instant::now());
            assert!(hand.shrink());
        }
        assert_eq!(hand.places, 6);
        for _ in 1..6 * PATIENCE {
            hand.answered();
        }
        assert_eq!(hand.places, 6);
        hand.answered();
        assert_eq!(hand.places, 7);
        hand.ended(ids[0], Instant::now());
        assert!(hand.shrink());
        assert_eq!(hand.places, 5);
        hand.forget_places();
        assert_eq!(hand.places, 16);
        tasks.join_all().await;
    }
}
