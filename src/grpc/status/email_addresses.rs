//! EmailAddressService's refusals.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::ErrorDetails;

use super::{
    email_taken, key_unknown, mail_limit, name, refuse, refuse_with, request, rfc3339, storage, template,
    user_disabled, user_not_found,
};
use crate::{
    domain::{
        Timestamp,
        email_address::EmailAddress,
        user::UserId,
        user_email_address::{AddressRefusal, VerificationRefusal},
    },
    grpc::proto::ErrorReason,
    operations::{EmailAddressError, ListEmailAddressesError, VerifyEmailAddressError},
};

const EMAIL_ADDRESS: &str = "vestibule.v1.EmailAddress";

/// ListEmailAddresses' refusals.
pub fn list_email_addresses(error: ListEmailAddressesError, user_id: UserId) -> Status {
    match error {
        ListEmailAddressesError::UserNotFound => user_not_found(&user_id.to_string()),
        ListEmailAddressesError::Storage(error) => storage(&error),
    }
}

/// AddEmailAddress' refusals: an address that is taken is there already, as when somebody registers it.
pub fn add_email_address(error: EmailAddressError, user_id: UserId, email: &EmailAddress) -> Status {
    if let EmailAddressError::Refused(AddressRefusal::EmailTaken) = error {
        return email_taken(email);
    }
    email_address(error, user_id, email)
}

/// The refusals of the calls that work on an address of a user.
pub fn email_address(error: EmailAddressError, user_id: UserId, email: &EmailAddress) -> Status {
    match error {
        EmailAddressError::Refused(refusal) => refused(refusal, user_id, email),
        EmailAddressError::Request(error) => request(&error),
        EmailAddressError::MailLimit(reached) => mail_limit(reached),
        EmailAddressError::Template(error) => template(&error),
        EmailAddressError::Storage(error) => storage(&error),
    }
}

/// VerifyEmailAddress' refusals.
pub fn verify_email_address(error: VerifyEmailAddressError) -> Status {
    match error {
        VerifyEmailAddressError::UnknownKey => key_unknown(),
        VerifyEmailAddressError::Key(refusal) => verification_refused(refusal),
        VerifyEmailAddressError::Storage(error) => storage(&error),
    }
}

fn refused(refusal: AddressRefusal, user_id: UserId, email: &EmailAddress) -> Status {
    let resource = |code, reason, message: &str| {
        refuse(
            code,
            reason,
            message,
            ErrorDetails::with_resource_info(EMAIL_ADDRESS, email.as_str(), "", message),
        )
    };
    let precondition =
        |reason, subject: &str, message| precondition(reason, subject, message, HashMap::new());
    match refusal {
        AddressRefusal::UserNotFound => user_not_found(&user_id.to_string()),
        AddressRefusal::UserDisabled => user_disabled(user_id),
        AddressRefusal::UserPending => precondition(
            ErrorReason::UserPending,
            &user_id.to_string(),
            "The user is pending; its activation verifies its primary email address (SendActivationEmail).",
        ),
        AddressRefusal::NotFound => {
            resource(Code::NotFound, ErrorReason::EmailAddressNotFound, "The user has no such email address.")
        }
        AddressRefusal::Exists => resource(
            Code::AlreadyExists,
            ErrorReason::EmailAddressExists,
            "The user has the email address already.",
        ),
        AddressRefusal::TooMany => precondition(
            ErrorReason::TooManyEmailAddresses,
            &user_id.to_string(),
            "The user has as many email addresses as one may have.",
        ),
        AddressRefusal::EmailTaken => precondition(
            ErrorReason::EmailTaken,
            email.as_str(),
            "Another user has verified the email address.",
        ),
        AddressRefusal::AlreadyVerified { user_id, verify_time } => {
            already_verified(email.as_str(), user_id, verify_time)
        }
        AddressRefusal::NotVerified => {
            precondition(ErrorReason::EmailNotVerified, email.as_str(), "The email address is not verified.")
        }
        AddressRefusal::Primary => precondition(
            ErrorReason::PrimaryEmailAddress,
            email.as_str(),
            "The primary email address can't be removed.",
        ),
    }
}

fn verification_refused(refusal: VerificationRefusal) -> Status {
    let (reason, message, metadata) = match refusal {
        VerificationRefusal::Disabled => (ErrorReason::UserDisabled, "The user is disabled.", HashMap::new()),
        VerificationRefusal::AlreadyVerified { user_id, verify_time } => {
            return already_verified("key", user_id, verify_time);
        }
        VerificationRefusal::Expired { expire_time } => (
            ErrorReason::ActivationKeyExpired,
            "The key has expired.",
            HashMap::from([("expire_time".to_owned(), rfc3339(expire_time))]),
        ),
        VerificationRefusal::EmailTaken => {
            (ErrorReason::EmailTaken, "Another user has verified the email address.", HashMap::new())
        }
    };
    precondition(reason, "key", message, metadata)
}

fn already_verified(subject: &str, user_id: UserId, verify_time: Timestamp) -> Status {
    let metadata = HashMap::from([
        ("user_id".to_owned(), user_id.to_string()),
        ("verify_time".to_owned(), rfc3339(verify_time)),
    ]);
    let message = "The email address is verified already.";
    precondition(ErrorReason::EmailAlreadyVerified, subject, message, metadata)
}

fn precondition(
    reason: ErrorReason,
    subject: &str,
    message: &str,
    metadata: HashMap<String, String>,
) -> Status {
    let details = ErrorDetails::with_precondition_failure_violation(name(reason), subject, message);
    refuse_with(Code::FailedPrecondition, reason, message, details, metadata)
}
