//! A user's email addresses, what may be done to them, and what a key that verifies one can do (U8).

use super::{
    Timestamp,
    email_address::EmailAddress,
    policy,
    user::{User, UserId, UserState},
};

/// An address that a user claims or has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEmailAddress {
    /// The address, in the form of [`EmailAddress`].
    pub email: String,
    /// Whether it is the primary one, of which every user has exactly one.
    pub primary: bool,
    /// When it was added.
    pub create_time: Timestamp,
    /// When the user proved that it is its own; absent until then.
    pub verify_time: Option<Timestamp>,
}

/// How many addresses a user may have: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxEmailAddresses(usize);

impl MaxEmailAddresses {
    /// Accepts 1 to 100; `None` for any other number.
    pub fn new(number: u32) -> Option<Self> {
        let number = usize::try_from(number).ok()?;
        (1..=100).contains(&number).then_some(Self(number))
    }
}

/// Why nothing was done to a user's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefusal {
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// An operator has disabled the user.
    #[error("the user is disabled")]
    UserDisabled,
    /// The user's primary address is verified by activating, and can't be replaced before.
    #[error("the user is pending")]
    UserPending,
    /// The user has no such address.
    #[error("the user has no such email address")]
    NotFound,
    /// The user has the address.
    #[error("the user has the email address already")]
    Exists,
    /// The user has as many as one may have.
    #[error("the user has too many email addresses")]
    TooMany,
    /// Another user has verified the address.
    #[error("another user has verified the email address")]
    EmailTaken,
    /// The user has verified the address.
    #[error("the email address is verified already")]
    AlreadyVerified {
        /// Who.
        user_id: UserId,
        /// Since when.
        verify_time: Timestamp,
    },
    /// Only a verified address can be the primary one.
    #[error("the email address is not verified")]
    NotVerified,
    /// The primary address stays.
    #[error("the email address is the primary one")]
    Primary,
}

/// Why a known key verifies no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerificationRefusal {
    /// An operator has disabled the user.
    #[error("the user is disabled")]
    Disabled,
    /// The address is verified, and so the key is spent.
    #[error("the email address is verified already")]
    AlreadyVerified {
        /// Who.
        user_id: UserId,
        /// Since when.
        verify_time: Timestamp,
    },
    /// The key's window is over.
    #[error("the key has expired")]
    Expired {
        /// Since when.
        expire_time: Timestamp,
    },
    /// Another user has verified the address.
    #[error("another user has verified the email address")]
    EmailTaken,
}

/// Whether `user`, who has `addresses`, can be given a further one.
pub fn refuse_addition(
    user: &User,
    addresses: &[UserEmailAddress],
    email: &EmailAddress,
    email_taken: bool,
    max: MaxEmailAddresses,
) -> Result<(), AddressRefusal> {
    refuse_disabled(user)?;
    if find(addresses, email).is_ok() {
        return Err(AddressRefusal::Exists);
    }
    if email_taken {
        return Err(AddressRefusal::EmailTaken);
    }
    if addresses.len() >= max.0 { Err(AddressRefusal::TooMany) } else { Ok(()) }
}

/// Whether a further key can be mailed to an address.
pub fn refuse_issue(
    user: &User,
    addresses: &[UserEmailAddress],
    email: &EmailAddress,
    email_taken: bool,
) -> Result<(), AddressRefusal> {
    refuse_disabled(user)?;
    let address = find(addresses, email)?;
    if let Some(verify_time) = address.verify_time {
        return Err(AddressRefusal::AlreadyVerified { user_id: user.id, verify_time });
    }
    if address.primary && user.state == UserState::Pending {
        return Err(AddressRefusal::UserPending);
    }
    if email_taken { Err(AddressRefusal::EmailTaken) } else { Ok(()) }
}

/// Whether a known key of `address`, which expires at `expire_time`, verifies it, with the answers in the order of R11.
/// `email_taken` says whether another user has verified the address.
pub fn refuse_verification(
    user: &User,
    address: &UserEmailAddress,
    expire_time: Timestamp,
    email_taken: bool,
    now: Timestamp,
) -> Result<(), VerificationRefusal> {
    if user.state == UserState::Disabled {
        return Err(VerificationRefusal::Disabled);
    }
    if let Some(verify_time) = address.verify_time {
        return Err(VerificationRefusal::AlreadyVerified { user_id: user.id, verify_time });
    }
    if policy::is_expired(expire_time, now) {
        return Err(VerificationRefusal::Expired { expire_time });
    }
    if email_taken { Err(VerificationRefusal::EmailTaken) } else { Ok(()) }
}

/// Whether an address can become the primary one; that it is already speaks against nothing.
pub fn refuse_primary(
    user: &User,
    addresses: &[UserEmailAddress],
    email: &EmailAddress,
) -> Result<(), AddressRefusal> {
    refuse_disabled(user)?;
    let address = find(addresses, email)?;
    if address.primary {
        return Ok(());
    }
    if user.state == UserState::Pending {
        return Err(AddressRefusal::UserPending);
    }
    if address.verify_time.is_none() { Err(AddressRefusal::NotVerified) } else { Ok(()) }
}

/// Whether an address can be removed.
pub fn refuse_removal(
    user: &User,
    addresses: &[UserEmailAddress],
    email: &EmailAddress,
) -> Result<(), AddressRefusal> {
    refuse_disabled(user)?;
    if find(addresses, email)?.primary { Err(AddressRefusal::Primary) } else { Ok(()) }
}

