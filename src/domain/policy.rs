//! The numbers and the one comparison that decide when something is over.

use chrono::Duration;

use super::{Invalid, Timestamp};

/// How many activation keys of one user, and how many keys that verify one of its addresses, work at the same time; a
/// further one kills the oldest (X15).
pub const MAX_LIVE_KEYS: u32 = 5;
/// How many pending claims of one address are mailed by one call (X23).
pub const MAX_CLAIMS_MAILED: u32 = 3;
/// How long a mail is tried that carries no key: a week.
pub const NOTICE_LIFETIME: Duration = Duration::days(7);

/// How many days an activation key lives: 0 to 36,500, a hundred years (R10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivationDays(u32);

impl ActivationDays {
    /// The longest a key can live.
    const MAX: u32 = 36_500;

    /// Accepts 0 (a key expires at once) and up; a negative number is refused (R10).
    pub fn new(days: i64) -> Result<Self, Invalid> {
        match u32::try_from(days) {
            Ok(days) if days <= Self::MAX => Ok(Self(days)),
            Ok(_) | Err(_) => Err(Invalid::new(format!("must be 0 to {} days", Self::MAX))),
        }
    }

    /// The configured number, as mails state it.
    pub fn get(self) -> u32 {
        self.0
    }

    /// When a key issued at `issue_time` expires (X12), at the latest with the year 9999 (X21).
    pub fn expire_time(self, issue_time: Timestamp) -> Timestamp {
        later(issue_time, Duration::days(self.0.into()))
    }
}

/// R10: at exactly `expire_time` a key is expired, one microsecond earlier it is not.
/// The stores' SQL makes the same comparison, `expire_time <= now`.
pub fn is_expired(expire_time: Timestamp, now: Timestamp) -> bool {
    expire_time <= now
}

/// How far the service's clock may differ from another one before it is not trusted with a deletion (X22).
pub const CLOCK_TOLERANCE: Duration = Duration::seconds(60);

/// X22: whether two clocks differ by more than a minute.
pub fn is_clock_suspect(service_time: Timestamp, reference_time: Timestamp) -> bool {
    (service_time - reference_time).abs() > CLOCK_TOLERANCE
}

/// An instant a span later, at the latest with the year 9999 (X21).
pub fn later(time: Timestamp, span: Duration) -> Timestamp {
    time.checked_add_signed(span).map_or_else(max_time, |time| time.min(max_time()))
}

/// The first instant that Vestibule knows: year 1 (X21).
pub fn min_time() -> Timestamp {
    Timestamp::from_timestamp(-62_135_596_800, 0).unwrap_or_default()
}

/// The last instant that Vestibule knows: the end of year 9999 (X21).
pub fn max_time() -> Timestamp {
    Timestamp::from_timestamp(253_402_300_799, 999_999_000).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_timestamp_micros(micros).unwrap()
    }

    #[test]
    fn r10_a_key_is_expired_at_its_instant_and_not_a_microsecond_earlier() {
        let expire_time = ActivationDays::new(7).unwrap().expire_time(at(0));
        assert_eq!(expire_time, at(7 * 86_400_000_000));
        assert!(is_expired(expire_time, expire_time));
        assert!(!is_expired(expire_time, expire_time - Duration::microseconds(1)));
    }

    #[test]
    fn r10_zero_days_expire_at_once_and_negative_days_are_refused() {
        let expire_time = ActivationDays::new(0).unwrap().expire_time(at(5));
        assert!(is_expired(expire_time, at(5)));
        assert!(ActivationDays::new(-1).is_err());
    }

    #[test]
    fn x21_nothing_expires_after_the_year_9999() {
        assert_eq!(min_time().to_rfc3339(), "0001-01-01T00:00:00+00:00");
        assert_eq!(max_time().to_rfc3339(), "9999-12-31T23:59:59.999999+00:00");
        let days = ActivationDays::new(1).unwrap();
        assert_eq!(days.expire_time(max_time()), max_time());
        assert!(ActivationDays::new(i64::MAX).is_err());
    }
}
