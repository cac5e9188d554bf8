//! The mails that a worker holds leases on: those that are being sent, and a few more that wait for a place.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    mem,
    time::Duration,
};

use tokio::{task, time::Instant};

use super::domains::{Domains, Room, slow_places};
use crate::domain::delivery::{ClaimedMail, MailLease};

/// How long after its lease was asked for a mail may still begin: its lease must not end before the next renewal.
const HELD: Duration = Duration::from_secs(18);

/// How long mails may wait in hand while places are free, before others are looked for.
const STUCK: Duration = Duration::from_secs(1);

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
    /// Whether a claim may look past the mails whose domains have no room: once after each look.
    may_search: bool,
    waiting: VecDeque<Waiting>,
    sending: HashMap<task::Id, Sending>,
    domains: Domains,
}

/// What a claim is to bring.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub limit: usize,
    /// The domains whose mails are put off instead, and how long they rest.
    pub resting: Vec<(String, Duration)>,
}

struct Waiting {
    mail: ClaimedMail,
    since: Instant,
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
            may_search: false,
            waiting: VecDeque::new(),
            sending: HashMap::new(),
            domains: Domains::new(places),
        }
    }

    /// The mail server turned a mail away while it takes others: true if there is a place less for that.
    pub fn shrink(&mut self) -> bool {
        let fewer = self.sending.len() < self.places;
        if fewer {
            self.set_places(self.sending.len().max(1));
        }
        self.answered = 0;
        fewer
    }

    /// The mail server answered a mail.
    pub fn answered(&mut self) {
        self.answered += 1;
        if self.answered >= PATIENCE * self.places && self.places < self.most {
            self.set_places(self.places + 1);
        }
    }

    /// Nothing is known of what the mail server takes.
    pub fn forget_places(&mut self) {
        self.set_places(self.most);
    }

    fn set_places(&mut self, places: usize) {
        self.places = places;
        self.answered = 0;
        self.domains.set_places(places);
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sending.is_empty()
    }

    /// How many mails are being sent.
    pub fn sending(&self) -> i64 {
        i64::try_from(self.sending.len()).unwrap_or(i64::MAX)
    }

    /// How many mails are to be in hand that wait: enough for a quarter of a second, or to fill the places twice.
    fn enough(&self) -> usize {
        (self.pace / 4).max(2 * self.places).min(MAX_CLAIM)
    }

    /// What a claim is to bring: nothing while half of enough waits, unless nothing of that has room while there are
    /// places left.
    pub fn wanted(&mut self, now: Instant) -> Option<Wanted> {
        let enough = self.enough();
        let is_short = self.waiting.len() < enough.div_ceil(2);
        if !is_short && !self.may_search_further(now) {
            return None;
        }
        let rest = |domain: &str| (domain.to_owned(), self.domains.rest(domain, now));
        let mut resting = Vec::new();
        if self.waiting.iter().filter(|waiting| self.is_slow(waiting)).count() >= slow_places(self.places) {
            resting.extend(self.domains.full_slow().map(rest));
        }
        if is_short {
            return Some(Wanted { limit: enough - self.waiting.len(), resting });
        }
        let stuck: BTreeSet<_> = self.waiting.iter().map(|waiting| waiting.mail.domain()).collect();
        resting.extend(stuck.into_iter().filter(|domain| !self.domains.is_slow(domain)).map(rest));
        self.may_search = false;
        Some(Wanted { limit: enough, resting })
    }

    /// Whether mails in hand keep others from places that are free, and have done so for a while.
    fn may_search_further(&self, now: Instant) -> bool {
        let room = self.domains.room();
        let oldest = self.waiting.front();
        self.may_search
            && self.sending.len() < self.places
            && oldest.is_some_and(|waiting| is_stuck(waiting, now))
            && !self.waiting.iter().any(|waiting| has_room(&room, waiting))
    }

    fn is_slow(&self, waiting: &Waiting) -> bool {
        self.domains.is_slow(waiting.mail.domain())
    }

    /// Takes in a mail whose lease was asked for at an instant.
    pub fn add(&mut self, mail: ClaimedMail, asked: Instant) {
        self.waiting.push_back(Waiting { mail, since: asked, held_until: asked + HELD });
    }

    /// Goes on sending a mail under a new lease; false if it is not being sent.
    pub fn take_over(&mut self, lease: MailLease) -> bool {
        let sending = self.sending.values_mut().find(|sending| sending.lease.id == lease.id);
        sending.map(|sending| sending.lease = lease).is_some()
    }

    /// The next mail that may begin: there is a place, its domain has room, and its lease is alive. One whose lease is
    /// too old is let go, since somebody else may have it.
    pub fn next(&mut self, now: Instant) -> Option<ClaimedMail> {
        self.waiting.retain(|waiting| waiting.held_until > now);
        if self.sending.len() >= self.places {
            return None;
        }
        let room = self.domains.room();
        let place = self.waiting.iter().position(|waiting| has_room(&room, waiting))?;
        self.waiting.remove(place).map(|waiting| waiting.mail)
    }

    pub fn begun(&mut self, id: task::Id, lease: MailLease, domain: String, now: Instant) {
        self.begun += 1;
        self.domains.begun(&domain, id, now);
        self.sending.insert(id, Sending { lease, domain });
    }

    /// A job has ended; says under which lease if it was a mail's.
    pub fn ended(&mut self, id: task::Id, now: Instant) -> Option<MailLease> {
        let sending = self.sending.remove(&id)?;
        self.domains.ended(&sending.domain, id, now);
        Some(sending.lease)
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
        self.may_search = true;
        self.domains.look(now);
    }

    /// Lets go of everything that waits.
    pub fn drop_waiting(&mut self) -> Vec<ClaimedMail> {
        self.waiting.drain(..).map(|waiting| waiting.mail).collect()
    }

    /// Lets go of mails whose domains have no room, so that they are in nobody's way, and says how long each rests: those of
    /// slow domains but for a few that follow at once, and while there is more than enough, those that have waited long.
    pub fn drop_excess(&mut self, now: Instant) -> Vec<(MailLease, Duration)> {
        let room = self.domains.room();
        let without_room = self.waiting.iter().enumerate().filter(|(_, waiting)| !has_room(&room, waiting));
        let (slow, others): (Vec<_>, Vec<_>) = without_room.partition(|(_, waiting)| self.is_slow(waiting));
        let slow = slow.into_iter().skip(slow_places(self.places));
        let more = self.waiting.len().saturating_sub(self.enough() + slow.len());
        let stuck = others.into_iter().filter(|(_, waiting)| is_stuck(waiting, now)).take(more);
        let mut places: Vec<_> = slow.chain(stuck).map(|(place, _)| place).collect();
        places.sort_unstable();
        let dropped = places.into_iter().rev().filter_map(|place| self.waiting.remove(place));
        dropped.map(|Waiting { mail, .. }| (mail.lease(), self.domains.rest(mail.domain(), now))).collect()
    }
}

