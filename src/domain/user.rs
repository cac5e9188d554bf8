//! A user and the states it passes through (X1).

use std::fmt;

use uuid::Uuid;

use super::{
    Invalid, Timestamp,
    email_address::EmailAddress,
    locale::Locale,
    parse_uuid,
    profile::RegistrationProfile,
    site::SiteId,
    username::{Username, UsernameKey},
};

/// A user's id, a UUID of version 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub Uuid);

/// Where a user stands between registering and being let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserState {
    /// Registered, not activated.
    Pending,
    /// Activated.
    Active,
    /// Switched off by an operator.
    Disabled,
}

/// Somebody who has registered, as a store keeps them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The username as shown.
    pub username: String,
    /// The primary email address, in the form of [`EmailAddress`].
    pub email: String,
    /// Whether the primary email address is verified.
    pub email_verified: bool,
    /// Where the user stands.
    pub state: UserState,
    /// When the user registered.
    pub create_time: Timestamp,
    /// When the user became active for the first time.
    pub activate_time: Option<Timestamp>,
    /// When the user was disabled, while it is.
    pub disable_time: Option<Timestamp>,
    /// When the user last logged in.
    pub last_login_time: Option<Timestamp>,
    /// The site that the user registered on.
    pub site: SiteId,
    /// What the user's mails are written in, if it was said; otherwise it is the site's locale.
    pub locale: Option<Locale>,
    /// The registration profile, if the user has one.
    pub profile: Option<RegistrationProfile>,
}

/// What a user can be looked up by.
#[derive(Debug, Clone)]
pub enum UserName {
    /// The id.
    Id(UserId),
    /// The username, in any spelling.
    Username(Username),
    /// An email address: which users it means, the call says (X23).
    Email(EmailAddress),
}

/// Conditions on users; all must hold.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Where the user stands.
    pub state: Option<UserState>,
    /// What the username begins with, as usernames are compared.
    pub username_prefix: Option<UsernameKey>,
}

impl UserId {
    /// Accepts a UUID in its form with hyphens.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        parse_uuid(text).map(Self)
    }
}

impl UserName {
    /// What kind of name it is and how it is compared, for a digest.
    pub fn kind_and_bytes(&self) -> (&'static str, &[u8]) {
        match self {
            Self::Id(id) => ("id", id.0.as_bytes()),
            Self::Username(username) => ("username", username.key().as_str().as_bytes()),
            Self::Email(email) => ("email", email.as_str().as_bytes()),
        }
    }
}

impl User {
    /// A user as a registration makes it, with a window that begins with it.
    pub fn registered(
        id: UserId,
        username: &Username,
        email: &EmailAddress,
        site: SiteId,
        locale: Option<Locale>,
        create_time: Timestamp,
        expire_time: Timestamp,
    ) -> Self {
        Self {
            id,
            username: username.as_str().to_owned(),
            email: email.as_str().to_owned(),
            email_verified: false,
            state: UserState::Pending,
            create_time,
            activate_time: None,
            disable_time: None,
            last_login_time: None,
            site,
            locale,
            profile: Some(RegistrationProfile { issue_time: create_time, expire_time, activate_time: None }),
        }
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl UserState {
    /// The state's name in SQL, the proto (behind its prefix) and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Active => "ACTIVE",
            Self::Disabled => "DISABLED",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Pending, Self::Active, Self::Disabled].into_iter().find(|state| state.as_str() == name)
    }
}
