//! What happened, as the event log tells it (X20). An event names a user by id and holds nothing else of theirs,
//! so that nothing of a purged user stays behind.

/// What an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A user and its registration profile were created (R6).
    UserRegistered,
    /// A key, or an operator by hand, activated a user (R12).
    UserActivated,
    /// A mail server took an activation mail.
    ActivationMailSent,
    /// An activation mail was given up.
    ActivationMailFailed,
    /// A user proved that one of its email addresses is its own (U8).
    EmailAddressVerified,
    /// Another of a user's verified email addresses became the primary one (U8).
    PrimaryEmailAddressChanged,
    /// An operator switched a user off.
    UserDisabled,
    /// An operator took the switching off back.
    UserEnabled,
    /// A never-verified user was mailed a reminder (U6).
    UserReminded,
    /// A user was deleted; the event has a [`DeletionReason`].
    UserDeleted,
}

/// Why a user was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletionReason {
    /// The activation window was over, in a purge or because the username was wanted (R15, X7).
    Expired,
    /// A purge of the never-verified selected it (U5).
    Unverified,
    /// An operator asked for it.
    Requested,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::UserRegistered,
        Self::UserActivated,
        Self::ActivationMailSent,
        Self::ActivationMailFailed,
        Self::EmailAddressVerified,
        Self::PrimaryEmailAddressChanged,
        Self::UserDisabled,
        Self::UserEnabled,
        Self::UserReminded,
        Self::UserDeleted,
    ];

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The kind's name in SQL and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserRegistered => "user_registered",
            Self::UserActivated => "user_activated",
            Self::ActivationMailSent => "activation_mail_sent",
            Self::ActivationMailFailed => "activation_mail_failed",
            Self::EmailAddressVerified => "email_address_verified",
            Self::PrimaryEmailAddressChanged => "primary_email_address_changed",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::UserReminded => "user_reminded",
            Self::UserDeleted => "user_deleted",
        }
    }
}

impl DeletionReason {
    /// The reason of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Expired, Self::Unverified, Self::Requested].into_iter().find(|reason| reason.as_str() == name)
    }

    /// The reason's name in SQL and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Unverified => "unverified",
            Self::Requested => "requested",
        }
    }
}
