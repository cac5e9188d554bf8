//! The refusals of the calls about the never-verified.

use tonic::Status;

use super::{clock, invalid_request, mail_limit, request, storage, template, unknown_site};
use crate::operations::{
    ListUnverifiedError, PurgeExpiredError, PurgeUnverifiedError, RemindUnverifiedError,
};

/// What a filter's site is called in a violation.
const SITE: &str = "filter.site";

/// The refusals of ListUnverified and CountUnverified.
pub fn list_unverified(error: ListUnverifiedError) -> Status {
    match error {
        ListUnverifiedError::UnknownSite => unknown_site(SITE),
        ListUnverifiedError::Storage(error) => storage(&error),
    }
}

/// PurgeExpired's refusals.
pub fn purge_expired(error: PurgeExpiredError) -> Status {
    match error {
        PurgeExpiredError::Clock(error) => clock(error),
        PurgeExpiredError::Storage(error) => storage(&error),
    }
}

/// PurgeUnverified's refusals.
pub fn purge_unverified(error: PurgeUnverifiedError) -> Status {
    match error {
        PurgeUnverifiedError::NotSelective => {
            let rule = "must have a condition beyond state and exclude_any_verified";
            invalid_request(vec![("filter".to_owned(), rule.to_owned())])
        }
        PurgeUnverifiedError::UnknownSite => unknown_site(SITE),
        PurgeUnverifiedError::Clock(error) => clock(error),
        PurgeUnverifiedError::Storage(error) => storage(&error),
    }
}

/// RemindUnverified's refusals.
pub fn remind_unverified(error: RemindUnverifiedError) -> Status {
    match error {
        RemindUnverifiedError::UnknownSite => unknown_site(SITE),
        RemindUnverifiedError::Request(error) => request(&error),
        RemindUnverifiedError::MailLimit(reached) => mail_limit(reached),
        RemindUnverifiedError::Template(error) => template(&error),
        RemindUnverifiedError::Storage(error) => storage(&error),
    }
}
