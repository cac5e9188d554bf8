//! The one place where an error becomes a `Status`: code, reason, details, and a plain sentence.
//!
//! Every variant has an arm of its own, so that a new one does not compile until somebody has decided.

mod email_addresses;
mod events;
mod mails;
mod passwords;
mod requests;
mod unverified;
mod users;

use std::{collections::HashMap, error::Error, time::Duration};

use chrono::SecondsFormat;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

pub use email_addresses::*;
pub use events::*;
pub use mails::*;
pub use passwords::*;
use requests::{mail_limit, request};
pub use unverified::*;
pub use users::*;

use super::{front, proto::ErrorReason};
use crate::{
    causes::Causes,
    domain::{
        Timestamp,
        email_address::EmailAddress,
        profile::KeyRefusal,
        site::SiteId,
        user::{UserId, UserName},
        username::Username,
    },
    hashing::Overloaded,
    operations::{
        ActivateError, ClockError, CreateInactiveUserError, CreateRegistrationProfileError,
        DeleteRegistrationProfileError, GetRegistrationProfileError, InspectActivationKeyError,
        IssueKeyError,
    },
    repository::StorageError,
    templates::TemplateError,
};

/// The domain of every reason.
pub const DOMAIN: &str = "vestibule";

const USER: &str = "vestibule.v1.User";
const REGISTRATION_PROFILE: &str = "vestibule.v1.RegistrationProfile";
/// How long a caller who met an overloaded or unreachable server should wait.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// CreateInactiveUser's refusals.
pub fn create_inactive_user(
    error: CreateInactiveUserError,
    username: &Username,
    email: &EmailAddress,
) -> Status {
    match error {
        CreateInactiveUserError::UnknownSite => unknown_site("site"),
        CreateInactiveUserError::RegistrationClosed(site) => registration_closed(&site),
        CreateInactiveUserError::UsernameTaken => refuse(
            Code::AlreadyExists,
            ErrorReason::UsernameTaken,
            "The username is in use.",
            ErrorDetails::with_resource_info(USER, username.as_str(), "", "An equal username is in use."),
        ),
        CreateInactiveUserError::EmailTaken => email_taken(email),
        CreateInactiveUserError::Request(error) => request(&error),
        CreateInactiveUserError::MailLimit(reached) => mail_limit(reached),
        CreateInactiveUserError::Overloaded(Overloaded) => overloaded(),
        CreateInactiveUserError::Clock(error) => clock(error),
        CreateInactiveUserError::Template(error) => template(&error),
        CreateInactiveUserError::Storage(error) => storage(&error),
    }
}

/// Activate's refusals.
pub fn activate(error: ActivateError) -> Status {
    match error {
        ActivateError::UnknownKey => key_unknown(),
        ActivateError::CodeRejected => activation_code_rejected(),
        ActivateError::Key(refusal) => key_refused(refusal),
        ActivateError::PasswordRejected(invalid) => password_refused(invalid),
        ActivateError::Overloaded(Overloaded) => overloaded(),
        ActivateError::Storage(error) => storage(&error),
    }
}

/// InspectActivationKey's refusals.
pub fn inspect_activation_key(error: InspectActivationKeyError) -> Status {
    match error {
        InspectActivationKeyError::UnknownKey => key_unknown(),
        InspectActivationKeyError::Storage(error) => storage(&error),
    }
}

/// The refusals of SendActivationEmail and ReissueActivationKey.
pub fn issue_key(error: IssueKeyError, asked: &str) -> Status {
    match error {
        IssueKeyError::UserNotFound => user_not_found(asked),
        IssueKeyError::ProfileNotFound => profile_not_found(asked),
        IssueKeyError::Key(refusal) => key_refused(refusal),
        IssueKeyError::Request(error) => request(&error),
        IssueKeyError::MailLimit(reached) => mail_limit(reached),
        IssueKeyError::Overloaded(Overloaded) => overloaded(),
        IssueKeyError::Template(error) => template(&error),
        IssueKeyError::Storage(error) => storage(&error),
    }
}

/// GetRegistrationProfile's refusals.
pub fn get_registration_profile(error: GetRegistrationProfileError, user_id: UserId) -> Status {
    match error {
        GetRegistrationProfileError::UserNotFound => user_not_found(&user_id.to_string()),
        GetRegistrationProfileError::ProfileNotFound => profile_not_found(&user_id.to_string()),
        GetRegistrationProfileError::Storage(error) => storage(&error),
    }
}

