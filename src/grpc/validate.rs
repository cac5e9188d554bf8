//! Turns a request's fields into the domain's types, or names every one that can't be.

use secrecy::SecretString;
use tonic::Status;

use super::{
    caller::Caller,
    proto::{
        self, UnverifiedFilter, get_user_request, send_activation_email_request, verify_password_request,
    },
    status,
};
use crate::domain::{
    Invalid, Timestamp,
    activation_code::ActivationCode,
    email_address::{EmailAddress, EmailDomain},
    event_log::{Position, Start},
    mail::MailState,
    password::Password,
    password_policy::PasswordPolicy,
    policy,
    request::{Call, RequestId},
    site::SiteId,
    unverified::{self, CallLimit},
    user::{UserId, UserName, UserState},
    username::{Username, UsernameKey},
};

/// The fields of one request that break a rule.
#[derive(Debug, Default)]
pub struct Fields {
    violations: Vec<(String, String)>,
    password_rejected: bool,
}

/// What shows that an activation mail was read.
pub enum Proof {
    /// The key; whether it can be one is for the operation to say, which tells nobody (X11).
    Key(SecretString),
    /// The code, and the address that it was mailed to.
    Code(EmailAddress, ActivationCode),
}

impl Fields {
    /// The parsed field, or a note of what is wrong with it.
    pub fn check<T>(&mut self, field: &str, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|invalid| self.violations.push((field.to_owned(), invalid.0))).ok()
    }

    /// An optional field: `Some(None)` when it is absent, `None` when it is wrong.
    #[expect(clippy::option_option, reason = "absent and wrong are two things")]
    pub fn check_optional<T>(
        &mut self,
        field: &str,
        value: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<Option<T>> {
        match value {
            None => Some(None),
            Some(text) => self.check(field, parse(text)).map(Some),
        }
    }

    /// A password; if nothing else is wrong, it has a reason of its own.
    #[expect(clippy::option_option, reason = "absent and wrong are two things")]
    pub fn password(&mut self, value: Option<&str>) -> Option<Option<Password>> {
        let password = self.check_optional("password", value, Password::parse);
        self.password_rejected |= password.is_none();
        password
    }

    /// The user that a request's oneof names.
    pub fn user_name(&mut self, user: Option<impl NamesUser>) -> Option<UserName> {
        match user.map(NamesUser::name) {
            None => self.check("user", Err(Invalid::new("must be given: user_id, username or email"))),
            Some(Lookup::Id(text)) => self.check("user_id", UserId::parse(&text)).map(UserName::Id),
            Some(Lookup::Username(text)) => {
                self.check("username", Username::parse(&text)).map(UserName::Username)
            }
            Some(Lookup::Email(text)) => self.check("email", EmailAddress::parse(&text)).map(UserName::Email),
        }
    }

    /// What an activation is asked for with: a key alone, or an address with a code.
    pub fn proof(&mut self, key: String, email: &str, code: &str) -> Option<Proof> {
        if email.is_empty() && code.is_empty() {
            return Some(Proof::Key(key.into()));
        }
        if !key.is_empty() {
            let rule = "must be left out where email and code are given";
            return self.check("activation_key", Err(Invalid::new(rule)));
        }
        let email = self.check("email", EmailAddress::parse(email));
        let code = self.check("code", ActivationCode::parse(code));
        email.zip(code).map(|(email, code)| Proof::Code(email, code))
    }

    /// A new password held against the policy, as far as the names of its user are right.
    #[expect(clippy::option_option, reason = "absent and wrong are two things")]
    pub fn new_password(
        &mut self,
        policy: &PasswordPolicy,
        password: Option<Option<Password>>,
        username: Option<&Username>,
        email: Option<&EmailAddress>,
    ) -> Option<Option<Password>> {
        let Some(password) = password? else { return Some(None) };
        let username = username.map(Username::as_str).unwrap_or_default();
        let email = email.map(EmailAddress::as_str).unwrap_or_default();
        let checked = self.check("password", policy.check(&password, username, email));
        self.password_rejected |= checked.is_none();
        checked.map(|()| Some(password))
    }

    /// Who makes a call, and the id that it is to be known by.
    pub fn call(&mut self, caller: Caller, request_id: &str) -> Option<Call> {
        let present = Some(request_id).filter(|id| !id.is_empty());
        let request_id = self.check_optional("request_id", present, RequestId::parse)?;
        Some(Call { caller: caller.into_name(), request_id })
    }

    /// The status that names all of them.
    pub fn refuse(self) -> Status {
        if self.password_rejected && self.violations.len() == 1 {
            return status::password_rejected(self.violations);
        }
        status::invalid_request(self.violations)
    }
}

