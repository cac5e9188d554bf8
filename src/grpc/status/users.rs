//! UserService's refusals.

use tonic::Status;

use super::{invalid_request, storage, user_disabled, user_not_found};
use crate::{
    domain::user::UserId,
    operations::{
        ActivateUserError, DeleteUserError, DisableUserError, EnableUserError, GetUserError, ListUsersError,
        RecordLoginError,
    },
};

/// GetUser's refusals.
pub fn get_user(error: GetUserError, asked: &str) -> Status {
    match error {
        GetUserError::UserNotFound => user_not_found(asked),
        GetUserError::Storage(error) => storage(&error),
    }
}

/// ListUsers' refusals.
pub fn list_users(error: ListUsersError) -> Status {
    match error {
        ListUsersError::Storage(error) => storage(&error),
    }
}

/// RecordLogin's refusals.
pub fn record_login(error: RecordLoginError, user_id: UserId) -> Status {
    match error {
        RecordLoginError::InFuture => {
            invalid_request(vec![("login_time".to_owned(), "must not be in the future".to_owned())])
        }
        RecordLoginError::UserNotFound => user_not_found(&user_id.to_string()),
        RecordLoginError::UserDisabled => user_disabled(user_id),
        RecordLoginError::Storage(error) => storage(&error),
    }
}

/// ActivateUser's refusals.
pub fn activate_user(error: ActivateUserError, user_id: UserId) -> Status {
    match error {
        ActivateUserError::UserNotFound => user_not_found(&user_id.to_string()),
        ActivateUserError::UserDisabled => user_disabled(user_id),
        ActivateUserError::Storage(error) => storage(&error),
    }
}

/// EnableUser's refusals.
pub fn enable_user(error: EnableUserError, user_id: UserId) -> Status {
    match error {
        EnableUserError::UserNotFound => user_not_found(&user_id.to_string()),
        EnableUserError::Storage(error) => storage(&error),
    }
}

/// DeleteUser's refusals.
pub fn delete_user(error: DeleteUserError, user_id: UserId) -> Status {
    match error {
        DeleteUserError::UserNotFound => user_not_found(&user_id.to_string()),
        DeleteUserError::Storage(error) => storage(&error),
    }
}

/// DisableUser's refusals.
pub fn disable_user(error: DisableUserError, user_id: UserId) -> Status {
    match error {
        DisableUserError::UserNotFound => user_not_found(&user_id.to_string()),
        DisableUserError::Storage(error) => storage(&error),
    }
}