/// CreateRegistrationProfile's refusals.
pub fn create_registration_profile(error: CreateRegistrationProfileError, user_id: UserId) -> Status {
    match error {
        CreateRegistrationProfileError::UserNotFound => user_not_found(&user_id.to_string()),
        CreateRegistrationProfileError::ProfileExists => refuse(
            Code::AlreadyExists,
            ErrorReason::RegistrationProfileExists,
            "The user has a registration profile already.",
            ErrorDetails::with_resource_info(
                REGISTRATION_PROFILE,
                user_id.to_string(),
                "",
                "The user has one already.",
            ),
        ),
        CreateRegistrationProfileError::Key(refusal) => key_refused(refusal),
        CreateRegistrationProfileError::Request(error) => request(&error),
        CreateRegistrationProfileError::MailLimit(reached) => mail_limit(reached),
        CreateRegistrationProfileError::Overloaded(Overloaded) => overloaded(),
        CreateRegistrationProfileError::Template(error) => template(&error),
        CreateRegistrationProfileError::Storage(error) => storage(&error),
    }
}

/// DeleteRegistrationProfile's refusals.
pub fn delete_registration_profile(error: DeleteRegistrationProfileError, user_id: UserId) -> Status {
    match error {
        DeleteRegistrationProfileError::UserNotFound => user_not_found(&user_id.to_string()),
        DeleteRegistrationProfileError::ProfileNotFound => profile_not_found(&user_id.to_string()),
        DeleteRegistrationProfileError::Storage(error) => storage(&error),
    }
}

/// How a ResourceInfo names the user that was asked for.
pub fn resource(name: &UserName) -> String {
    match name {
        UserName::Id(id) => id.to_string(),
        UserName::Username(username) => username.to_string(),
        UserName::Email(email) => email.to_string(),
    }
}

/// Every field that breaks a rule, with what would be right.
pub fn invalid_request(violations: Vec<(String, String)>) -> Status {
    fields(ErrorReason::InvalidRequest, "The request is invalid", violations)
}

/// A page token that continues nothing.
pub fn invalid_page_token() -> Status {
    let violation = "must be the next_page_token of the same query".to_owned();
    fields(
        ErrorReason::InvalidPageToken,
        "The page token continues no such query",
        vec![("page_token".to_owned(), violation)],
    )
}

/// The caller has to show a credential.
pub fn caller_unauthenticated() -> Status {
    refuse(
        Code::Unauthenticated,
        ErrorReason::CallerUnauthenticated,
        "Callers from other machines are refused; access.anonymous says who may call.",
        ErrorDetails::new(),
    )
}

/// Too much of `subject` came in too short a time; it may come again after `retry_delay`.
pub fn rate_limited(subject: &str, description: &str, retry_delay: Duration) -> Status {
    let mut details = ErrorDetails::with_retry_info(Some(retry_delay));
    details.add_quota_failure_violation(subject, description);
    refuse(Code::ResourceExhausted, ErrorReason::RateLimited, "Too many in too short a time.", details)
}

/// The caller's deadline has passed.
pub fn deadline_exceeded() -> Status {
    refuse(
        Code::DeadlineExceeded,
        ErrorReason::DeadlineExceeded,
        "The deadline has passed; what was begun is carried out all the same.",
        ErrorDetails::new(),
    )
}

/// This server is shutting down.
pub fn draining() -> Status {
    refuse(
        Code::Unavailable,
        ErrorReason::Draining,
        "This server is shutting down.",
        ErrorDetails::with_retry_info(Some(Duration::ZERO)),
    )
}