/// Whether it has waited in hand for so long that others must not wait behind it.
fn is_stuck(waiting: &Waiting, now: Instant) -> bool {
    now.saturating_duration_since(waiting.since) > STUCK
}

fn has_room(room: &Room<'_>, waiting: &Waiting) -> bool {
    room.is_for(waiting.mail.domain())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        Timestamp,
        mail::{MailId, MailKind},
        user::UserId,
    };

    const PLACES: usize = 16;

    fn mail(number: usize, domain: &str) -> ClaimedMail {
        ClaimedMail {
            id: MailId(Uuid::from_u128(number as u128)),
            user_id: UserId(Uuid::nil()),
            kind: MailKind::Activation,
            recipient: format!("a@{domain}"),
            sealed_text: Vec::new(),
            attempt: 1,
            claim_token: Uuid::nil(),
            create_time: Timestamp::default(),
            expire_time: Timestamp::default(),
        }
    }

    /// Takes in mails of a domain, and begins as many of those in hand as there is room for.
    async fn begin(hand: &mut Hand, numbers: std::ops::Range<usize>, domain: &str) -> Vec<task::Id> {
        let (now, mut tasks) = (Instant::now(), task::JoinSet::new());
        for number in numbers {
            hand.add(mail(number, domain), now);
        }
        let mut ids = Vec::new();
        while let Some(mail) = hand.next(now) {
            let id = tasks.spawn(async {}).id();
            hand.begun(id, mail.lease(), mail.domain().to_owned(), now);
            ids.push(id);
        }
        tasks.join_all().await;
        ids
    }

    #[tokio::test]
    async fn places_shrink_to_what_a_server_takes_and_grow_again_with_its_answers() {
        let mut hand = Hand::new(PLACES);
        for domain in ["a.example", "b.example", "c.example", "d.example"] {
            for id in begin(&mut hand, 0..4, domain).await {
                hand.ended(id, Instant::now());
            }
        }
        let mut ids = Vec::new();
        for domain in ["a.example", "b.example", "c.example", "d.example"] {
            ids.extend(begin(&mut hand, 0..4, domain).await);
        }
        assert_eq!(ids.len(), PLACES);
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
        assert_eq!(hand.places, PLACES);
    }

    #[tokio::test]
    async fn more_is_claimed_the_more_is_sent() {
        for (places, sent, limit) in
            [(16, 0, 32), (16, 129, 32), (16, 400, 100), (16, 9000, 256), (128, 0, 256)]
        {
            let mut hand = Hand::new(places);
            for number in 0..sent {
                let ids = begin(&mut hand, number..number + 1, "d.example").await;
                hand.ended(ids[0], Instant::now());
            }
            hand.look(Instant::now());
            assert_eq!(
                hand.wanted(Instant::now()),
                Some(Wanted { limit, resting: Vec::new() }),
                "{places} {sent}"
            );
            begin(&mut hand, 0..2 * limit, "d.example").await;
            assert_eq!(hand.wanted(Instant::now()), None, "{places} {sent}");
        }
    }

    #[tokio::test]
    async fn mails_without_room_are_looked_past_once_in_a_while() {
        let mut hand = Hand::new(PLACES);
        let now = Instant::now();
        assert_eq!(begin(&mut hand, 0..40, "busy.example").await.len(), 4, "a quarter");
        hand.look(now);
        assert_eq!(hand.wanted(now), None, "not for long yet");
        let now = now + 2 * STUCK;
        let resting = vec![("busy.example".to_owned(), hand.domains.rest("busy.example", now))];
        assert_eq!(hand.wanted(now), Some(Wanted { limit: 32, resting }));
        assert_eq!(hand.wanted(now), None);
        // What is more than enough rests, if it has waited for long.
        let dropped = hand.drop_excess(now);
        let ids: Vec<_> = dropped.iter().map(|(lease, _)| lease.id).collect();
        assert_eq!(ids, [7, 6, 5, 4].map(|number: u128| MailId(Uuid::from_u128(number))));
        assert_eq!(begin(&mut hand, 50..51, "other.example").await.len(), 1);
        hand.look(now);
        assert_eq!(begin(&mut hand, 60..80, "third.example").await.len(), 4);
        assert_eq!(hand.wanted(now).map(|wanted| wanted.limit), Some(32));
    }

    #[tokio::test]
    async fn a_few_mails_of_a_slow_domain_stay_to_follow_at_once() {
        let mut hand = Hand::new(PLACES);
        let ids = begin(&mut hand, 0..30, "slow.example").await;
        let later = Instant::now() + Duration::from_secs(3);
        hand.look(later);
        assert_eq!(begin(&mut hand, 0..0, "").await.len(), 4, "half of the places in all");
        assert_eq!(hand.drop_excess(later).len(), 14, "of 22");
        let resting = [("slow.example".to_owned(), hand.domains.rest("slow.example", later))];
        assert_eq!(hand.wanted(later).unwrap().resting, resting);
        hand.ended(ids[0], later);
        assert_eq!(begin(&mut hand, 0..0, "").await.len(), 1);
        assert_eq!(hand.wanted(later).unwrap().resting, [], "one more may follow");
        // At a server that takes fewer connections there are fewer.
        assert!(hand.shrink());
        hand.ended(ids[1], later);
        assert_eq!(begin(&mut hand, 0..0, "").await.len(), 0, "seven run, of eight");
    }

    #[tokio::test]
    async fn a_mail_that_is_being_sent_goes_on_under_a_new_lease() {
        let mut hand = Hand::new(PLACES);
        let ids = begin(&mut hand, 1..2, "d.example").await;
        let lease = MailLease { claim_token: Uuid::max(), ..mail(1, "d.example").lease() };
        assert!(hand.take_over(lease));
        assert!(!hand.take_over(mail(2, "d.example").lease()));
        assert_eq!(hand.leases(), [lease]);
        assert_eq!(hand.ended(ids[0], Instant::now()), Some(lease));
        assert!(!hand.take_over(lease));
    }
}
