//! How many mails may be under way to one domain of recipients, so that a domain whose mails take long, since a relay
//! waits for it, takes the places of nobody else.

use std::{collections::HashMap, time::Duration};

use tokio::{task, time::Instant};

/// An attempt that takes longer makes its domain slow.
const SLOW: Duration = Duration::from_secs(2);
/// How long a mail rests at least for whose domain there is no room …
const MIN_REST: Duration = Duration::from_secs(15);
/// … and at most.
const MAX_REST: Duration = Duration::from_mins(5);
/// How long a domain is kept in mind of which nothing more is heard: not less than its mails rest.
const MEMORY: Duration = MAX_REST;
/// How many domains are kept in mind that have no mail under way.
const MAX_KNOWN: usize = 1000;

/// Who has how many of the places.
#[derive(Debug)]
pub(super) struct Domains {
    places: usize,
    /// The attempts under way, and since when.
    running: HashMap<String, Vec<(task::Id, Instant)>>,
    known: HashMap<String, Known>,
}

/// What is known of a domain, and until when.
#[derive(Debug)]
struct Known {
    speed: Speed,
    until: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Speed {
    /// So many mails may run: one more after every quick end.
    Quick {
        window: usize,
    },
    Slow {
        since: Instant,
    },
}

/// Where there is room for one more mail.
pub(super) struct Room<'a> {
    domains: &'a Domains,
    /// How many mails run to slow domains, and to how many of them.
    slow: usize,
    slow_domains: usize,
    /// How many run to domains that are not known to be quick.
    unsure: usize,
}

impl Room<'_> {
    /// Whether one more mail to the domain may begin.
    pub fn is_for(&self, domain: &str) -> bool {
        let places = self.domains.places;
        let running = self.domains.running.get(domain).map_or(0, Vec::len);
        // A quarter is for those that are known to be quick.
        let is_unsure_free = self.unsure < places - places / 4;
        match self.domains.speed(domain) {
            Some(Speed::Quick { window }) => running < window.min(last_window(places)),
            None => is_unsure_free && running < first_window(places),
            Some(Speed::Slow { .. }) => {
                let theirs = slow_places(places);
                let sharing = self.slow_domains + usize::from(running == 0);
                is_unsure_free && self.slow < theirs && running < (theirs / sharing).max(1)
            }
        }
    }
}

impl Domains {
    pub fn new(places: usize) -> Self {
        Self { places, running: HashMap::new(), known: HashMap::new() }
    }

    /// There are so many places from now on.
    pub fn set_places(&mut self, places: usize) {
        self.places = places;
    }

