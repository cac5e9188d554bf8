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
    /// An operator switched a user off.
    UserDisabled,
    /// An operator took the switching off back.
    UserEnabled,
    /// A user was deleted; the event has a [`DeletionReason`].
    UserDeleted,
}

/// Why a user was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletionReason {
    /// The activation window was over, in a purge or because the username was wanted (R15, X7).
    Expired,
    /// An operator asked for it.
    Requested,
}

impl EventKind {
    /// The kind's name in SQL and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserRegistered => "user_registered",
            Self::UserActivated => "user_activated",
            Self::ActivationMailSent => "activation_mail_sent",
            Self::ActivationMailFailed => "activation_mail_failed",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::UserDeleted => "user_deleted",
        }
    }
}

impl DeletionReason {
    /// The reason's name in SQL and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Requested => "requested",
        }
    }
}
