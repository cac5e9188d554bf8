//! The domain's types as messages.

use prost_types::Timestamp as ProtoTimestamp;

use super::proto;
use crate::{
    domain::{
        Timestamp,
        email_policy::Warning,
        event::{DeletionReason, EventKind},
        event_log::{Event, LogId, Position},
        mail::{Mail, MailKind, MailState},
        profile::{ALREADY_ACTIVATED, KeyRefusal, ProfileState},
        suppression::Suppression,
        unverified::Tally,
        user::{User, UserState},
        user_email_address::UserEmailAddress,
    },
    operations::{InspectedKey, ProfileStatus},
};

/// A user.
pub fn user(user: User) -> proto::User {
    let state = match user.state {
        UserState::Pending => proto::UserState::Pending,
        UserState::Active => proto::UserState::Active,
        UserState::Disabled => proto::UserState::Disabled,
    };
    proto::User {
        id: user.id.to_string(),
        username: user.username,
        email: user.email,
        state: state.into(),
        active: user.state == UserState::Active,
        create_time: Some(timestamp(user.create_time)),
        activate_time: user.activate_time.map(timestamp),
        disable_time: user.disable_time.map(timestamp),
        last_login_time: user.last_login_time.map(timestamp),
        site: user.site.as_str().to_owned(),
        locale: user.locale.map(|locale| locale.to_string()).unwrap_or_default(),
    }
}

/// What was accepted though a caller may not want it.
pub fn warning(warning: Warning) -> proto::Warning {
    let (code, message) = match warning {
        Warning::DisposableEmailDomain => (
            proto::WarningCode::DisposableEmailDomain,
            "The domain of the email address gives addresses to throw away.",
        ),
        Warning::EmailAddressSuppressed => (
            proto::WarningCode::EmailAddressSuppressed,
            "Mail to the email address has bounced for good: what is queued for it is discarded until LiftSuppression.",
        ),
    };
    proto::Warning { code: code.into(), message: message.to_owned() }
}

/// A registration profile; it never shows a key.
pub fn profile(status: &ProfileStatus) -> proto::RegistrationProfile {
    let state = match status.state {
        ProfileState::Pending => proto::RegistrationProfileState::Pending,
        ProfileState::Expired => proto::RegistrationProfileState::Expired,
        ProfileState::Activated => proto::RegistrationProfileState::Activated,
    };
    let last_mail_state = status.mails.last_state.map(mail_state);
    let activated = status.state == ProfileState::Activated;
    proto::RegistrationProfile {
        user_id: status.user_id.to_string(),
        state: state.into(),
        activation_key: if activated { ALREADY_ACTIVATED } else { "" }.to_owned(),
        issue_time: Some(timestamp(status.profile.issue_time)),
        expire_time: Some(timestamp(status.profile.expire_time)),
        activate_time: status.profile.activate_time.map(timestamp),
        mails_sent: count(status.mails.delivered),
        last_mail_state: last_mail_state.map(Into::into),
    }
}

/// A mail; never its text.
pub fn mail(mail: Mail) -> proto::Mail {
    let kind = match mail.kind {
        MailKind::Activation => proto::MailKind::Activation,
        MailKind::Reminder => proto::MailKind::Reminder,
        MailKind::EmailVerification => proto::MailKind::EmailVerification,
        MailKind::PrimaryEmailChanged => proto::MailKind::PrimaryEmailChanged,
    };
    let waits = mail.state == MailState::Queued;
    proto::Mail {
        id: mail.id.to_string(),
        user_id: mail.user_id.to_string(),
        kind: kind.into(),
        recipient: mail.recipient,
        state: mail_state(mail.state).into(),
        attempt: count(mail.attempt),
        next_attempt_time: waits.then(|| timestamp(mail.next_attempt_time)),
        last_error: mail.last_error.unwrap_or_default(),
        create_time: Some(timestamp(mail.create_time)),
        finish_time: mail.finish_time.map(timestamp),
        expire_time: Some(timestamp(mail.expire_time)),
    }
}

fn mail_state(state: MailState) -> proto::MailState {
    match state {
        MailState::Queued => proto::MailState::Queued,
        MailState::Delivered => proto::MailState::Delivered,
        MailState::Discarded => proto::MailState::Discarded,
    }
}

