//! CreateInactiveUser: R1 to R6, X2, X6 to X10, X22.

use super::{ClockError, RequestError, Vestibule, once::Once};
use crate::{
    domain::{
        Timestamp,
        activation_key::ActivationKey,
        email_address::EmailAddress,
        email_policy::Warning,
        locale::Locale,
        mail_limit::MailLimitReached,
        password::Password,
        request::Call,
        site::SiteId,
        user::{User, UserId},
        username::Username,
    },
    hashing::Overloaded,
    random,
    repository::{NewRegistration, RegisterRefusal, RequestRecord, StorageError},
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
    /// Who asks for it.
    pub call: Call,
}

/// What was registered.
#[derive(Debug)]
pub struct InactiveUser {
    /// The new user.
    pub user: User,
    /// When the key expires.
    pub expire_time: Timestamp,
    /// The key, only if it was not mailed (X2), and not when the request was done before (X10).
    pub activation_key: Option<ActivationKey>,
    /// What there is to say of the address.
    pub warnings: Vec<Warning>,
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
    /// The request was made before, for something else.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Too many mails were asked for.
    #[error(transparent)]
    MailLimit(#[from] MailLimitReached),
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
        let once = request.once();
        let warnings = self.email_warnings(&request.email).await?;
        // Before the password is hashed: a repetition costs no hash.
        if let Some(done) = self.find_done(&once).await? {
            return Ok(answer_again(&request, &done, warnings)?);
        }
        let site = match &request.site {
            Some(id) => self.sites.find(id),
            None => self.sites.first(),
        };
        let site = site.ok_or(CreateInactiveUserError::UnknownSite)?;
        if !site.registration_open {
            return Err(CreateInactiveUserError::RegistrationClosed(site.id.clone()));
        }
        let password_hash = match &request.password {
            Some(password) => Some(self.hasher.hash(password.clone()).await?),
            None => None,
        };
        let now = self.clock.now();
        let key = self.generate_key(request.username.as_str());
        let expire_time = site.activation_days.expire_time(now);
        let (mail, code) = if request.send_email {
            let code = self.new_code(site, request.email.as_str(), now).await?;
            let in_mail = code.as_ref().map(|code| code.in_mail(expire_time));
            let context = MailContext {
                username: request.username.as_str(),
                site,
                locale: request.locale.as_ref(),
                content: MailContent::Activation { key: &key, expire_time, code: in_mail },
            };
            (Some(self.new_mail(request.email.as_str(), &context, expire_time, now)?), code)
        } else {
            (None, None)
        };
        let counters = match mail {
            Some(_) => self.counters_of_mail(request.email.as_str(), &request.call.caller),
            None => Vec::new(),
        };
        let user_id = UserId(random::uuid_v7(&*self.random, now));
        let record = self.request_record(&once, now).map(|record| RequestRecord {
            user_id: Some(user_id),
            expire_time: Some(expire_time),
            site: Some(site.id.clone()),
            ..record
        });
        let registration = NewRegistration {
            user_id,
            username: request.username.clone(),
            email: request.email.clone(),
            password_hash,
            site: site.id.clone(),
            locale: request.locale.clone(),
            digest: key.digest(),
            now,
            expire_time,
            mail,
            code: code.map(|code| code.stored(expire_time)),
            give_way: false,
            request: record,
            counters,
        };
        let mut outcome = self.repository.register(&registration).await?;
        if outcome == Err(RegisterRefusal::UsernameExpired) {
            self.check_clock(now).await?;
            outcome = self.repository.register(&NewRegistration { give_way: true, ..registration }).await?;
        }
        let user = match outcome {
            Ok(user) => user,
            Err(RegisterRefusal::RequestDone) => {
                let done = self.expect_done(&once).await?;
                return Ok(answer_again(&request, &done, warnings)?);
            }
            Err(RegisterRefusal::UsernameTaken | RegisterRefusal::UsernameExpired) => {
                return Err(CreateInactiveUserError::UsernameTaken);
            }
            Err(RegisterRefusal::EmailTaken) => return Err(CreateInactiveUserError::EmailTaken),
            Err(RegisterRefusal::MailLimit(reached)) => return Err(reached.into()),
        };
        self.mail_bell.ring();
        let activation_key = (!request.send_email).then_some(key);
        Ok(InactiveUser { user, expire_time, activation_key, warnings })
    }
}

impl CreateInactiveUser {
    /// What a repetition must ask for again.
    fn once(&self) -> Once {
        Once::new(&self.call, "CreateInactiveUser")
            .with(Some(self.username.as_str()))
            .with(Some(self.email.as_str()))
            .with(self.password.as_ref().map(Password::expose))
            .with(Some([u8::from(self.send_email)]))
            .with(self.site.as_ref().map(SiteId::as_str))
            .with(self.locale.as_ref().map(Locale::as_str))
    }
}

/// What a request was answered that is made again, but for the key: whatever became of the user since.
fn answer_again(
    request: &CreateInactiveUser,
    done: &RequestRecord,
    warnings: Vec<Warning>,
) -> Result<InactiveUser, StorageError> {
    let (Some(id), Some(expire_time), Some(site)) = (done.user_id, done.expire_time, done.site.clone())
    else {
        return Err(StorageError::Corrupt("a request's record"));
    };
    let (username, email, locale) = (&request.username, &request.email, request.locale.clone());
    let user = User::registered(id, username, email, site, locale, done.create_time, expire_time);
    Ok(InactiveUser { user, expire_time, activation_key: None, warnings })
}
