//! What every call that can be made again, or that has a mail sent, is refused by.

use tonic::Status;

use super::{fields, rate_limited, storage};
use crate::{domain::mail_limit::MailLimitReached, grpc::proto::ErrorReason, operations::RequestError};

/// The refusals of every call that takes a `request_id`.
pub(super) fn request(error: &RequestError) -> Status {
    match error {
        RequestError::Reused => fields(
            ErrorReason::RequestIdReused,
            "The request_id was used before",
            vec![("request_id".to_owned(), "must be a new one for another call or other fields".to_owned())],
        ),
        RequestError::Storage(error) => storage(error),
    }
}

/// The refusals of every call that has a mail sent.
pub(super) fn mail_limit(reached: MailLimitReached) -> Status {
    let wait = reached.wait.to_std().unwrap_or_default();
    rate_limited(reached.limit.setting(), "Too many mails were asked for within the hour.", wait)
}
