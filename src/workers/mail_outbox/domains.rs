//! How many mails may be under way to one domain of recipients, so that a domain whose mails take long, since a relay
//! waits for it, takes the places of nobody else.

use std::{collections::HashMap, time::Duration};

use tokio::{task, time::Instant};

/// An attempt that takes longer makes its domain slow.
const SLOW: Duration = Duration::from_secs(2);
/// How long a slow domain is taken for slow when nothing more is heard of it.
const MEMORY: Duration = Duration::from_mins(1);
/// How long the mails of a slow domain rest for which there is no room, at least …
const MIN_REST: Duration = Duration::from_secs(15);
/// … and at most.
const MAX_REST: Duration = Duration::from_mins(5);
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
    /// How many may run, unless it is slow: grows with every quick end.
    window: usize,
    slow: Option<Slow>,
}

/// The time in which a domain is slow.
#[derive(Debug, Clone, Copy)]
struct Slow {
    since: Instant,
    until: Instant,
}

/// Where there is room for one more mail.
pub(super) struct Room<'a> {
    domains: &'a HashMap<String, Domain>,
    /// How many mails to one slow domain may run; none may begin if all slow ones together have what is theirs.
    slow_window: usize,
}

impl Room<'_> {
    /// Whether one more mail to the domain may begin.
    pub fn is_for(&self, domain: &str) -> bool {
        self.domains.get(domain).is_none_or(|domain| {
            domain.running.len() < if domain.slow.is_some() { self.slow_window } else { domain.window }
        })
    }
}

impl Domains {
    pub fn new(places: usize) -> Self {
        Self { places, domains: HashMap::new() }
    }

    /// Where there is room at the moment. Slow domains share half of the places, so that the other half is always for
    /// others; a slow domain that is the only one has all of that half.
    pub fn room(&self) -> Room<'_> {
        let theirs = (self.places / 2).max(1);
        let slow = self.domains.values().filter(|domain| domain.slow.is_some() && !domain.running.is_empty());
        let (count, running) =
            slow.fold((0, 0), |(count, running), domain| (count + 1, running + domain.running.len()));
        let slow_window = if running < theirs { (theirs / count.max(1)).max(1) } else { 0 };
        Room { domains: &self.domains, slow_window }
    }

    pub fn begun(&mut self, domain: &str, attempt: task::Id, now: Instant) {
        let first = first_window(self.places);
        let domain = self.domains.entry(domain.to_owned()).or_insert_with(|| Domain {
            running: Vec::new(),
            window: first,
            slow: None,
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
        } else if domain.slow.take().is_some() {
            domain.window = first_window(self.places);
        } else {
            domain.window = (domain.window + 1).min(last);
        }
        if domain.running.is_empty() && domain.slow.is_none() {
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
        let is_live =
            |domain: &Domain| !domain.running.is_empty() || domain.slow.is_some_and(|slow| slow.until > now);
        self.domains.retain(|_, domain| is_live(domain));
        while self.domains.len() > MAX_SLOW + self.places {
            let idle = self.domains.iter().filter(|(_, domain)| domain.running.is_empty());
            let Some(oldest) = idle
                .min_by_key(|(_, domain)| domain.slow.map(|slow| slow.until))
                .map(|(name, _)| name.clone())
            else {
                return;
            };
            self.domains.remove(&oldest);
        }
    }

    /// How long a mail to the domain rests for which there is no room: as long as the domain has been slow, so that many
    /// mails that wait for it are not put off all the time. None for a domain that isn't slow.
    pub fn rest(&self, domain: &str, now: Instant) -> Option<Duration> {
        let slow = self.domains.get(domain)?.slow?;
        Some(now.saturating_duration_since(slow.since).clamp(MIN_REST, MAX_REST))
    }

    /// The slow domains that have no room, and how long their mails rest.
    pub fn full(&self, now: Instant) -> impl Iterator<Item = (&str, Duration)> {
        let room = self.room();
        let full = self.domains.keys().filter(move |name| !room.is_for(name));
        full.filter_map(move |name| Some((name.as_str(), self.rest(name, now)?)))
    }
}

impl Domain {
    fn slow(&mut self, now: Instant) {
        let since = self.slow.map_or(now, |slow| slow.since);
        self.slow = Some(Slow { since, until: now + MEMORY });
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
            if domains.room().is_for(domain) {
                domains.begun(domain, *id, now);
                begun += 1;
            }
        }
        begun
    }

    fn full(domains: &Domains, now: Instant) -> Vec<(&str, Duration)> {
        domains.full(now).collect()
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
    async fn slow_domains_share_half_of_the_places_until_they_answer_quickly() {
        let (mut domains, now, ids) = (Domains::new(PLACES), Instant::now(), ids(40).await);
        assert_eq!(room(&mut domains, "slow.example", &ids, now), 4);
        let later = now + SLOW + Duration::from_millis(1);
        domains.look(now + SLOW);
        assert_eq!(domains.rest("slow.example", now + SLOW), None);
        // They need not have ended.
        domains.look(later);
        assert_eq!(domains.rest("slow.example", later), Some(MIN_REST));
        assert_eq!(room(&mut domains, "slow.example", &ids[4..], later), 4);
        assert_eq!(full(&domains, later), [("slow.example", MIN_REST)]);
        // Another one that becomes slow has what the first leaves, and both have half of it in the end.
        assert_eq!(room(&mut domains, "lazy.example", &ids[20..], later), 4);
        let latest = later + SLOW + Duration::from_millis(1);
        domains.look(latest);
        assert_eq!(full(&domains, latest).len(), 2);
        for id in &ids[..6] {
            domains.ended("slow.example", *id, latest);
        }
        assert_eq!(full(&domains, latest), [("lazy.example", MIN_REST)]);
        assert_eq!(room(&mut domains, "slow.example", &ids[8..20], latest), 2);
        assert_eq!(full(&domains, latest).len(), 2);
        assert_eq!(room(&mut domains, "quick.example", &ids[30..], latest), 4);
        domains.ended("slow.example", ids[8], latest + SLOW);
        assert_eq!(domains.rest("slow.example", latest), None);
        assert_eq!(
            room(&mut domains, "slow.example", &ids[8..20], latest),
            1,
            "of four, of which three run still"
        );
    }

    #[tokio::test]
    async fn mails_rest_for_as_long_as_their_domain_has_been_slow() {
        let (mut domains, now, ids) = (Domains::new(PLACES), Instant::now(), ids(1).await);
        domains.begun("slow.example", ids[0], now);
        let since = now + Duration::from_secs(3);
        for (seconds, rest) in
            [(3, MIN_REST), (18, MIN_REST), (103, Duration::from_secs(100)), (900, MAX_REST)]
        {
            let now = now + Duration::from_secs(seconds);
            domains.look(now);
            assert_eq!(domains.rest("slow.example", now), Some(rest), "{:?}", now - since);
        }
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
        assert!(domains.rest(&format!("d{}.example", 2 * MAX_SLOW - 1), now).is_some(), "the latest stay");
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
