//! How many requests of one client are answered, in this process alone. What may be mailed is limited in the database.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};

use super::client::network;

/// In how many places clients are counted, so that no number of clients takes more memory than these do.
const PLACES: u64 = 1 << 16;

/// Counts requests, those of a client in one place.
///
/// Which one depends on a number that is made when the process starts, so that nobody can aim at somebody else's.
pub struct Limiter<C: Clock = DefaultClock> {
    counts: RateLimiter<u64, HashMapStateStore<u64>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    most: NonZeroU32,
    hasher: RandomState,
}

impl Limiter {
    /// Lets so many requests pass at once, and so many in each further minute.
    pub fn new(requests_per_minute: NonZeroU32) -> Self {
        Self::with_clock(requests_per_minute, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limiter<C> {
    fn with_clock(requests_per_minute: NonZeroU32, clock: C) -> Self {
        let quota = Quota::per_minute(requests_per_minute);
        Self {
            counts: RateLimiter::hashmap_with_clock(quota, clock.clone()),
            clock,
            most: requests_per_minute,
            hasher: RandomState::new(),
        }
    }

    /// Counts a request that weighs as much as `weight` others, or says how long its client has to wait.
    pub fn count(&self, client: IpAddr, weight: u32) -> Result<(), Duration> {
        // Never more than can be had at all, which would be refused for ever.
        let weight = NonZeroU32::new(weight).unwrap_or(NonZeroU32::MIN).min(self.most);
        match self.counts.check_key_n(&self.place(client), weight) {
            Ok(Ok(())) | Err(_) => Ok(()),
            Ok(Err(until)) => Err(until.wait_time_from(self.clock.now())),
        }
    }

    fn place(&self, client: IpAddr) -> u64 {
        self.hasher.hash_one(network(client)) % PLACES
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn number(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn a_client_waits_until_there_is_room_again_and_others_do_not() {
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::with_clock(number(60), clock.clone());
        let [client, same, other] =
            ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"].map(|text| text.parse().unwrap());
        for _ in 0..50 {
            limiter.count(client, 1).unwrap();
        }
        limiter.count(same, 10).unwrap();
        let wait = limiter.count(client, 1).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        let longer = limiter.count(same, 3).unwrap_err();
        assert!(longer > 2 * wait && longer <= Duration::from_secs(3), "{longer:?}");
        // Once in 65,536 runs the two share a place.
        if limiter.place(client) != limiter.place(other) {
            limiter.count(other, 1).unwrap();
        }
        clock.advance(wait);
        limiter.count(client, 1).unwrap();
        limiter.count(client, 1).unwrap_err();
    }

    #[test]
    fn what_weighs_more_than_there_is_room_for_can_be_asked_for_all_the_same() {
        let limiter = Limiter::with_clock(number(2), FakeRelativeClock::default());
        let client = "192.0.2.1".parse().unwrap();
        limiter.count(client, 10).unwrap();
        limiter.count(client, 1).unwrap_err();
    }

    #[test]
    fn a_flood_of_clients_takes_a_bounded_number_of_places() {
        let limiter = Limiter::with_clock(number(1_000_000), FakeRelativeClock::default());
        for client in 0..200_000_u32 {
            limiter.count(std::net::Ipv4Addr::from_bits(client).into(), 1).unwrap();
        }
        assert!(u64::try_from(limiter.counts.len()).unwrap() <= PLACES);
    }
}
