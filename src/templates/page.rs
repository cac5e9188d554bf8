//! What a page says, and which template says it.

use minijinja::{Value, context};

use super::minute;
use crate::domain::Timestamp;

/// What a page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// A button activates the account.
    Activate {
        /// Until when.
        expire_time: Option<Timestamp>,
    },
    /// The account is active.
    Activated {
        /// Whether it was so before.
        before: bool,
    },
    /// The key of an activation does nothing.
    NotActivated(Refusal),
    /// A button verifies an address.
    Verify,
    /// The address is verified.
    Verified {
        /// Whether it was so before.
        before: bool,
    },
    /// The key of a verification does nothing.
    NotVerified(Refusal),
    /// A form asks for another activation mail.
    Resend {
        /// What was typed.
        email: String,
        /// What is wrong with that, or with us.
        fault: Option<ResendFault>,
    },
    /// If there is an activation mail to send, it is sent.
    Sent,
    /// What was asked for isn't done.
    Trouble(Trouble),
}

/// Why a key does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody has it.
    Unknown,
    /// Its time is over.
    Expired,
    /// Somebody else has verified the address.
    Taken,
    /// The user is disabled.
    Disabled,
}

/// Why the form is shown again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResendFault {
    /// That is no address.
    Invalid,
    /// Nothing can be sent for now.
    Unavailable,
}

/// Why something isn't done, whatever was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such page.
    NotFound,
    /// The page can't be asked for that.
    Method,
    /// Another site has sent the person here with a form of its own.
    Elsewhere,
    /// More was sent than any form of ours sends.
    TooLarge,
    /// What was sent did not come to its end.
    TooSlow,
    /// Too many requests come from there.
    Limited,
    /// For now; the same button can be pressed again, or the same page loaded.
    Unavailable {
        /// Whether a button was pressed.
        pressed: bool,
    },
    /// A fault of ours.
    Failed,
}

impl Page {
    /// The template that makes it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Activate { .. } => "activate",
            Self::Activated { .. } => "activated",
            Self::NotActivated(_) => "not_activated",
            Self::Verify => "verify",
            Self::Verified { .. } => "verified",
            Self::NotVerified(_) => "not_verified",
            Self::Resend { .. } => "resend",
            Self::Sent => "sent",
            Self::Trouble(_) => "trouble",
        }
    }

    /// What its template alone is offered.
    pub(super) fn content(&self) -> Value {
        match self {
            Self::Activate { expire_time } => context! { expire_time => expire_time.map(minute) },
            Self::Activated { before } | Self::Verified { before } => context! { before },
            Self::NotActivated(refusal) | Self::NotVerified(refusal) => {
                context! { reason => refusal.name() }
            }
            Self::Verify | Self::Sent => context! {},
            Self::Resend { email, fault } => context! { email, fault => fault.map(ResendFault::name) },
            Self::Trouble(trouble) => context! { reason => trouble.name(), retry => trouble.retry() },
        }
    }

    /// Whether it is of no use without a form that posts.
    pub(super) fn needs_form(&self) -> bool {
        match self {
            Self::Activate { .. } | Self::Verify | Self::Resend { .. } => true,
            Self::Trouble(trouble) => trouble.retry() == Some("post"),
            Self::Activated { .. }
            | Self::NotActivated(_)
            | Self::Verified { .. }
            | Self::NotVerified(_)
            | Self::Sent => false,
        }
    }

    /// One of every sort, and of every reason that it can have.
    pub(super) fn samples() -> Vec<Self> {
        let mut samples = vec![
            Self::Activate { expire_time: None },
            Self::Activate { expire_time: Some(Timestamp::default()) },
            Self::Verify,
            Self::Sent,
        ];
        samples.extend([false, true].map(|before| Self::Activated { before }));
        samples.extend([false, true].map(|before| Self::Verified { before }));
        samples.extend(Refusal::ALL.map(Self::NotActivated));
        samples.extend(Refusal::ALL.map(Self::NotVerified));
        samples.extend(
            [None, Some(ResendFault::Invalid), Some(ResendFault::Unavailable)]
                .map(|fault| Self::Resend { email: String::new(), fault }),
        );
        samples.extend(Trouble::ALL.map(Self::Trouble));
        samples
    }
}

impl Refusal {
    const ALL: [Self; 4] = [Self::Unknown, Self::Expired, Self::Taken, Self::Disabled];

    fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Taken => "taken",
            Self::Disabled => "disabled",
        }
    }
}

impl ResendFault {
    fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Trouble {
    const ALL: [Self; 9] = [
        Self::NotFound,
        Self::Method,
        Self::Elsewhere,
        Self::TooLarge,
        Self::TooSlow,
        Self::Limited,
        Self::Unavailable { pressed: false },
        Self::Unavailable { pressed: true },
        Self::Failed,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Method => "method",
            Self::Elsewhere => "elsewhere",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::Limited => "limited",
            Self::Unavailable { .. } => "unavailable",
            Self::Failed => "failed",
        }
    }

    /// The method that the same thing is asked for again with, where that may help.
    fn retry(self) -> Option<&'static str> {
        match self {
            Self::Unavailable { pressed: true } => Some("post"),
            Self::Unavailable { pressed: false } => Some("get"),
            Self::NotFound
            | Self::Method
            | Self::Elsewhere
            | Self::TooLarge
            | Self::TooSlow
            | Self::Limited
            | Self::Failed => None,
        }
    }
}