/// A fault of ours: the cause is logged under the request's id, and the caller gets the id.
pub fn internal(cause: &(dyn Error + 'static)) -> Status {
    tracing::error!(error = %Causes(cause), "internal error");
    refuse(
        Code::Internal,
        ErrorReason::Internal,
        "Internal error; the log has it under the request's id.",
        ErrorDetails::with_request_info(front::request_id(), ""),
    )
}

fn storage(error: &StorageError) -> Status {
    match error {
        StorageError::Unavailable(_) => {
            tracing::warn!(error = %Causes(error), "database unavailable");
            refuse(
                Code::Unavailable,
                ErrorReason::StorageUnavailable,
                "The database is unavailable.",
                ErrorDetails::with_retry_info(Some(RETRY_DELAY)),
            )
        }
        StorageError::Conflict(_) => refuse(
            Code::Aborted,
            ErrorReason::ConcurrentUpdate,
            "Another call changed the same thing at the same time; try again.",
            ErrorDetails::with_retry_info(Some(Duration::ZERO)),
        ),
        StorageError::Database(_) | StorageError::Corrupt(_) => internal(error),
    }
}

fn template(error: &TemplateError) -> Status {
    match error {
        TemplateError::Read { .. }
        | TemplateError::Broken { .. }
        | TemplateError::UnknownName { .. }
        | TemplateError::NoKey { .. }
        | TemplateError::NoCode { .. }
        | TemplateError::NoForm { .. }
        | TemplateError::Incomplete { .. }
        | TemplateError::Stray { .. }
        | TemplateError::NoLocale { .. } => internal(error),
    }
}

fn overloaded() -> Status {
    refuse(
        Code::ResourceExhausted,
        ErrorReason::Overloaded,
        "Too many passwords wait to be hashed; try again.",
        ErrorDetails::with_retry_info(Some(RETRY_DELAY)),
    )
}

fn email_taken(email: &EmailAddress) -> Status {
    refuse(
        Code::AlreadyExists,
        ErrorReason::EmailTaken,
        "Another user has verified the email address.",
        ErrorDetails::with_resource_info(USER, email.as_str(), "", "Another user has verified the address."),
    )
}

fn key_unknown() -> Status {
    refuse(Code::NotFound, ErrorReason::ActivationKeyUnknown, "The key is unknown.", ErrorDetails::new())
}

fn key_refused(refusal: KeyRefusal) -> Status {
    let (reason, message) = match refusal {
        KeyRefusal::Disabled => (ErrorReason::UserDisabled, "The user is disabled."),
        KeyRefusal::AlreadyActivated { .. } => {
            (ErrorReason::AlreadyActivated, "The user is activated already.")
        }
        KeyRefusal::Expired { .. } => (ErrorReason::ActivationKeyExpired, "The activation key has expired."),
        KeyRefusal::EmailTaken => (ErrorReason::EmailTaken, "Another user has verified the email address."),
    };
    let metadata = match refusal {
        KeyRefusal::AlreadyActivated { user_id, activate_time } => HashMap::from([
            ("user_id".to_owned(), user_id.to_string()),
            ("activate_time".to_owned(), rfc3339(activate_time)),
        ]),
        KeyRefusal::Expired { expire_time } => {
            HashMap::from([("expire_time".to_owned(), rfc3339(expire_time))])
        }
        KeyRefusal::Disabled | KeyRefusal::EmailTaken => HashMap::new(),
    };
    let details = ErrorDetails::with_precondition_failure_violation(name(reason), "activation_key", message);
    refuse_with(Code::FailedPrecondition, reason, message, details, metadata)
}

fn user_disabled(user_id: UserId) -> Status {
    let (reason, message) = (ErrorReason::UserDisabled, "The user is disabled.");
    let details =
        ErrorDetails::with_precondition_failure_violation(name(reason), user_id.to_string(), message);
    refuse(Code::FailedPrecondition, reason, message, details)
}

fn clock(error: ClockError) -> Status {
    let (service_time, reference, reference_time) = match error {
        ClockError::Storage(error) => return storage(&error),
        ClockError::Suspect { service_time, reference, reference_time } => {
            (service_time, reference, reference_time)
        }
    };
    let reason = ErrorReason::ClockSuspect;
    let message = "The service's clock can't be trusted, and so nothing is deleted by it.";
    let details =
        ErrorDetails::with_precondition_failure_violation(name(reason), reference.as_str(), message);
    let metadata = HashMap::from([
        ("service_time".to_owned(), rfc3339(service_time)),
        ("reference".to_owned(), reference.as_str().to_owned()),
        ("reference_time".to_owned(), rfc3339(reference_time)),
    ]);
    refuse_with(Code::FailedPrecondition, reason, message, details, metadata)
}

fn user_not_found(asked: &str) -> Status {
    refuse(
        Code::NotFound,
        ErrorReason::UserNotFound,
        "There is no such user.",
        ErrorDetails::with_resource_info(USER, asked, "", "There is no such user."),
    )
}

fn profile_not_found(asked: &str) -> Status {
    refuse(
        Code::NotFound,
        ErrorReason::RegistrationProfileNotFound,
        "The user has no registration profile.",
        ErrorDetails::with_resource_info(REGISTRATION_PROFILE, asked, "", "The user has none."),
    )
}

fn unknown_site(field: &str) -> Status {
    invalid_request(vec![(field.to_owned(), "must be the id of one of the settings' sites".to_owned())])
}

fn registration_closed(site: &SiteId) -> Status {
    let (reason, message) = (ErrorReason::RegistrationClosed, "Nobody can register on the site.");
    let details = ErrorDetails::with_precondition_failure_violation(name(reason), site.as_str(), message);
    refuse(Code::FailedPrecondition, reason, message, details)
}

fn fields(reason: ErrorReason, message: &str, violations: Vec<(String, String)>) -> Status {
    let list: Vec<_> = violations.iter().map(|(field, rule)| format!("{field} {rule}")).collect();
    let message = format!("{message}: {}.", list.join("; "));
    let violations: Vec<_> =
        violations.into_iter().map(|(field, rule)| FieldViolation::new(field, rule)).collect();
    refuse(Code::InvalidArgument, reason, &message, ErrorDetails::with_bad_request(violations))
}

fn refuse(code: Code, reason: ErrorReason, message: &str, details: ErrorDetails) -> Status {
    refuse_with(code, reason, message, details, HashMap::new())
}

fn refuse_with(
    code: Code,
    reason: ErrorReason,
    message: &str,
    mut details: ErrorDetails,
    metadata: HashMap<String, String>,
) -> Status {
    details.set_error_info(name(reason), DOMAIN, metadata);
    Status::with_error_details(code, message, details)
}

/// A reason as it stands in ErrorInfo: the enum value's name without the prefix.
fn name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

fn rfc3339(time: Timestamp) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        domain::{
            Invalid,
            event_log::{LogId, Position},
            mail::MailId,
            mail_limit::{MailLimit, MailLimitReached},
            user_email_address::{AddressRefusal, VerificationRefusal},
        },
        hashing::Overloaded,
        operations::{
            ActivateUserError, DeleteUserError, DisableUserError, DiscardMailError, EmailAddressError,
            EnableUserError, GetMailError, GetUserError, LiftSuppressionError, ListEmailAddressesError,
            ListEventsError, ListMailsError, ListSuppressionsError, ListUnverifiedError, ListUsersError,
            PurgeExpiredError, PurgeUnverifiedError, RecordLoginError, Reference, RemindUnverifiedError,
            ReportBounceError, RequestError, RetryMailError, SetPasswordError, VerifyEmailAddressError,
            VerifyPasswordError,
        },
    };

    fn unavailable() -> StorageError {
        StorageError::Unavailable("password=hunter2 at 10.0.0.1".into())
    }

    fn conflict() -> StorageError {
        StorageError::Conflict("40001".into())
    }

    fn broken() -> StorageError {
        StorageError::Database("relation users does not exist".into())
    }

    fn corrupt() -> StorageError {
        StorageError::Corrupt("a user's state")
    }

    fn template_error() -> TemplateError {
        TemplateError::Read { name: "activation/body.txt".into(), source: std::io::Error::other("gone") }
    }

    fn user_id() -> UserId {
        UserId(uuid::Uuid::nil())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 1000).unwrap()
    }

    fn suspect() -> ClockError {
        ClockError::Suspect { service_time: at(61), reference: Reference::Database, reference_time: at(0) }
    }

    fn mail_limit_reached() -> MailLimitReached {
        MailLimitReached { limit: MailLimit::Address, wait: chrono::TimeDelta::seconds(9) }
    }

    fn refusals() -> [KeyRefusal; 4] {
        [
            KeyRefusal::Disabled,
            KeyRefusal::AlreadyActivated { user_id: user_id(), activate_time: at(0) },
            KeyRefusal::Expired { expire_time: at(0) },
            KeyRefusal::EmailTaken,
        ]
    }

    /// Every variant of every error, with the status that it becomes.
    fn every_status() -> Vec<(String, Status)> {
        let mut all: Vec<(String, Status)> = Vec::new();
        let mut add =
            |call: &str, variant: &str, status: Status| all.push((format!("{call} {variant}"), status));
        let username = Username::parse("alice").unwrap();
        let email = EmailAddress::parse("alice@example.com").unwrap();
        for (variant, error) in [
            ("UnknownSite", CreateInactiveUserError::UnknownSite),
            (
                "RegistrationClosed",
                CreateInactiveUserError::RegistrationClosed(SiteId::parse("shop").unwrap()),
            ),
            ("UsernameTaken", CreateInactiveUserError::UsernameTaken),
            ("EmailTaken", CreateInactiveUserError::EmailTaken),
            ("Request Reused", CreateInactiveUserError::Request(RequestError::Reused)),
            ("Request Storage", CreateInactiveUserError::Request(unavailable().into())),
            ("MailLimit", CreateInactiveUserError::MailLimit(mail_limit_reached())),
            ("Overloaded", CreateInactiveUserError::Overloaded(Overloaded)),
            ("Clock Suspect", CreateInactiveUserError::Clock(suspect())),
            ("Clock Storage", CreateInactiveUserError::Clock(unavailable().into())),
            ("Template", CreateInactiveUserError::Template(template_error())),
            ("Storage Unavailable", CreateInactiveUserError::Storage(unavailable())),
            ("Storage Conflict", CreateInactiveUserError::Storage(conflict())),
            ("Storage Database", CreateInactiveUserError::Storage(broken())),
            ("Storage Corrupt", CreateInactiveUserError::Storage(corrupt())),
        ] {
            add("CreateInactiveUser", variant, create_inactive_user(error, &username, &email));
        }
        add("Activate", "UnknownKey", activate(ActivateError::UnknownKey));
        add("Activate", "CodeRejected", activate(ActivateError::CodeRejected));
        for refusal in refusals() {
            add("Activate", &format!("{refusal}"), activate(ActivateError::Key(refusal)));
            add("IssueKey", &format!("{refusal}"), issue_key(IssueKeyError::Key(refusal), "alice"));
            let error = CreateRegistrationProfileError::Key(refusal);
            add(
                "CreateRegistrationProfile",
                &format!("{refusal}"),
                create_registration_profile(error, user_id()),
            );
        }
        add("Activate", "PasswordRejected", activate(ActivateError::PasswordRejected(Invalid::new("must"))));
        add("Activate", "Overloaded", activate(ActivateError::Overloaded(Overloaded)));
        add("Activate", "Storage", activate(ActivateError::Storage(unavailable())));
        let inspect = inspect_activation_key;
        add("InspectActivationKey", "UnknownKey", inspect(InspectActivationKeyError::UnknownKey));
        add("InspectActivationKey", "Storage", inspect(InspectActivationKeyError::Storage(unavailable())));
        for (variant, error) in [
            ("UserNotFound", IssueKeyError::UserNotFound),
            ("ProfileNotFound", IssueKeyError::ProfileNotFound),
            ("Request Reused", IssueKeyError::Request(RequestError::Reused)),
            ("MailLimit", IssueKeyError::MailLimit(mail_limit_reached())),
            ("Overloaded", IssueKeyError::Overloaded(Overloaded)),
            ("Template", IssueKeyError::Template(template_error())),
            ("Storage", IssueKeyError::Storage(conflict())),
        ] {
            add("IssueKey", variant, issue_key(error, "alice"));
        }
        for (variant, error) in [
            ("UserNotFound", GetRegistrationProfileError::UserNotFound),
            ("ProfileNotFound", GetRegistrationProfileError::ProfileNotFound),
            ("Storage", GetRegistrationProfileError::Storage(unavailable())),
        ] {
            add("GetRegistrationProfile", variant, get_registration_profile(error, user_id()));
        }
        for (variant, error) in [
            ("UserNotFound", CreateRegistrationProfileError::UserNotFound),
            ("ProfileExists", CreateRegistrationProfileError::ProfileExists),
            ("Request Reused", CreateRegistrationProfileError::Request(RequestError::Reused)),
            ("MailLimit", CreateRegistrationProfileError::MailLimit(mail_limit_reached())),
            ("Overloaded", CreateRegistrationProfileError::Overloaded(Overloaded)),
            ("Template", CreateRegistrationProfileError::Template(template_error())),
            ("Storage", CreateRegistrationProfileError::Storage(unavailable())),
        ] {
            add("CreateRegistrationProfile", variant, create_registration_profile(error, user_id()));
        }
        for (variant, error) in [
            ("UserNotFound", DeleteRegistrationProfileError::UserNotFound),
            ("ProfileNotFound", DeleteRegistrationProfileError::ProfileNotFound),
            ("Storage", DeleteRegistrationProfileError::Storage(unavailable())),
        ] {
            add("DeleteRegistrationProfile", variant, delete_registration_profile(error, user_id()));
        }
        of_unverified(&mut add);
        of_users(&mut add);
        of_email_addresses(&mut add);
        of_events(&mut add);
        of_mails(&mut add);
        let violations = || vec![("username".to_owned(), "must not be empty".to_owned())];
        add("any", "invalid request", invalid_request(violations()));
        add("any", "password", password_rejected(violations()));
        add("any", "page token", invalid_page_token());
        add("any", "anonymous caller", caller_unauthenticated());
        add("any", "credentials", invalid_credentials());
        add("any", "rate limit", rate_limited("guesses", "Too many guesses.", RETRY_DELAY));
        add("any", "deadline", deadline_exceeded());
        add("any", "draining", draining());
        add("any", "panic", internal(&unavailable()));
        all
    }

    /// Those that list, purge and remind.
    fn of_unverified(add: &mut impl FnMut(&str, &str, Status)) {
        add("ListUnverified", "UnknownSite", list_unverified(ListUnverifiedError::UnknownSite));
        add("ListUnverified", "Storage", list_unverified(ListUnverifiedError::Storage(unavailable())));
        add("PurgeExpired", "Clock Suspect", purge_expired(PurgeExpiredError::Clock(suspect())));
        add("PurgeExpired", "Clock Storage", purge_expired(PurgeExpiredError::Clock(unavailable().into())));
        add("PurgeExpired", "Storage", purge_expired(PurgeExpiredError::Storage(unavailable())));
        add("PurgeUnverified", "NotSelective", purge_unverified(PurgeUnverifiedError::NotSelective));
        add("PurgeUnverified", "UnknownSite", purge_unverified(PurgeUnverifiedError::UnknownSite));
        add("PurgeUnverified", "Clock", purge_unverified(PurgeUnverifiedError::Clock(suspect())));
        add("PurgeUnverified", "Storage", purge_unverified(PurgeUnverifiedError::Storage(unavailable())));
        add("RemindUnverified", "UnknownSite", remind_unverified(RemindUnverifiedError::UnknownSite));
        let broken_template = RemindUnverifiedError::Template(template_error());
        add("RemindUnverified", "Template", remind_unverified(broken_template));
        add("RemindUnverified", "Storage", remind_unverified(RemindUnverifiedError::Storage(unavailable())));
    }

    /// Those of UserService.
    fn of_users(add: &mut impl FnMut(&str, &str, Status)) {
        add("GetUser", "UserNotFound", get_user(GetUserError::UserNotFound, "alice"));
        add("GetUser", "Storage", get_user(GetUserError::Storage(unavailable()), "alice"));
        add("ListUsers", "Storage", list_users(ListUsersError::Storage(unavailable())));
        for (variant, error) in [
            ("InFuture", RecordLoginError::InFuture),
            ("UserNotFound", RecordLoginError::UserNotFound),
            ("UserDisabled", RecordLoginError::UserDisabled),
            ("Storage", RecordLoginError::Storage(unavailable())),
        ] {
            add("RecordLogin", variant, record_login(error, user_id()));
        }
        for (variant, error) in [
            ("InvalidCredentials", VerifyPasswordError::InvalidCredentials),
            ("RateLimited", VerifyPasswordError::RateLimited(chrono::Duration::seconds(1))),
            ("Overloaded", VerifyPasswordError::Overloaded(Overloaded)),
            ("Storage", VerifyPasswordError::Storage(unavailable())),
        ] {
            add("VerifyPassword", variant, verify_password(error));
        }
        for (variant, error) in [
            ("UserNotFound", SetPasswordError::UserNotFound),
            ("PasswordRejected", SetPasswordError::PasswordRejected(Invalid::new("must"))),
            ("Overloaded", SetPasswordError::Overloaded(Overloaded)),
            ("Storage", SetPasswordError::Storage(unavailable())),
        ] {
            add("SetPassword", variant, set_password(error, user_id()));
        }
        for (variant, error) in [
            ("UserNotFound", ActivateUserError::UserNotFound),
            ("UserDisabled", ActivateUserError::UserDisabled),
            ("Storage", ActivateUserError::Storage(unavailable())),
        ] {
            add("ActivateUser", variant, activate_user(error, user_id()));
        }
        add("EnableUser", "UserNotFound", enable_user(EnableUserError::UserNotFound, user_id()));
        add("EnableUser", "Storage", enable_user(EnableUserError::Storage(unavailable()), user_id()));
        add("DeleteUser", "UserNotFound", delete_user(DeleteUserError::UserNotFound, user_id()));
        add("DeleteUser", "Storage", delete_user(DeleteUserError::Storage(unavailable()), user_id()));
        add("DisableUser", "UserNotFound", disable_user(DisableUserError::UserNotFound, user_id()));
        add("DisableUser", "Storage", disable_user(DisableUserError::Storage(unavailable()), user_id()));
    }

    /// Those of EventService.
    fn of_events(add: &mut impl FnMut(&str, &str, Status)) {
        let oldest = Position { log: LogId(uuid::Uuid::nil()), number: 1 };
        add("ListEvents", "Trimmed", list_events(ListEventsError::Trimmed { oldest }));
        add("ListEvents", "Storage", list_events(ListEventsError::Storage(unavailable())));
        add("WatchEvents", "too many", too_many_watches());
        add("WatchEvents", "slow reader", slow_reader(oldest.to_string()));
    }

    /// Those of EmailAddressService.
    fn of_email_addresses(add: &mut impl FnMut(&str, &str, Status)) {
        let list = |error| list_email_addresses(error, user_id());
        add("ListEmailAddresses", "UserNotFound", list(ListEmailAddressesError::UserNotFound));
        add("ListEmailAddresses", "Storage", list(ListEmailAddressesError::Storage(unavailable())));
        let email = EmailAddress::parse("alice@example.com").unwrap();
        for refusal in [
            AddressRefusal::UserNotFound,
            AddressRefusal::UserDisabled,
            AddressRefusal::UserPending,
            AddressRefusal::NotFound,
            AddressRefusal::Exists,
            AddressRefusal::TooMany,
            AddressRefusal::EmailTaken,
            AddressRefusal::AlreadyVerified { user_id: user_id(), verify_time: at(0) },
            AddressRefusal::NotVerified,
            AddressRefusal::Primary,
        ] {
            let error = || EmailAddressError::Refused(refusal);
            let variant = format!("{refusal:?}").split(' ').take(1).collect::<String>();
            add("AddEmailAddress", &variant, add_email_address(error(), user_id(), &email));
            add("EmailAddress", &variant, email_address(error(), user_id(), &email));
        }
        for (variant, error) in [
            ("Template", EmailAddressError::Template(template_error())),
            ("Storage", EmailAddressError::Storage(conflict())),
        ] {
            add("EmailAddress", variant, email_address(error, user_id(), &email));
        }
        for refusal in [
            VerificationRefusal::Disabled,
            VerificationRefusal::AlreadyVerified { user_id: user_id(), verify_time: at(0) },
            VerificationRefusal::Expired { expire_time: at(0) },
            VerificationRefusal::EmailTaken,
        ] {
            let status = verify_email_address(VerifyEmailAddressError::Key(refusal));
            add("VerifyEmailAddress", &refusal.to_string(), status);
        }
        let verify = verify_email_address;
        add("VerifyEmailAddress", "UnknownKey", verify(VerifyEmailAddressError::UnknownKey));
        add("VerifyEmailAddress", "Storage", verify(VerifyEmailAddressError::Storage(conflict())));
    }

    /// Those of MailService.
    fn of_mails(add: &mut impl FnMut(&str, &str, Status)) {
        let id = MailId(uuid::Uuid::nil());
        add("ListMails", "Storage", list_mails(ListMailsError::Storage(unavailable())));
        add("GetMail", "MailNotFound", get_mail(GetMailError::MailNotFound, id));
        add("GetMail", "Storage", get_mail(GetMailError::Storage(unavailable()), id));
        add("RetryMail", "MailNotFound", retry_mail(RetryMailError::MailNotFound, id));
        add("RetryMail", "Finished", retry_mail(RetryMailError::Finished, id));
        add("RetryMail", "Storage", retry_mail(RetryMailError::Storage(unavailable()), id));
        add("DiscardMail", "MailNotFound", discard_mail(DiscardMailError::MailNotFound, id));
        add("DiscardMail", "Delivered", discard_mail(DiscardMailError::Delivered, id));
        add("DiscardMail", "Storage", discard_mail(DiscardMailError::Storage(unavailable()), id));
        add("ReportBounce", "MailNotFound", report_bounce(ReportBounceError::MailNotFound(id)));
        add("ReportBounce", "Storage", report_bounce(ReportBounceError::Storage(conflict())));
        let listed = ListSuppressionsError::Storage(unavailable());
        add("ListSuppressions", "Storage", list_suppressions(listed));
        let email = EmailAddress::parse("alice@example.com").unwrap();
        let lift = |error| lift_suppression(error, &email);
        add("LiftSuppression", "SuppressionNotFound", lift(LiftSuppressionError::SuppressionNotFound));
        add("LiftSuppression", "Storage", lift(LiftSuppressionError::Storage(unavailable())));
    }

    fn reason_of(status: &Status) -> String {
        let details = status.get_error_details();
        let info = details.error_info().expect("every status carries ErrorInfo");
        assert_eq!(info.domain, DOMAIN);
        info.reason.clone()
    }

    #[test]
    fn every_error_has_its_code_and_reason() {
        let table: Vec<_> = every_status()
            .iter()
            .map(|(error, status)| format!("{error}: {:?} {}", status.code(), reason_of(status)))
            .collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    #[test]
    fn every_reason_is_used_and_only_the_protos_reasons_are() {
        let used: BTreeSet<_> = every_status().iter().map(|(_, status)| reason_of(status)).collect();
        let listed: BTreeSet<_> = (1..1000)
            .filter_map(|number| ErrorReason::try_from(number).ok())
            .map(|reason| name(reason).to_owned())
            .collect();
        assert_eq!(used, listed);
    }

    #[test]
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other code must not be there")]
    fn details_match_the_code_and_nothing_of_a_driver_is_told() {
        for (error, status) in every_status() {
            let details = status.get_error_details();
            match status.code() {
                Code::InvalidArgument => assert!(details.bad_request().is_some(), "{error}"),
                Code::AlreadyExists => assert!(details.resource_info().is_some(), "{error}"),
                Code::NotFound => {
                    let of_key = reason_of(&status) == "ACTIVATION_KEY_UNKNOWN";
                    assert_eq!(details.resource_info().is_none(), of_key, "{error}");
                }
                Code::FailedPrecondition => assert!(details.precondition_failure().is_some(), "{error}"),
                Code::ResourceExhausted | Code::Unavailable | Code::Aborted => {
                    assert!(details.retry_info().is_some(), "{error}");
                }
                Code::Internal => assert!(details.request_info().is_some(), "{error}"),
                Code::Unauthenticated | Code::DeadlineExceeded | Code::OutOfRange => {}
                other => panic!("{error} must not become {other:?}"),
            }
            let told = format!("{status:?}");
            for secret in ["hunter2", "10.0.0.1", "relation", "gone"] {
                assert!(!told.contains(secret), "{error}: {told}");
            }
        }
    }

    #[test]
    fn x22_a_suspect_clock_is_told_with_both_clocks() {
        let metadata = clock(suspect()).get_error_details().error_info().unwrap().metadata.clone();
        assert_eq!(metadata["service_time"], "1970-01-01T00:01:01.000001Z");
        assert_eq!(metadata["reference"], "database");
        assert_eq!(metadata["reference_time"], "1970-01-01T00:00:00.000001Z");
    }

    #[test]
    fn x13_a_spent_key_tells_who_and_since_when_and_an_expired_one_since_when() {
        let metadata =
            |refusal| key_refused(refusal).get_error_details().error_info().unwrap().metadata.clone();
        let activated = metadata(refusals()[1]);
        assert_eq!(activated["user_id"], user_id().to_string());
        assert_eq!(activated["activate_time"], "1970-01-01T00:00:00.000001Z");
        assert_eq!(metadata(refusals()[2])["expire_time"], "1970-01-01T00:00:00.000001Z");
    }
}
