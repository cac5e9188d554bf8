//! Which never-verified users are meant, by a list or by a purge.

use super::{
    Invalid, Timestamp,
    email_address::EmailDomain,
    site::SiteId,
    user::{User, UserState},
    username::UsernameKey,
};

/// Conditions on users whose primary email address is unverified; all must hold (U1 to U3).
#[derive(Debug, Clone, Default)]
pub struct UnverifiedFilter {
    /// Registered before then.
    pub created_before: Option<Timestamp>,
    /// Registered at or after then.
    pub created_after: Option<Timestamp>,
    /// Not logged in at or after then; never included (U2).
    pub idle_since: Option<Timestamp>,
    /// Whether the window is over; users without a profile are neither.
    pub expired: Option<bool>,
    /// The domain of the primary email address.
    pub email_domain: Option<EmailDomain>,
    /// What the username begins with, as usernames are compared.
    pub username_prefix: Option<UsernameKey>,
    /// The site registered on.
    pub site: Option<SiteId>,
    /// Where the user stands.
    pub state: Option<UserState>,
    /// Also users who have verified some other address (X19).
    pub include_any_verified: bool,
}

/// Whom PurgeUnverified deletes: of the users whom a filter selects, the pending ones who have a profile and no
/// verified address at all (X16).
#[derive(Debug, Clone)]
pub struct PurgeSelection {
    /// Which of the never-verified.
    pub filter: UnverifiedFilter,
    /// The instant by which windows are over or not.
    pub now: Timestamp,
}

/// What one call of a purge may delete.
#[derive(Debug, Clone, Copy)]
pub struct PurgeScope {
    /// Whose window is over at this instant.
    pub now: Timestamp,
    /// Whether disabled users with an expired or spent key go too (X16).
    pub include_disabled: bool,
}

/// How many users one call deletes or reminds at most: 1 to 100,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimit(u32);

/// What a call did to users, or would do.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How many users it was done to.
    pub count: u32,
    /// The first of them, at most [`SAMPLE_SIZE`].
    pub sample: Vec<User>,
    /// Whether users remain that another call would find.
    pub more: bool,
}

/// How many users a tally shows (AIP-165).
pub const SAMPLE_SIZE: u32 = 100;

impl UnverifiedFilter {
    /// Whether it asks for more than that the primary address is unverified, as a deletion has to (U5). A state does
    /// not: a purge takes pending users only, which most of them are.
    pub fn is_selective(&self) -> bool {
        self.created_before.is_some()
            || self.created_after.is_some()
            || self.idle_since.is_some()
            || self.expired.is_some()
            || self.email_domain.is_some()
            || self.username_prefix.is_some()
            || self.site.is_some()
    }
}

impl CallLimit {
    const DEFAULT: u32 = 10_000;
    const MAX: u32 = 100_000;

    /// Reads a request's `limit`: 0 means 10,000, more than 100,000 means 100,000, negative is refused.
    pub fn parse(limit: i32) -> Result<Self, Invalid> {
        match u32::try_from(limit) {
            Ok(0) => Ok(Self(Self::DEFAULT)),
            Ok(limit) => Ok(Self(limit.min(Self::MAX))),
            Err(_) => Err(Invalid::new("must not be negative; 0 means 10,000")),
        }
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for CallLimit {
    fn default() -> Self {
        Self(Self::DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::username::Username;

    #[test]
    fn u5_a_filter_is_selective_by_any_condition_but_the_state_and_other_addresses() {
        let all = UnverifiedFilter::default;
        let (time, text) = (Some(Timestamp::default()), "example");
        for filter in [
            UnverifiedFilter { created_before: time, ..all() },
            UnverifiedFilter { created_after: time, ..all() },
            UnverifiedFilter { idle_since: time, ..all() },
            UnverifiedFilter { expired: Some(false), ..all() },
            UnverifiedFilter { email_domain: EmailDomain::parse("example.com").ok(), ..all() },
            UnverifiedFilter {
                username_prefix: Username::parse(text).ok().map(|name| name.key().clone()),
                ..all()
            },
            UnverifiedFilter { site: SiteId::parse(text).ok(), ..all() },
        ] {
            assert!(filter.is_selective(), "{filter:?}");
        }
        for filter in [
            all(),
            UnverifiedFilter { include_any_verified: true, ..all() },
            UnverifiedFilter { state: Some(UserState::Pending), ..all() },
        ] {
            assert!(!filter.is_selective(), "{filter:?}");
        }
    }
}
