//! How many mails may be under way to one domain of recipients, so that a domain whose mails take long, since a relay
//! waits for it, takes the places of nobody else.

use std::{collections::HashMap, time::Duration};

use tokio::{task, time::Instant};

/// An attempt that takes longer makes its domain slow.
const SLOW: Duration = Duration::from_secs(2);
/// How long a slow domain is taken for slow when nothing more is heard of it.
const MEMORY: Duration = Duration::from_mins(1);
/// How many slow domains are kept in mind.
const MAX_SLOW: usize = 1000;

/// Who has how many of the places.
#[derive(Debug)]
pub(super) struct Domains {
    places: usize,
    domains: HashMap<String, Domain>,
}

#[derive(Debug)]
struct Domain {
    running: Vec<(task::Id, Instant)>,
    /// How many may run: grows with every quick end, and is one for a slow domain.
    window: usize,
    slow_until: Option<Instant>,
}

impl Domains {
    pub fn new(places: usize) -> Self {
        Self { places, domains: HashMap::new() }
    }

    /// Whether one more mail to the domain may begin.
    pub fn has_room(&self, domain: &str) -> bool {
        self.domains.get(domain).is_none_or(|domain| domain.running.len() < domain.window)
    }

    pub fn begun(&mut self, domain: &str, attempt: task::Id, now: Instant) {
        let first = first_window(self.places);
        let domain = self.domains.entry(domain.to_owned()).or_insert_with(|| Domain {
            running: Vec::new(),
            window: first,
            slow_until: None,
        });
        domain.running.push((attempt, now));
    }

    pub fn ended(&mut self, name: &str, attempt: task::Id, now: Instant) {
        let last = last_window(self.places);
        let Some(domain) = self.domains.get_mut(name) else { return };
        let Some(place) = domain.running.iter().position(|(running, _)| *running == attempt) else { return };
        let (_, since) = domain.running.swap_remove(place);
        if now.saturating_duration_since(since) > SLOW {
            domain.slow(now);
        } else if domain.slow_until.take().is_some() {
            domain.window = first_window(self.places);
        } else {
            domain.window = (domain.window + 1).min(last);
        }
        if domain.running.is_empty() && domain.slow_until.is_none() {
            self.domains.remove(name);
        }
    }

    /// Looks for domains that have become slow, and forgets those of which nothing was heard for long.
    pub fn look(&mut self, now: Instant) {
        for domain in self.domains.values_mut() {
            if domain.running.iter().any(|(_, since)| now.saturating_duration_since(*since) > SLOW) {
                domain.slow(now);
            }
        }
        let is_live = |domain: &Domain| {
            !domain.running.is_empty() || domain.slow_until.is_some_and(|until| until > now)
        };
        self.domains.retain(|_, domain| is_live(domain));
        while self.domains.len() > MAX_SLOW + self.places {
            let idle = self.domains.iter().filter(|(_, domain)| domain.running.is_empty());
            let Some(oldest) = idle.min_by_key(|(_, domain)| domain.slow_until).map(|(name, _)| name.clone())
            else {
                return;
            };
            self.domains.remove(&oldest);
        }
    }

    /// Whether it is slow.
    pub fn is_slow(&self, domain: &str) -> bool {
        self.domains.get(domain).is_some_and(|domain| domain.slow_until.is_some())
    }

    /// The slow domains that have no room: their mails have to wait.
    pub fn full(&self) -> impl Iterator<Item = &str> {
        let full = |domain: &Domain| domain.slow_until.is_some() && domain.running.len() >= domain.window;
        self.domains.iter().filter(move |(_, domain)| full(domain)).map(|(name, _)| name.as_str())
    }
}

impl Domain {
    fn slow(&mut self, now: Instant) {
        self.window = 1;
        self.slow_until = Some(now + MEMORY);
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
            if domains.has_room(domain) {
                domains.begun(domain, *id, now);
                begun += 1;
            }
        }
        begun
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
        assert_eq!(room(&mut domains, "a.example", &ids, now), 4, "what is idle is forgotten");
    }

    #[tokio::test]
    async fn a_slow_domain_has_one_place_until_it_answers_quickly() {
        let (mut domains, now, ids) = (Domains::new(PLACES), Instant::now(), ids(20).await);
        assert_eq!(room(&mut domains, "slow.example", &ids, now), 4);
        let later = now + SLOW + Duration::from_millis(1);
        domains.look(now + SLOW);
        assert!(!domains.is_slow("slow.example"));
        // They need not have ended.
        domains.look(later);
        assert!(domains.is_slow("slow.example"));
        assert_eq!(domains.full().collect::<Vec<_>>(), ["slow.example"]);
        for id in &ids[..4] {
            domains.ended("slow.example", *id, later);
        }
        assert_eq!(domains.full().count(), 0);
        assert_eq!(room(&mut domains, "slow.example", &ids, later), 1);
        domains.ended("slow.example", ids[0], later + SLOW);
        assert!(!domains.is_slow("slow.example"));
        assert_eq!(room(&mut domains, "slow.example", &ids, later), 4);
    }

    #[tokio::test]
    async fn slow_domains_are_forgotten_in_time_and_are_never_too_many() {
        let (mut domains, now, ids) = (Domains::new(PLACES), Instant::now(), ids(1).await);
        for number in 0..2 * MAX_SLOW {
            let domain = format!("d{number}.example");
            domains.begun(&domain, ids[0], now);
            domains.ended(&domain, ids[0], now + SLOW + Duration::from_micros(number as u64 + 1));
        }
        domains.look(now);
        assert_eq!(domains.domains.len(), MAX_SLOW + PLACES);
        assert!(domains.is_slow(&format!("d{}.example", 2 * MAX_SLOW - 1)), "the latest stay");
        domains.look(now + SLOW + 2 * MEMORY);
        assert!(domains.domains.is_empty());
    }

    #[test]
    fn a_single_place_is_anybodys() {
        for places in [1, 2, 3] {
            assert_eq!((first_window(places), last_window(places)), (1, 1));
        }
        assert_eq!((first_window(PLACES), last_window(PLACES)), (4, 14));
    }
}