    /// Where there is room at the moment. Slow domains share half of the places, and with those of which nothing is known
    /// three quarters: the rest is always for others.
    pub fn room(&self) -> Room<'_> {
        let mut room = Room { domains: self, slow: 0, slow_domains: 0, unsure: 0 };
        for (name, running) in &self.running {
            match self.speed(name) {
                Some(Speed::Quick { .. }) => {}
                Some(Speed::Slow { .. }) => {
                    room.slow += running.len();
                    room.slow_domains += 1;
                    room.unsure += running.len();
                }
                None => room.unsure += running.len(),
            }
        }
        room
    }

    pub fn begun(&mut self, domain: &str, attempt: task::Id, now: Instant) {
        self.running.entry(domain.to_owned()).or_default().push((attempt, now));
    }

    pub fn ended(&mut self, domain: &str, attempt: task::Id, now: Instant) {
        let Some(running) = self.running.get_mut(domain) else { return };
        let Some(place) = running.iter().position(|(running, _)| *running == attempt) else { return };
        let (_, since) = running.swap_remove(place);
        if running.is_empty() {
            self.running.remove(domain);
        }
        if now.saturating_duration_since(since) > SLOW {
            self.slow(domain.to_owned(), now);
        } else {
            let window = match self.speed(domain) {
                Some(Speed::Quick { window }) => (window + 1).min(last_window(self.places)),
                Some(Speed::Slow { .. }) | None => first_window(self.places) + 1,
            };
            self.known
                .insert(domain.to_owned(), Known { speed: Speed::Quick { window }, until: now + MEMORY });
        }
    }

    /// Looks for domains that have become slow, and forgets those of which nothing was heard for long.
    pub fn look(&mut self, now: Instant) {
        let is_slow = |running: &[(_, Instant)]| {
            running.iter().any(|(_, since)| now.saturating_duration_since(*since) > SLOW)
        };
        let slow = self.running.iter().filter(|(_, running)| is_slow(running));
        for name in slow.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.slow(name, now);
        }
        self.known.retain(|name, known| known.until > now || self.running.contains_key(name));
        let mut idle: Vec<_> =
            self.known.iter().filter(|(name, _)| !self.running.contains_key(*name)).collect();
        idle.sort_by_key(|(_, known)| known.until);
        let excess = idle.len().saturating_sub(MAX_KNOWN);
        for name in idle.into_iter().take(excess).map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.known.remove(&name);
        }
    }

    pub fn is_slow(&self, domain: &str) -> bool {
        matches!(self.speed(domain), Some(Speed::Slow { .. }))
    }

    /// How long a mail to the domain rests for which there is no room: as long as the domain has been slow, so that many
    /// mails that wait for it are not put off all the time.
    pub fn rest(&self, domain: &str, now: Instant) -> Duration {
        match self.speed(domain) {
            Some(Speed::Slow { since }) => now.saturating_duration_since(since).clamp(MIN_REST, MAX_REST),
            Some(Speed::Quick { .. }) | None => MIN_REST,
        }
    }

    /// The slow domains that have no room.
    pub fn full_slow(&self) -> impl Iterator<Item = &str> {
        let room = self.room();
        let slow = self.known.keys().filter(|name| self.is_slow(name));
        slow.filter(move |name| !room.is_for(name)).map(String::as_str)
    }

    fn speed(&self, domain: &str) -> Option<Speed> {
        self.known.get(domain).map(|known| known.speed)
    }

    fn slow(&mut self, domain: String, now: Instant) {
        let since = match self.speed(&domain) {
            Some(Speed::Slow { since }) => since,
            Some(Speed::Quick { .. }) | None => now,
        };
        self.known.insert(domain, Known { speed: Speed::Slow { since }, until: now + MEMORY });
    }
}

/// What a domain of which nothing is known may have of the places.
fn first_window(places: usize) -> usize {
    (places / 4).max(1)
}

/// What a domain may have at most.
fn last_window(places: usize) -> usize {
    places.saturating_sub(2).max(1)
}

