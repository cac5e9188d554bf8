//! What Vestibule does, an operation a file, each named after its RPC.

mod activate;
mod activate_user;
mod add_email_address;
mod batches;
mod check_clock;
mod count_unverified;
mod create_inactive_user;
mod create_registration_profile;
mod delete_registration_profile;
mod delete_user;
mod disable_user;
mod discard_mail;
mod email_warnings;
mod enable_user;
mod get_mail;
mod get_registration_profile;
mod get_user;
mod inspect_activation_key;
mod issue_code;
mod issue_key;
mod issue_verification_key;
mod lift_suppression;
mod list_email_addresses;
mod list_events;
mod list_mails;
mod list_suppressions;
mod list_unverified;
mod list_users;
mod mail_counters;
mod once;
mod purge_expired;
mod purge_unverified;
mod record_login;
mod reissue_activation_key;
mod remind;
mod remind_unverified;
mod remove_email_address;
mod renew_event_log;
mod report_bounce;
mod retry_mail;
mod send_activation_email;
mod send_verification_email;
mod set_password;
mod set_primary_email_address;
mod verify_email_address;
mod verify_password;
mod watch_events;
mod work;

use std::sync::Arc;

use tokio::sync::{Notify, watch};

pub use activate::ActivateError;
pub use activate_user::ActivateUserError;
pub use add_email_address::AddedEmailAddress;
pub use check_clock::{ClockError, Reference};
pub use create_inactive_user::{CreateInactiveUser, CreateInactiveUserError, InactiveUser};
pub use create_registration_profile::{CreateRegistrationProfileError, CreatedProfile};
pub use delete_registration_profile::DeleteRegistrationProfileError;
pub use delete_user::DeleteUserError;
pub use disable_user::DisableUserError;
pub use discard_mail::DiscardMailError;
pub use enable_user::EnableUserError;
pub use get_mail::GetMailError;
pub use get_registration_profile::{GetRegistrationProfileError, ProfileStatus};
pub use get_user::GetUserError;
pub use inspect_activation_key::{InspectActivationKeyError, InspectedKey};
pub use issue_key::{IssueKeyError, IssuedKey};
pub use issue_verification_key::EmailAddressError;
pub use lift_suppression::LiftSuppressionError;
pub use list_email_addresses::ListEmailAddressesError;
pub use list_events::{EventPage, ListEventsError};
pub use list_mails::ListMailsError;
pub use list_suppressions::ListSuppressionsError;
pub use list_unverified::ListUnverifiedError;
pub use list_users::ListUsersError;
pub use once::RequestError;
pub use purge_expired::{PurgeExpired, PurgeExpiredError};
pub use purge_unverified::{PurgeUnverified, PurgeUnverifiedError};
pub use record_login::RecordLoginError;
pub use remind::LadderError;
pub use remind_unverified::{RemindUnverified, RemindUnverifiedError};
pub use report_bounce::ReportBounceError;
pub use retry_mail::RetryMailError;
pub use set_password::SetPasswordError;
pub use verify_email_address::VerifyEmailAddressError;
pub use verify_password::VerifyPasswordError;
pub use watch_events::EventWatch;
pub use work::{Unfinished, Work};

use crate::{
    bell::MailBell,
    causes::Causes,
    clock::{Clock, ClockGuard},
    domain::{
        Timestamp,
        activation_key::{ActivationKey, SALT_BYTES},
        email_policy::EmailPolicy,
        mail::{MailId, MailText, NewMail},
        mail_limit::MailLimits,
        password_policy::PasswordPolicy,
        reminder::ReminderPolicy,
        site::Sites,
        user_email_address::MaxEmailAddresses,
        username_policy::UsernamePolicy,
    },
    hashing::PasswordHasher,
    random::{self, Random},
    repository::Repository,
    sealing::{Keyring, OpenError},
    templates::{MailContext, TemplateError, Templates},
};

/// The service: all that an operation needs, and one method for each.
pub struct Vestibule {
    /// Where everything is kept.
    pub repository: Arc<dyn Repository>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whether the time can be trusted.
    pub clock_guard: Arc<ClockGuard>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Seals mails that wait.
    pub keyring: Arc<Keyring>,
    /// What mails say.
    pub templates: Templates,
    /// Hashes passwords.
    pub hasher: PasswordHasher,
    /// The sites that users register on.
    pub sites: Sites,
    /// What a new username must be beyond the standard.
    pub usernames: UsernamePolicy,
    /// How many addresses a user may have.
    pub max_email_addresses: MaxEmailAddresses,
    /// What a new password must be beyond the standard.
    pub passwords: PasswordPolicy,
    /// How many mails may be asked for.
    pub mail_limits: MailLimits,
    /// What a new email address must be beyond its form.
    pub emails: EmailPolicy,
    /// How often anybody is reminded.
    pub reminders: ReminderPolicy,
    /// Rung after a mail was queued.
    pub mail_bell: Arc<MailBell>,
    /// Rung after a call was carried out, which may have appended events.
    pub events_appended: Arc<Notify>,
    /// The number of the event log's last event, as far as this process knows.
    pub events_numbered: watch::Sender<i64>,
}

impl Vestibule {
    /// A new key for a username as shown (R3).
    fn generate_key(&self, username: &str) -> ActivationKey {
        ActivationKey::generate(&random::bytes::<SALT_BYTES>(&*self.random), username)
    }

    /// Has the servers on the same database look for mails that were queued; for a process that sends none itself.
    pub async fn announce_mails(&self) {
        if let Err(error) = self.repository.ring_mail_bell().await {
            tracing::debug!(error = %Causes(&error), "the servers can't be told of mails, and will find them");
        }
    }

    /// Renders a mail, and seals it for the outbox. It is not tried again after `expire_time`.
    fn new_mail(
        &self,
        recipient: &str,
        context: &MailContext<'_>,
        expire_time: Timestamp,
        now: Timestamp,
    ) -> Result<NewMail, TemplateError> {
        let text = self.templates.mail(context)?;
        let id = MailId(random::uuid_v7(&*self.random, now));
        let sealed_text = seal_text(&self.keyring, &*self.random, id, recipient, &text);
        let key_digest = context.content.key().map(ActivationKey::digest);
        Ok(NewMail { id, kind: context.content.kind(), sealed_text, key_digest, expire_time })
    }
}

/// What seals a mail's text: nobody who can write to the database can send it to somebody else.
fn mail_purpose(id: MailId, recipient: &str) -> Vec<u8> {
    format!("mail {id} to {recipient}").into_bytes()
}

fn seal_text(
    keyring: &Keyring,
    random: &dyn Random,
    id: MailId,
    recipient: &str,
    text: &MailText,
) -> Vec<u8> {
    keyring.seal(random, &mail_purpose(id, recipient), &text.to_bytes())
}

/// Opens a mail's text as it was sealed when the mail was queued.
pub fn open_text(
    keyring: &Keyring,
    id: MailId,
    recipient: &str,
    sealed_text: &[u8],
) -> Result<MailText, OpenError> {
    let plaintext = keyring.open(&mail_purpose(id, recipient), sealed_text)?;
    MailText::from_bytes(&plaintext).ok_or(OpenError)
}