fn refuse_disabled(user: &User) -> Result<(), AddressRefusal> {
    if user.state == UserState::Disabled { Err(AddressRefusal::UserDisabled) } else { Ok(()) }
}

fn find<'a>(
    addresses: &'a [UserEmailAddress],
    email: &EmailAddress,
) -> Result<&'a UserEmailAddress, AddressRefusal> {
    addresses.iter().find(|address| address.email == email.as_str()).ok_or(AddressRefusal::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::site::SiteId;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_timestamp_micros(micros).unwrap()
    }

    fn user(state: UserState) -> User {
        User {
            id: UserId(uuid::Uuid::nil()),
            username: "alice".into(),
            email: "first@example.com".into(),
            email_verified: false,
            state,
            create_time: at(0),
            activate_time: (state == UserState::Active).then_some(at(1)),
            disable_time: (state == UserState::Disabled).then_some(at(2)),
            last_login_time: None,
            site: SiteId::parse("default").unwrap(),
            locale: None,
            profile: None,
        }
    }

    fn address(email: &str, primary: bool, verified: bool) -> UserEmailAddress {
        let verify_time = verified.then_some(at(50));
        UserEmailAddress { email: email.into(), primary, create_time: at(0), verify_time }
    }

    fn email(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap()
    }

    #[test]
    fn u8_r11_what_a_key_answers_comes_in_order() {
        use UserState::{Active, Disabled, Pending};
        use VerificationRefusal as Refusal;
        let verified = Refusal::AlreadyVerified { user_id: UserId(uuid::Uuid::nil()), verify_time: at(50) };
        let expired = Refusal::Expired { expire_time: at(100) };
        for (state, verify, taken, now, answer) in [
            (Disabled, true, true, 100, Err(Refusal::Disabled)),
            (Active, true, true, 100, Err(verified)),
            (Active, false, true, 100, Err(expired)),
            (Active, false, true, 99, Err(Refusal::EmailTaken)),
            (Active, false, false, 99, Ok(())),
            (Pending, false, false, 99, Ok(())),
        ] {
            let address = address("second@example.com", false, verify);
            let refusal = refuse_verification(&user(state), &address, at(100), taken, at(now));
            assert_eq!(refusal, answer, "{state:?} {verify} {taken} {now}");
        }
    }

    #[test]
    fn u8_what_speaks_against_an_address_comes_in_order() {
        use AddressRefusal as Refusal;
        let addresses =
            [address("first@example.com", true, false), address("second@example.com", false, false)];
        let (pending, active, disabled) =
            (user(UserState::Pending), user(UserState::Active), user(UserState::Disabled));
        let [two, three] = [2, 3].map(|number| MaxEmailAddresses::new(number).unwrap());
        let add = |user, text, taken, max| refuse_addition(user, &addresses, &email(text), taken, max);
        assert_eq!(add(&disabled, "first@example.com", true, two), Err(Refusal::UserDisabled));
        assert_eq!(add(&active, "first@example.com", true, two), Err(Refusal::Exists));
        assert_eq!(add(&active, "new@example.com", true, two), Err(Refusal::EmailTaken));
        assert_eq!(add(&active, "new@example.com", false, two), Err(Refusal::TooMany));
        assert_eq!(add(&pending, "new@example.com", false, three), Ok(()));
        let issue = |user, text, taken| refuse_issue(user, &addresses, &email(text), taken);
        assert_eq!(issue(&disabled, "new@example.com", true), Err(Refusal::UserDisabled));
        assert_eq!(issue(&pending, "new@example.com", true), Err(Refusal::NotFound));
        assert_eq!(issue(&pending, "first@example.com", true), Err(Refusal::UserPending));
        assert_eq!(issue(&active, "first@example.com", true), Err(Refusal::EmailTaken));
        assert_eq!(issue(&active, "first@example.com", false), Ok(()));
        assert_eq!(issue(&pending, "second@example.com", false), Ok(()));
        let primary = |user, text| refuse_primary(user, &addresses, &email(text));
        assert_eq!(primary(&disabled, "first@example.com"), Err(Refusal::UserDisabled));
        assert_eq!(primary(&pending, "new@example.com"), Err(Refusal::NotFound));
        assert_eq!(primary(&pending, "first@example.com"), Ok(()));
        assert_eq!(primary(&pending, "second@example.com"), Err(Refusal::UserPending));
        assert_eq!(primary(&active, "second@example.com"), Err(Refusal::NotVerified));
        let remove = |user, text| refuse_removal(user, &addresses, &email(text));
        assert_eq!(remove(&disabled, "second@example.com"), Err(Refusal::UserDisabled));
        assert_eq!(remove(&active, "new@example.com"), Err(Refusal::NotFound));
        assert_eq!(remove(&active, "first@example.com"), Err(Refusal::Primary));
        assert_eq!(remove(&pending, "second@example.com"), Ok(()));
    }

    #[test]
    fn a_user_may_have_one_to_a_hundred_addresses() {
        assert!([1, 10, 100].into_iter().all(|number| MaxEmailAddresses::new(number).is_some()));
        assert!([0, 101, u32::MAX].into_iter().all(|number| MaxEmailAddresses::new(number).is_none()));
    }
}