/// One field that alone decides.
pub fn field<T>(field: &str, parsed: Result<T, Invalid>) -> Result<T, Status> {
    let mut fields = Fields::default();
    fields.check(field, parsed).ok_or_else(|| fields.refuse())
}

/// A user's id.
pub fn user_id(text: &str) -> Result<UserId, Status> {
    field("user_id", UserId::parse(text))
}

/// What the request looks a user up by, and how that reads.
pub trait NamesUser {
    /// The field that is set.
    fn name(self) -> Lookup;
}

/// What a user is looked up by.
#[derive(Debug)]
pub enum Lookup {
    /// By id.
    Id(String),
    /// By username.
    Username(String),
    /// By email address.
    Email(String),
}

impl NamesUser for get_user_request::User {
    fn name(self) -> Lookup {
        match self {
            Self::UserId(text) => Lookup::Id(text),
            Self::Username(text) => Lookup::Username(text),
            Self::Email(text) => Lookup::Email(text),
        }
    }
}

impl NamesUser for send_activation_email_request::User {
    fn name(self) -> Lookup {
        match self {
            Self::UserId(text) => Lookup::Id(text),
            Self::Username(text) => Lookup::Username(text),
            Self::Email(text) => Lookup::Email(text),
        }
    }
}

impl NamesUser for verify_password_request::User {
    fn name(self) -> Lookup {
        match self {
            Self::UserId(text) => Lookup::Id(text),
            Self::Username(text) => Lookup::Username(text),
            Self::Email(text) => Lookup::Email(text),
        }
    }
}

/// The user that a request's oneof names, and alone decides by.
pub fn user_name(user: Option<impl NamesUser>) -> Result<UserName, Status> {
    let mut fields = Fields::default();
    fields.user_name(user).ok_or_else(|| fields.refuse())
}

/// A filter on never-verified users.
pub fn unverified_filter(
    fields: &mut Fields,
    filter: Option<&UnverifiedFilter>,
) -> Option<unverified::UnverifiedFilter> {
    let Some(filter) = filter else { return Some(unverified::UnverifiedFilter::default()) };
    let mut time = |name: &str, value: Option<&prost_types::Timestamp>| match value {
        None => Some(None),
        Some(value) => fields.check(&format!("filter.{name}"), timestamp(value)).map(Some),
    };
    let created_before = time("created_before", filter.created_before.as_ref());
    let created_after = time("created_after", filter.created_after.as_ref());
    let idle_since = time("idle_since", filter.idle_since.as_ref());
    let present = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
    let domain = present(&filter.email_domain);
    let email_domain = fields.check_optional("filter.email_domain", domain.as_deref(), EmailDomain::parse);
    let site = fields.check_optional("filter.site", present(&filter.site).as_deref(), SiteId::parse);
    let prefix = username_prefix(fields, "filter.username_prefix", &filter.username_prefix);
    let state = fields.check("filter.state", user_state(filter.state));
    Some(unverified::UnverifiedFilter {
        created_before: created_before?,
        created_after: created_after?,
        idle_since: idle_since?,
        expired: filter.expired,
        email_domain: email_domain?,
        username_prefix: prefix?,
        site: site?,
        state: state?,
        include_any_verified: !filter.exclude_any_verified.unwrap_or(true),
    })
}

