//! Guesses at a password: what they are counted by, and how long the next one has to wait.
//!
//! They are counted by the name that a caller presents, whether there is such a user or not, so that no wait tells; but
//! those from a device that has logged in by that name before are counted by themselves, so that nobody else takes its
//! turns.

use chrono::Duration;
use sha2::{Digest as _, Sha256};

use super::{
    Timestamp,
    device::{Device, DeviceDigest},
    password::PasswordHash,
    policy,
    user::{UserId, UserName, UserState},
};

/// How many failures in a row cost no wait.
const FREE_FAILURES: u32 = 4;
/// How long the first wait is; each further one is twice as long, …
const FIRST_WAIT: Duration = Duration::seconds(1);
/// … but never longer than this: an account is slowed down, and not locked.
pub const LONGEST_WAIT: Duration = Duration::seconds(60);
/// How long after its last wait a row of failures is forgotten.
const MEMORY: Duration = Duration::hours(1);
/// How many rows of failures that are forgotten a new one deletes.
pub const MAX_FORGOTTEN: u32 = 10;

/// A guess: whose password it should be, and where it comes from.
#[derive(Debug, Clone)]
pub struct Guess {
    name: UserName,
    device: Option<DeviceDigest>,
}

/// What guesses are counted by: a digest of what the user was named by, or of that and the device; nothing in plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessDigest([u8; 32]);

/// Failures in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessFailures {
    /// How many.
    pub count: u32,
    /// When the next guess is let in.
    pub retry_time: Timestamp,
    /// When they are forgotten.
    pub expire_time: Timestamp,
}

/// Whom a guess is held against.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user.
    pub user_id: UserId,
    /// Where the user stands.
    pub state: UserState,
    /// The stored hash, if the user has a password.
    pub password_hash: Option<PasswordHash>,
}

impl Guess {
    /// A guess by that name, from that device if there is one.
    pub fn new(name: UserName, device: Option<&Device>) -> Self {
        let device = device.map(|device| DeviceDigest::of(&name, device));
        Self { name, device }
    }

    /// Whose password it should be.
    pub fn name(&self) -> &UserName {
        &self.name
    }

    /// The device, as it may be known for that name.
    pub fn device(&self) -> Option<DeviceDigest> {
        self.device
    }
}

impl GuessDigest {
    /// The same for every spelling of a username or an address that is the same.
    pub fn of(name: &UserName) -> Self {
        let (kind, name) = name.kind_and_bytes();
        Self(Sha256::new().chain_update(kind).chain_update(b" ").chain_update(name).finalize().into())
    }

    /// The device's own, whatever else is counted by the name.
    pub fn of_device(device: DeviceDigest) -> Self {
        Self(*device.as_bytes())
    }

    /// The digest's bytes, for storage.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl GuessFailures {
    /// What is stored before a guess is checked, as if it had failed; or how long it has to wait, which changes nothing.
    pub fn count(before: Option<Self>, now: Timestamp) -> Result<Self, Duration> {
        let before = before.filter(|before| !policy::is_expired(before.expire_time, now));
        if let Some(before) = before {
            let wait = before.retry_time - now;
            // Longer than any wait, another replica's clock a minute ahead: it was written by a clock that was wrong.
            let is_wrong = wait > LONGEST_WAIT + policy::CLOCK_TOLERANCE;
            if wait > Duration::zero() && !is_wrong {
                return Err(wait);
            }
        }
        let count = before.map_or(0, |before| before.count).saturating_add(1);
        let retry_time = policy::later(now, Self::wait(count));
        Ok(Self { count, retry_time, expire_time: policy::later(retry_time, MEMORY) })
    }

    /// How long the next guess waits after so many failures.
    fn wait(count: u32) -> Duration {
        let Some(doublings) = count.checked_sub(FREE_FAILURES + 1) else { return Duration::zero() };
        let wait = 1_i32.checked_shl(doublings).and_then(|times| FIRST_WAIT.checked_mul(times));
        wait.filter(|wait| *wait > Duration::zero()).map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{email_address::EmailAddress, username::Username};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_few_failures_are_free_and_each_further_one_waits_twice_as_long_up_to_a_minute() {
        let (mut failures, mut now, mut waits) = (None, at(0), Vec::new());
        for _ in 0..14 {
            let counted = GuessFailures::count(failures, now).unwrap();
            let wait = counted.retry_time - now;
            waits.push(wait.num_seconds());
            if wait > Duration::zero() {
                let tick = Duration::microseconds(1);
                assert_eq!(GuessFailures::count(Some(counted), now), Err(wait));
                assert_eq!(GuessFailures::count(Some(counted), counted.retry_time - tick), Err(tick));
            }
            (failures, now) = (Some(counted), counted.retry_time);
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        for count in [36, 37, 1000, u32::MAX] {
            assert_eq!(GuessFailures::wait(count), LONGEST_WAIT, "{count}");
        }
    }

    #[test]
    fn failures_are_forgotten_an_hour_after_their_last_wait() {
        let failures = GuessFailures { count: 20, retry_time: at(60), expire_time: at(3_660) };
        let counted = |now| GuessFailures::count(Some(failures), now).unwrap().count;
        assert_eq!((counted(at(60)), counted(at(3_659)), counted(at(3_660))), (21, 21, 1));
    }

    #[test]
    fn what_a_clock_wrote_that_was_wrong_locks_nobody_out() {
        let ahead = |seconds| GuessFailures { count: 9, retry_time: at(seconds), expire_time: at(1_000_000) };
        assert_eq!(GuessFailures::count(Some(ahead(120)), at(0)), Err(Duration::seconds(120)));
        let counted = GuessFailures::count(Some(ahead(121)), at(0)).unwrap();
        assert_eq!((counted.count, counted.retry_time), (10, at(32)));
        let last = GuessFailures::count(Some(ahead(0)), policy::max_time() - Duration::seconds(1));
        assert_eq!(last.unwrap().expire_time, policy::max_time());
    }

    #[test]
    fn guesses_are_counted_by_whom_they_mean_in_any_spelling() {
        let username = |text| GuessDigest::of(&UserName::Username(Username::parse(text).unwrap()));
        let email = |text| GuessDigest::of(&UserName::Email(EmailAddress::parse(text).unwrap()));
        let id = |number| GuessDigest::of(&UserName::Id(UserId(uuid::Uuid::from_u128(number))));
        assert_eq!(username("MIKE"), username("mike"));
        assert_eq!(email("mike@EXAMPLE.com"), email("mike@example.com"));
        let others = [username("mike"), username("mika"), email("mike@example.com"), id(1), id(2)];
        for (index, one) in others.iter().enumerate() {
            assert!(others.iter().skip(index + 1).all(|other| other != one), "{index}");
        }
    }
}
