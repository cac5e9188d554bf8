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

/// What one call of a purge may delete.
#[derive(Debug, Clone, Copy)]
pub struct PurgeScope {
    /// Whose window is over at this instant.
    pub now: Timestamp,
    /// Whether disabled users with an expired or spent key go too (X16).
    pub include_disabled: bool,
}

/// How many users one call of a purge deletes at most: 1 to 100,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgeLimit(u32);

/// What a purge did, or would do.
#[derive(Debug, Clone, Default)]
pub struct Purged {
    /// How many users went, or would.
    pub count: u32,
    /// The first of them, at most [`SAMPLE_SIZE`].
    pub sample: Vec<User>,
    /// Whether users remain that another call would delete.
    pub more: bool,
}

/// How many users a purge shows (AIP-165).
pub const SAMPLE_SIZE: u32 = 100;

impl PurgeLimit {
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

impl Default for PurgeLimit {
    fn default() -> Self {
        Self(Self::DEFAULT)
    }
}