/// Whom a call acts on, and on how many of them at most.
pub fn selection(
    fields: &mut Fields,
    filter: Option<&UnverifiedFilter>,
    limit: i32,
) -> Option<(unverified::UnverifiedFilter, CallLimit)> {
    let filter = unverified_filter(fields, filter);
    let limit = fields.check("limit", CallLimit::parse(limit));
    filter.zip(limit)
}

/// What usernames begin with; `Some(None)` when all are meant, `None` when it is wrong.
#[expect(clippy::option_option, reason = "absent and wrong are two things")]
pub fn username_prefix(fields: &mut Fields, field: &str, prefix: &str) -> Option<Option<UsernameKey>> {
    let prefix = (!prefix.is_empty()).then_some(prefix);
    fields.check_optional(field, prefix, |text| Username::parse(text).map(|prefix| prefix.key().clone()))
}

/// The state that a condition names; `None` where it is unspecified.
pub fn user_state(state: i32) -> Result<Option<UserState>, Invalid> {
    match proto::UserState::try_from(state) {
        Ok(proto::UserState::Unspecified) => Ok(None),
        Ok(proto::UserState::Pending) => Ok(Some(UserState::Pending)),
        Ok(proto::UserState::Active) => Ok(Some(UserState::Active)),
        Ok(proto::UserState::Disabled) => Ok(Some(UserState::Disabled)),
        Err(_) => Err(Invalid::new("must be one of UserState's values, or unspecified for all")),
    }
}

/// Where a reader of events begins, by the position that it names.
pub fn start(after: &str) -> Result<Start, Invalid> {
    if after.is_empty() { Ok(Start::Oldest) } else { Position::parse(after).map(Start::After) }
}

/// The state of a mail that a condition names; `None` where it is unspecified.
pub fn mail_state(state: i32) -> Result<Option<MailState>, Invalid> {
    match proto::MailState::try_from(state) {
        Ok(proto::MailState::Unspecified) => Ok(None),
        Ok(proto::MailState::Queued) => Ok(Some(MailState::Queued)),
        Ok(proto::MailState::Delivered) => Ok(Some(MailState::Delivered)),
        Ok(proto::MailState::Discarded) => Ok(Some(MailState::Discarded)),
        Err(_) => Err(Invalid::new("must be one of MailState's values, or unspecified for all")),
    }
}

/// An instant of the years 1 to 9999, cut to the microsecond (X21).
pub fn timestamp(value: &prost_types::Timestamp) -> Result<Timestamp, Invalid> {
    let invalid = || Invalid::new("must be an instant of the years 1 to 9999, with 0 to 999,999,999 nanos");
    let nanos = u32::try_from(value.nanos).ok().filter(|nanos| *nanos < 1_000_000_000).ok_or_else(invalid)?;
    Timestamp::from_timestamp(value.seconds, nanos / 1000 * 1000)
        .filter(|time| (policy::min_time()..=policy::max_time()).contains(time))
        .ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x21_instants_outside_the_years_1_to_9999_are_refused() {
        let parse = |seconds, nanos| timestamp(&prost_types::Timestamp { seconds, nanos });
        for (seconds, nanos) in [
            (-62_135_596_801, 0),
            (253_402_300_800, 0),
            (i64::MIN, 0),
            (i64::MAX, 0),
            (0, -1),
            (0, 1_000_000_000),
            (0, i32::MIN),
            (0, i32::MAX),
        ] {
            assert!(parse(seconds, nanos).is_err(), "{seconds} {nanos}");
        }
        assert_eq!(parse(-62_135_596_800, 0).unwrap(), policy::min_time());
        assert_eq!(parse(253_402_300_799, 999_999_999).unwrap(), policy::max_time());
        assert_eq!(parse(1, 1_999).unwrap().timestamp_subsec_nanos(), 1_000);
    }
}
