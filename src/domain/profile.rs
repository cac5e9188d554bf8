//! A registration profile: the window in which keys work, and what a key can do in it.

use super::{
    Timestamp, policy,
    user::{User, UserId, UserState},
};

/// What the originals show in the place of an activated profile's key (R8).
pub const ALREADY_ACTIVATED: &str = "ALREADY_ACTIVATED";

/// A user's activation window, and when a key was used in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationProfile {
    /// When the window began.
    pub issue_time: Timestamp,
    /// When it ends; fixed when the profile is made (X12).
    pub expire_time: Timestamp,
    /// When a key of it activated the user; all its keys are spent since then.
    pub activate_time: Option<Timestamp>,
}

/// Where a registration profile stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileState {
    /// Its keys can still activate.
    Pending,
    /// Its window is over.
    Expired,
    /// One of its keys has activated the user.
    Activated,
}

impl RegistrationProfile {
    /// Where the profile stands at `now`.
    pub fn state(&self, now: Timestamp) -> ProfileState {
        if self.activate_time.is_some() {
            ProfileState::Activated
        } else if policy::is_expired(self.expire_time, now) {
            ProfileState::Expired
        } else {
            ProfileState::Pending
        }
    }
}

/// Why a user's keys activate nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// An operator has disabled the user.
    #[error("the user is disabled")]
    Disabled,
    /// The user is active, or the key is spent.
    #[error("the user is activated already")]
    AlreadyActivated {
        /// Who.
        user_id: UserId,
        /// Since when.
        activate_time: Timestamp,
    },
    /// The window is over.
    #[error("the activation window is over")]
    Expired {
        /// Since when.
        expire_time: Timestamp,
    },
    /// Another user has verified the address.
    #[error("another user has verified the email address")]
    EmailTaken,
}

/// Whether a known key of `user` can be used or a further one issued, with the answers in the order of R11.
/// `email_taken` says whether another user has verified the key's address.
/// A user without a profile has no keys, and is nobody's to refuse here.
pub fn refuse_key(user: &User, email_taken: bool, now: Timestamp) -> Result<(), KeyRefusal> {
    let spent = user.profile.and_then(|profile| profile.activate_time);
    if user.state == UserState::Disabled {
        return Err(KeyRefusal::Disabled);
    }
    if user.state == UserState::Active || spent.is_some() {
        let activate_time = user.activate_time.or(spent).unwrap_or(user.create_time);
        return Err(KeyRefusal::AlreadyActivated { user_id: user.id, activate_time });
    }
    match user.profile {
        Some(profile) if policy::is_expired(profile.expire_time, now) => {
            Err(KeyRefusal::Expired { expire_time: profile.expire_time })
        }
        Some(_) | None if email_taken => Err(KeyRefusal::EmailTaken),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::site::SiteId;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_timestamp_micros(micros).unwrap()
    }

    fn user(state: UserState, spent: Option<i64>) -> User {
        User {
            id: UserId(uuid::Uuid::nil()),
            username: "alice".into(),
            email: "alice@example.com".into(),
            email_verified: false,
            state,
            create_time: at(0),
            activate_time: spent.map(at),
            disable_time: None,
            last_login_time: None,
            site: SiteId::parse("default").unwrap(),
            locale: None,
            profile: Some(RegistrationProfile {
                issue_time: at(0),
                expire_time: at(100),
                activate_time: spent.map(at),
            }),
        }
    }

    #[test]
    fn r11_the_answers_come_in_order() {
        let activated =
            KeyRefusal::AlreadyActivated { user_id: UserId(uuid::Uuid::nil()), activate_time: at(50) };
        let expired = KeyRefusal::Expired { expire_time: at(100) };
        for (state, spent, taken, now, answer) in [
            (UserState::Disabled, Some(50), true, 100, Err(KeyRefusal::Disabled)),
            (UserState::Disabled, None, true, 100, Err(KeyRefusal::Disabled)),
            (UserState::Active, Some(50), true, 100, Err(activated)),
            (UserState::Pending, None, true, 100, Err(expired)),
            (UserState::Pending, None, true, 99, Err(KeyRefusal::EmailTaken)),
            (UserState::Pending, None, false, 100, Err(expired)),
            (UserState::Pending, None, false, 99, Ok(())),
        ] {
            assert_eq!(
                refuse_key(&user(state, spent), taken, at(now)),
                answer,
                "{state:?} {spent:?} {taken} {now}"
            );
        }
    }

    #[test]
    fn r10_spent_comes_before_expired() {
        let state = |spent: Option<i64>, now| user(UserState::Pending, spent).profile.unwrap().state(at(now));
        assert_eq!(state(None, 99), ProfileState::Pending);
        assert_eq!(state(None, 100), ProfileState::Expired);
        assert_eq!(state(Some(50), 100), ProfileState::Activated);
    }
}