/// A suppressed address.
pub fn suppression(suppression: Suppression) -> proto::Suppression {
    proto::Suppression {
        email: suppression.email,
        create_time: Some(timestamp(suppression.create_time)),
        last_bounce_time: Some(timestamp(suppression.last_bounce_time)),
        reason: suppression.reason,
        mail_id: suppression.mail_id.map(|id| id.to_string()).unwrap_or_default(),
    }
}

/// What Activate would answer.
pub fn inspected_key(key: &InspectedKey) -> proto::InspectActivationKeyResponse {
    let state = match key.outcome {
        Ok(()) => proto::ActivationKeyState::Pending,
        Err(KeyRefusal::Disabled) => proto::ActivationKeyState::Disabled,
        Err(KeyRefusal::AlreadyActivated { .. }) => proto::ActivationKeyState::Activated,
        Err(KeyRefusal::Expired { .. }) => proto::ActivationKeyState::Expired,
        Err(KeyRefusal::EmailTaken) => proto::ActivationKeyState::EmailTaken,
    };
    proto::InspectActivationKeyResponse {
        state: state.into(),
        expire_time: key.expire_time.map(timestamp),
        site: key.site.as_str().to_owned(),
    }
}

/// A never-verified user.
pub fn unverified_user(found: User) -> proto::UnverifiedUser {
    let expire_time = found.profile.map(|profile| timestamp(profile.expire_time));
    proto::UnverifiedUser { user: Some(user(found)), expire_time }
}

/// A user's addresses.
pub fn email_addresses(addresses: Vec<UserEmailAddress>) -> Vec<proto::EmailAddress> {
    let address = |address: UserEmailAddress| proto::EmailAddress {
        email: address.email,
        primary: address.primary,
        verified: address.verify_time.is_some(),
        create_time: Some(timestamp(address.create_time)),
        verify_time: address.verify_time.map(timestamp),
    };
    addresses.into_iter().map(address).collect()
}

/// What a purge did.
pub fn purged(purged: Tally) -> proto::PurgeExpiredResponse {
    proto::PurgeExpiredResponse {
        purge_count: count(purged.count),
        sample: purged.sample.into_iter().map(user).collect(),
        more: purged.more,
    }
}

/// An event of that log.
pub fn event(log: LogId, event: &Event) -> proto::Event {
    let kind = match event.kind {
        EventKind::UserRegistered => proto::EventKind::UserRegistered,
        EventKind::UserActivated => proto::EventKind::UserActivated,
        EventKind::ActivationMailSent => proto::EventKind::ActivationMailSent,
        EventKind::ActivationMailFailed => proto::EventKind::ActivationMailFailed,
        EventKind::EmailAddressVerified => proto::EventKind::EmailAddressVerified,
        EventKind::PrimaryEmailAddressChanged => proto::EventKind::PrimaryEmailAddressChanged,
        EventKind::UserDisabled => proto::EventKind::UserDisabled,
        EventKind::UserEnabled => proto::EventKind::UserEnabled,
        EventKind::UserReminded => proto::EventKind::UserReminded,
        EventKind::UserDeleted => proto::EventKind::UserDeleted,
    };
    let deletion_reason = event.deletion_reason.map(|reason| match reason {
        DeletionReason::Expired => proto::DeletionReason::Expired,
        DeletionReason::Unverified => proto::DeletionReason::Unverified,
        DeletionReason::Requested => proto::DeletionReason::Requested,
    });
    proto::Event {
        position: Position { log, number: event.number }.to_string(),
        kind: kind.into(),
        create_time: Some(timestamp(event.create_time)),
        user_id: event.user_id.to_string(),
        mail_id: event.mail_id.map(|id| id.to_string()),
        deletion_reason: deletion_reason.map(Into::into),
    }
}

/// What a purge of the never-verified did.
pub fn unverified_purged(purged: Tally) -> proto::PurgeUnverifiedResponse {
    proto::PurgeUnverifiedResponse {
        purge_count: count(purged.count),
        sample: purged.sample.into_iter().map(user).collect(),
        more: purged.more,
    }
}

/// Who was reminded.
pub fn reminded(reminded: Tally) -> proto::RemindUnverifiedResponse {
    proto::RemindUnverifiedResponse {
        remind_count: count(reminded.count),
        sample: reminded.sample.into_iter().map(user).collect(),
        more: reminded.more,
    }
}

/// An instant.
pub fn timestamp(time: Timestamp) -> ProtoTimestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    ProtoTimestamp { seconds: time.timestamp(), nanos }
}

fn count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
