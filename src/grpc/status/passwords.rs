//! What is refused of a password, whatever the call, and of an activation code.

use tonic::{Code, Status};
use tonic_types::ErrorDetails;

use super::{ErrorReason, fields, overloaded, rate_limited, refuse, storage, user_not_found};
use crate::{
    domain::{Invalid, user::UserId},
    hashing::Overloaded,
    operations::{SetPasswordError, VerifyPasswordError},
};

/// VerifyPassword's refusals; none tells whether there is such a user.
pub fn verify_password(error: VerifyPasswordError) -> Status {
    match error {
        VerifyPasswordError::InvalidCredentials => invalid_credentials(),
        VerifyPasswordError::RateLimited(wait) => rate_limited(
            "passwords",
            "Too many passwords in a row were wrong for this name.",
            wait.to_std().unwrap_or_default(),
        ),
        VerifyPasswordError::Overloaded(Overloaded) => overloaded(),
        VerifyPasswordError::Storage(error) => storage(&error),
    }
}

/// SetPassword's refusals.
pub fn set_password(error: SetPasswordError, user_id: UserId) -> Status {
    match error {
        SetPasswordError::UserNotFound => user_not_found(&user_id.to_string()),
        SetPasswordError::PasswordRejected(invalid) => password_refused(invalid),
        SetPasswordError::Overloaded(Overloaded) => overloaded(),
        SetPasswordError::Storage(error) => storage(&error),
    }
}

/// A password that can't be accepted.
pub fn password_rejected(violations: Vec<(String, String)>) -> Status {
    fields(ErrorReason::PasswordRejected, "The password can't be accepted", violations)
}

/// The password of a request that the policy refuses.
pub fn password_refused(invalid: Invalid) -> Status {
    password_rejected(vec![("password".to_owned(), invalid.0)])
}

/// The password is not that of an active user; why, nobody is told.
pub fn invalid_credentials() -> Status {
    refuse(
        Code::Unauthenticated,
        ErrorReason::InvalidCredentials,
        "The password is not that of an active user.",
        ErrorDetails::new(),
    )
}

/// The address and the code activate nobody; why, nobody is told. Like a wrong password: what should be a proof is none.
pub fn activation_code_rejected() -> Status {
    refuse(
        Code::Unauthenticated,
        ErrorReason::ActivationCodeRejected,
        "The email address and the code activate nobody.",
        ErrorDetails::new(),
    )
}
