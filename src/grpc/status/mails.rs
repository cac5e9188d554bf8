//! MailService's refusals.

use tonic::{Code, Status};
use tonic_types::ErrorDetails;

use super::{name, refuse, storage};
use crate::{
    domain::{email_address::EmailAddress, mail::MailId},
    grpc::proto::ErrorReason,
    operations::{
        DiscardMailError, GetMailError, LiftSuppressionError, ListMailsError, ListSuppressionsError,
        ReportBounceError, RetryMailError,
    },
};

/// ListMails' refusals.
pub fn list_mails(error: ListMailsError) -> Status {
    match error {
        ListMailsError::Storage(error) => storage(&error),
    }
}

/// GetMail's refusals.
pub fn get_mail(error: GetMailError, id: MailId) -> Status {
    match error {
        GetMailError::MailNotFound => mail_not_found(id),
        GetMailError::Storage(error) => storage(&error),
    }
}

/// RetryMail's refusals.
pub fn retry_mail(error: RetryMailError, id: MailId) -> Status {
    match error {
        RetryMailError::MailNotFound => mail_not_found(id),
        RetryMailError::Finished => finished(id, "The mail is finished, and its text erased."),
        RetryMailError::Storage(error) => storage(&error),
    }
}

/// DiscardMail's refusals.
pub fn discard_mail(error: DiscardMailError, id: MailId) -> Status {
    match error {
        DiscardMailError::MailNotFound => mail_not_found(id),
        DiscardMailError::Delivered => finished(id, "A mail server has taken the mail."),
        DiscardMailError::Storage(error) => storage(&error),
    }
}

/// ReportBounce's refusals.
pub fn report_bounce(error: ReportBounceError) -> Status {
    match error {
        ReportBounceError::MailNotFound(id) => mail_not_found(id),
        ReportBounceError::Storage(error) => storage(&error),
    }
}

/// ListSuppressions' refusals.
pub fn list_suppressions(error: ListSuppressionsError) -> Status {
    match error {
        ListSuppressionsError::Storage(error) => storage(&error),
    }
}

/// LiftSuppression's refusals.
pub fn lift_suppression(error: LiftSuppressionError, email: &EmailAddress) -> Status {
    let message = "The address is not suppressed.";
    match error {
        LiftSuppressionError::SuppressionNotFound => refuse(
            Code::NotFound,
            ErrorReason::SuppressionNotFound,
            message,
            ErrorDetails::with_resource_info("vestibule.v1.Suppression", email.as_str(), "", message),
        ),
        LiftSuppressionError::Storage(error) => storage(&error),
    }
}

fn mail_not_found(id: MailId) -> Status {
    refuse(
        Code::NotFound,
        ErrorReason::MailNotFound,
        "There is no such mail.",
        ErrorDetails::with_resource_info("vestibule.v1.Mail", id.to_string(), "", "There is no such mail."),
    )
}

fn finished(id: MailId, message: &str) -> Status {
    let reason = ErrorReason::MailFinished;
    let details = ErrorDetails::with_precondition_failure_violation(name(reason), id.to_string(), message);
    refuse(Code::FailedPrecondition, reason, message, details)
}