/// What all slow domains together may have.
pub(super) fn slow_places(places: usize) -> usize {
    (places / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: usize = 16;

    /// Ids of tasks can't be made, so some are taken from tasks.
    async fn ids(count: usize) -> Vec<task::Id> {
        let mut tasks = task::JoinSet::new();
        let ids = (0..count).map(|_| tasks.spawn(async {}).id()).collect();
        tasks.join_all().await;
        ids
    }

    /// How many mails to a domain can begin at once.
    fn room(domains: &mut Domains, domain: &str, ids: &[task::Id], now: Instant) -> usize {
        let mut begun = 0;
        for id in ids {
            if domains.room().is_for(domain) {
                domains.begun(domain, *id, now);
                begun += 1;
            }
        }
        begun
    }

    fn full_slow(domains: &Domains) -> Vec<&str> {
        let mut full: Vec<_> = domains.full_slow().collect();
        full.sort_unstable();
        full
    }

    #[tokio::test]
    async fn a_domain_gets_a_quarter_of_the_places_and_more_as_it_answers() {
        let (mut domains, now, ids) = (Domains::new(PLACES), Instant::now(), ids(100).await);
        assert_eq!(room(&mut domains, "a.example", &ids, now), 4);
        assert_eq!(room(&mut domains, "b.example", &ids, now), 4, "each of its own");
        for id in &ids[..3] {
            domains.ended("a.example", *id, now + SLOW);
        }
        assert_eq!(room(&mut domains, "a.example", &ids[4..], now), 6, "seven, of which one runs still");
        for id in &ids[4..50] {
            domains.ended("a.example", *id, now);
            domains.begun("a.example", *id, now);
        }
        for id in &ids[3..50] {
            domains.ended("a.example", *id, now);
        }
        assert_eq!(room(&mut domains, "a.example", &ids, now), 14, "two are left to others");
        // With fewer places it has fewer.
        for id in &ids[..14] {
            domains.ended("a.example", *id, now);
        }
        domains.set_places(8);
        assert_eq!(room(&mut domains, "a.example", &ids, now), 6);
    }

    #[tokio::test]
    async fn domains_of_which_nothing_is_known_leave_a_quarter_to_those_that_are_quick() {
        let (mut domains, now, ids) = (Domains::new(PLACES), Instant::now(), ids(100).await);
        domains.begun("quick.example", ids[0], now);
        domains.ended("quick.example", ids[0], now);
        for (number, begun) in [(1, 4), (2, 4), (3, 4), (4, 0)] {
            assert_eq!(
                room(&mut domains, &format!("d{number}.example"), &ids[10 * number..][..10], now),
                begun
            );
        }
        assert_eq!(room(&mut domains, "quick.example", &ids, now), 5);
    }

    #[tokio::test]
    async fn slow_domains_share_half_of_the_places_until_they_answer_quickly() {
        let (mut domains, now, ids) = (Domains::new(PLACES), Instant::now(), ids(60).await);
        assert_eq!(room(&mut domains, "slow.example", &ids, now), 4);
        let later = now + SLOW + Duration::from_millis(1);
        domains.look(now + SLOW);
        assert!(!domains.is_slow("slow.example"));
        // They need not have ended.
        domains.look(later);
        assert!(domains.is_slow("slow.example"));
        assert_eq!(room(&mut domains, "slow.example", &ids[4..20], later), 4);
        assert_eq!(full_slow(&domains), ["slow.example"]);
        // Others that become slow get what the first leaves, and nothing while it has all of it.
        assert_eq!(room(&mut domains, "lazy.example", &ids[20..30], later), 4);
        let latest = later + SLOW + Duration::from_millis(1);
        domains.look(latest);
        assert_eq!(full_slow(&domains), ["lazy.example", "slow.example"]);
        for id in &ids[20..24] {
            domains.ended("lazy.example", *id, latest);
        }
        assert_eq!(full_slow(&domains), ["lazy.example", "slow.example"], "eight run to slow.example");
        for id in &ids[..6] {
            domains.ended("slow.example", *id, latest);
        }
        assert_eq!(room(&mut domains, "lazy.example", &ids[30..40], latest), 4, "half of eight");
        assert_eq!(room(&mut domains, "slow.example", &ids[40..50], latest), 2);
        assert_eq!(full_slow(&domains), ["lazy.example", "slow.example"]);
        domains.ended("slow.example", ids[40], latest);
        assert!(!domains.is_slow("slow.example"), "that was quick");
        assert_eq!(room(&mut domains, "lazy.example", &ids[50..], latest), 4, "all of eight");
    }

    #[tokio::test]
    async fn mails_rest_for_as_long_as_their_domain_has_been_slow() {
        let (mut domains, now, ids) = (Domains::new(PLACES), Instant::now(), ids(1).await);
        domains.begun("slow.example", ids[0], now);
        for (seconds, rest) in
            [(3, MIN_REST), (18, MIN_REST), (103, Duration::from_secs(100)), (900, MAX_REST)]
        {
            let now = now + Duration::from_secs(seconds);
            domains.look(now);
            assert_eq!(domains.rest("slow.example", now), rest);
        }
    }

    #[tokio::test]
    async fn domains_are_forgotten_in_time_and_are_never_too_many() {
        let (mut domains, now, ids) = (Domains::new(PLACES), Instant::now(), ids(1).await);
        for number in 0..2 * MAX_KNOWN {
            let domain = format!("d{number}.example");
            domains.begun(&domain, ids[0], now);
            domains.ended(&domain, ids[0], now + SLOW + Duration::from_micros(number as u64 + 1));
        }
        domains.look(now);
        assert_eq!(domains.known.len(), MAX_KNOWN);
        assert!(domains.is_slow(&format!("d{}.example", 2 * MAX_KNOWN - 1)), "the latest stay");
        domains.look(now + SLOW + 2 * MEMORY);
        assert!(domains.known.is_empty() && domains.running.is_empty());
    }

    #[test]
    fn a_single_place_is_anybodys() {
        for places in [1, 2, 3] {
            assert_eq!((first_window(places), last_window(places), slow_places(places)), (1, 1, 1));
            for domain in ["unknown.example", "slow.example"] {
                let mut domains = Domains::new(places);
                if domain == "slow.example" {
                    domains.slow(domain.to_owned(), Instant::now());
                }
                assert!(domains.room().is_for(domain));
            }
        }
        assert_eq!((first_window(PLACES), last_window(PLACES), slow_places(PLACES)), (4, 14, 8));
    }
}
