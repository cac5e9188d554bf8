//! CreateInactiveUser: R1 to R6, X2, X6 to X9, X22.

use super::{ClockError, Vestibule};
use crate::{
    domain::{
        Timestamp,
        activation_key::ActivationKey,
        email_address::EmailAddress,
        locale::Locale,
        password::Password,
        site::SiteId,
        user::{User, UserId},
        username::Username,
    },
    hashing::Overloaded,
    random,
    repository::{NewRegistration, RegisterRefusal, StorageError},
    templates::{MailContent, MailContext, TemplateError},
};

/// A registration as asked for.
#[derive(Debug, Clone)]
pub struct CreateInactiveUser {
    /// The username.
    pub username: Username,
    /// The primary address.
    pub email: EmailAddress,
    /// The password, unless Activate is to give one (X9).
    pub password: Option<Password>,
    /// Whether to mail the key rather than return it (R2).
    pub send_email: bool,
    /// The site; the first one if absent.
    pub site: Option<SiteId>,
    /// What the user's mails are written in; the site's locale if absent.
    pub locale: Option<Locale>,
}

/// What was registered.
#[derive(Debug)]
pub struct InactiveUser {
    /// The new user.
    pub user: User,
    /// When the key expires.
    pub expire_time: Timestamp,
    /// The key, only if it was not mailed (X2).
    pub activation_key: Option<ActivationKey>,
}

/// Why nobody was registered.
#[derive(Debug, thiserror::Error)]
pub enum CreateInactiveUserError {
    /// The settings know no such site.
    #[error("the settings know no such site")]
    UnknownSite,
    /// The settings let nobody register on the site.
    #[error("nobody can register on site {0}")]
    RegistrationClosed(SiteId),
    /// Somebody holds an equal username.
    #[error("the username is in use")]
    UsernameTaken,
    /// Somebody has verified the address.
    #[error("another user has verified the email address")]
    EmailTaken,
    /// Too many passwords wait to be hashed.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The username's holder would give way, but the clock can't be trusted (X22).
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The mail can't be rendered.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Vestibule {
    /// Creates an inactive user with its address and profile, and queues the activation mail, all or nothing.
    pub async fn create_inactive_user(
        &self,
        request: CreateInactiveUser,
    ) -> Result<InactiveUser, CreateInactiveUserError> {
        let site = match &request.site {
            Some(id) => self.sites.find(id),
            None => self.sites.first(),
        };
        let site = site.ok_or(CreateInactiveUserError::UnknownSite)?;
        if !site.registration_open {
            return Err(CreateInactiveUserError::RegistrationClosed(site.id.clone()));
        }
        let password_hash = match request.password {
            Some(password) => Some(self.hasher.hash(password).await?),
            None => None,
        };
        let now = self.clock.now();
        let key = self.generate_key(request.username.as_str());
        let expire_time = site.activation_days.expire_time(now);
        let mail = if request.send_email {
            let context = MailContext {
                username: request.username.as_str(),
                site,
                locale: request.locale.as_ref(),
                content: MailContent::Activation { key: &key, expire_time },
            };
            Some(self.new_mail(request.email.as_str(), &context, expire_time, now)?)
        } else {
            None
        };
        let registration = NewRegistration {
            user_id: UserId(random::uuid_v7(&*self.random, now)),
            username: request.username,
            email: request.email,
            password_hash,
            site: site.id.clone(),
            locale: request.locale,
            digest: key.digest(),
            now,
            expire_time,
            mail,
            give_way: false,
        };
        let mut outcome = self.repository.register(&registration).await?;
        if outcome == Err(RegisterRefusal::UsernameExpired) {
            self.check_clock(now).await?;
            outcome = self.repository.register(&NewRegistration { give_way: true, ..registration }).await?;
        }
        let user = outcome.map_err(|refusal| match refusal {
            RegisterRefusal::UsernameTaken | RegisterRefusal::UsernameExpired => {
                CreateInactiveUserError::UsernameTaken
            }
            RegisterRefusal::EmailTaken => CreateInactiveUserError::EmailTaken,
        })?;
        self.mail_queued.notify_one();
        Ok(InactiveUser { user, expire_time, activation_key: (!request.send_email).then_some(key) })
    }
}
