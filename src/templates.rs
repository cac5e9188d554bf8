//! Makes a mail's text out of its templates: a typed context in, one line of subject and a body out (R4, R5).

use std::{fs, io, path::Path};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use secrecy::SecretString;

use crate::domain::{
    Timestamp,
    activation_key::{ActivationKey, SALT_BYTES},
    mail::{MailKind, MailText},
    site::Site,
};

/// The embedded templates, by the name that a folder overrides them with.
const EMBEDDED: [(&str, &str); 8] = [
    ("activation/subject.txt", include_str!("../templates/activation/subject.txt")),
    ("activation/body.txt", include_str!("../templates/activation/body.txt")),
    ("reminder/subject.txt", include_str!("../templates/reminder/subject.txt")),
    ("reminder/body.txt", include_str!("../templates/reminder/body.txt")),
    ("email_verification/subject.txt", include_str!("../templates/email_verification/subject.txt")),
    ("email_verification/body.txt", include_str!("../templates/email_verification/body.txt")),
    ("primary_email_changed/subject.txt", include_str!("../templates/primary_email_changed/subject.txt")),
    ("primary_email_changed/body.txt", include_str!("../templates/primary_email_changed/body.txt")),
];

/// How many steps a template may take; a loop without end is a broken template, not a stuck server.
const FUEL: u64 = 100_000;

/// The templates of an installation, compiled.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
}

/// What a mail is made of.
#[derive(Debug, Clone, Copy)]
pub struct MailContext<'a> {
    /// The username as shown.
    pub username: &'a str,
    /// The site registered on.
    pub site: &'a Site,
    /// What the mail is for, and what only such a mail says.
    pub content: MailContent<'a>,
}

/// What a mail of a kind says beside whom it is for; a subject never gets any of it (X4).
#[derive(Debug, Clone, Copy)]
pub enum MailContent<'a> {
    /// Activate the account.
    Activation {
        /// The activation key.
        key: &'a ActivationKey,
        /// When it expires.
        expire_time: Timestamp,
    },
    /// Activate the account before it is deleted (U6).
    Reminder {
        /// A further activation key.
        key: &'a ActivationKey,
        /// When it expires, and from when on the registration may be purged.
        expire_time: Timestamp,
    },
    /// Verify an address (U8).
    EmailVerification {
        /// The address, to which the mail goes.
        email: &'a str,
        /// The key that verifies it.
        key: &'a ActivationKey,
        /// When it expires.
        expire_time: Timestamp,
    },
    /// The address is no longer the primary one (U8).
    PrimaryEmailChanged {
        /// The new primary address.
        email: &'a str,
    },
}

impl MailContent<'_> {
    /// What the mail is for.
    pub fn kind(&self) -> MailKind {
        match self {
            Self::Activation { .. } => MailKind::Activation,
            Self::Reminder { .. } => MailKind::Reminder,
            Self::EmailVerification { .. } => MailKind::EmailVerification,
            Self::PrimaryEmailChanged { .. } => MailKind::PrimaryEmailChanged,
        }
    }
}

/// A template that can't be read, parsed or rendered.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The folder of the settings, or a file in it, can't be read.
    #[error("template {name} can't be read: {source}")]
    Read {
        /// Which.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Its syntax is wrong, or it names something that its context has not.
    #[error("template {name} is broken: {source}")]
    Broken {
        /// Which.
        name: String,
        /// Why.
        source: minijinja::Error,
    },
    /// What it renders has neither the key nor the link with it.
    #[error("template {name} shows neither the key nor the link with it")]
    NoKey {
        /// Which.
        name: String,
    },
}

impl Templates {
    /// The embedded templates, each replaced by the file of its name in `directory` where there is one.
    pub fn load(directory: Option<&Path>) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        if let Some(directory) = directory {
            fs::read_dir(directory)
                .map_err(|source| TemplateError::Read { name: directory.display().to_string(), source })?;
        }
        for (name, embedded) in EMBEDDED {
            let text = match directory.map(|directory| fs::read_to_string(directory.join(name))) {
                None => embedded.to_owned(),
                Some(Ok(text)) => text,
                Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => embedded.to_owned(),
                Some(Err(source)) => return Err(TemplateError::Read { name: name.to_owned(), source }),
            };
            environment
                .add_template_owned(name, text)
                .map_err(|source| TemplateError::Broken { name: name.to_owned(), source })?;
        }
        Ok(Self { environment })
    }

    /// Whether every mail of a site can be made, and carries its key: a broken template is found at the start.
    pub fn check(&self, site: &Site) -> Result<(), TemplateError> {
        let key = &ActivationKey::generate(&[0; SALT_BYTES], "username");
        let expire_time = site.activation_days.expire_time(Timestamp::default());
        let email = "username@example.com";
        for content in [
            MailContent::Activation { key, expire_time },
            MailContent::Reminder { key, expire_time },
            MailContent::EmailVerification { email, key, expire_time },
            MailContent::PrimaryEmailChanged { email },
        ] {
            let mail = self.mail(&MailContext { username: "username", site, content })?;
            let has_key = !matches!(content, MailContent::PrimaryEmailChanged { .. });
            if has_key && !mail.body().contains(key.expose()) {
                return Err(TemplateError::NoKey { name: body_name(content.kind()) });
            }
        }
        Ok(())
    }

    /// A mail.
    pub fn mail(&self, mail: &MailContext<'_>) -> Result<MailText, TemplateError> {
        let site = context! { name => &mail.site.name, domain => &mail.site.domain };
        let user = context! { username => mail.username };
        let kind = mail.content.kind();
        let subject = self.render(subject_name(kind), context! { site => &site, user => &user })?;
        let content = content(mail);
        let body = self.render(body_name(kind), context! { site, user, ..content })?;
        Ok(MailText {
            from: mail.site.from.clone(),
            subject: one_line(&subject),
            body: SecretString::from(body),
        })
    }

    fn render(&self, name: String, context: Value) -> Result<String, TemplateError> {
        self.environment
            .get_template(&name)
            .and_then(|template| template.render(context))
            .map_err(|source| TemplateError::Broken { name, source })
    }
}

/// What the body of a mail of a kind is offered beside `site` and `user`.
fn content(mail: &MailContext<'_>) -> Value {
    let site = mail.site;
    match mail.content {
        MailContent::Activation { key, expire_time } => context! {
            activation_key => key.expose(),
            activation_url => site.activation_url(key),
            expiration_days => site.activation_days.get(),
            expire_time => minute(expire_time),
        },
        MailContent::Reminder { key, expire_time } => context! {
            activation_key => key.expose(),
            activation_url => site.activation_url(key),
            expire_time => minute(expire_time),
            deletion_date => expire_time.format("%Y-%m-%d").to_string(),
        },
        MailContent::EmailVerification { email, key, expire_time } => context! {
            email,
            verification_key => key.expose(),
            verification_url => site.verification_url(key),
            expire_time => minute(expire_time),
        },
        MailContent::PrimaryEmailChanged { email } => context! { email },
    }
}

fn minute(time: Timestamp) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn subject_name(kind: MailKind) -> String {
    format!("{}/subject.txt", kind.as_str())
}

fn body_name(kind: MailKind) -> String {
    format!("{}/body.txt", kind.as_str())
}

/// R5: the lines of a subject are joined with nothing between them; so is what Unicode calls a line end.
fn one_line(text: &str) -> String {
    text.chars()
        .filter(|c| {
            !matches!(
                c,
                '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{policy::ActivationDays, site::SiteId};

    const SUBJECT: &str = "activation/subject.txt";
    const BODY: &str = "activation/body.txt";

    fn site(activation_url: Option<&str>) -> Site {
        Site {
            id: SiteId::parse("shop").unwrap(),
            name: "The Shop".into(),
            domain: "shop.example".into(),
            from: "shop@shop.example".into(),
            activation_url: activation_url.map(Into::into),
            verification_url: None,
            activation_days: ActivationDays::new(3).unwrap(),
        }
    }

    fn render(templates: &Templates, site: &Site) -> Result<MailText, TemplateError> {
        let key = ActivationKey::generate(&[1; 32], "alice");
        let expire_time = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
        let content = MailContent::Activation { key: &key, expire_time };
        templates.mail(&MailContext { username: "alice", site, content })
    }

    fn overridden(name: &str, text: &str) -> Result<MailText, TemplateError> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("activation")).unwrap();
        fs::write(folder.path().join(name), text).unwrap();
        render(&Templates::load(Some(folder.path()))?, &site(None))
    }

    #[test]
    fn r4_the_embedded_mail_names_site_user_key_and_expiry() {
        let mail =
            render(&Templates::load(None).unwrap(), &site(Some("https://shop.example/a?k={key}"))).unwrap();
        insta::assert_snapshot!(format!("{}\n\n{}", mail.subject, mail.body()));
        let plain = render(&Templates::load(None).unwrap(), &site(None)).unwrap();
        insta::assert_snapshot!(plain.body());
    }

    #[test]
    fn the_other_embedded_mails_say_what_they_are_for() {
        let templates = Templates::load(None).unwrap();
        let key = &ActivationKey::generate(&[1; 32], "alice");
        let expire_time = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
        let email = "new@shop.example";
        let site = &Site {
            verification_url: Some("https://shop.example/v?k={key}".into()),
            ..site(Some("https://shop.example/a?k={key}"))
        };
        for content in [
            MailContent::Reminder { key, expire_time },
            MailContent::EmailVerification { email, key, expire_time },
            MailContent::PrimaryEmailChanged { email },
        ] {
            let mail = templates.mail(&MailContext { username: "alice", site, content }).unwrap();
            let name = content.kind().as_str();
            insta::assert_snapshot!(name, format!("{}\n\n{}", mail.subject, mail.body()));
        }
    }

    #[test]
    fn r4_x4_every_promised_name_is_there() {
        let body = "{{ activation_key }} {{ expiration_days }} {{ site.name }} {{ site.domain }} \
                    {{ user.username }} {{ expire_time }} {{ activation_url }}";
        let mail = overridden(BODY, body).unwrap();
        assert!(
            mail.body().ends_with(" 3 The Shop shop.example alice 2023-11-14 22:13 UTC None"),
            "{}",
            mail.body()
        );
        let mail = overridden(SUBJECT, "{{ site.name }} {{ site.domain }} {{ user.username }}").unwrap();
        assert_eq!(mail.subject, "The Shop shop.example alice");
    }

    #[test]
    fn x4_the_subject_is_never_offered_the_key() {
        for name in ["activation_key", "activation_url", "expire_time"] {
            let outcome = overridden(SUBJECT, &format!("{{{{ {name} }}}}"));
            assert!(matches!(outcome, Err(TemplateError::Broken { .. })), "{name}");
        }
    }

    #[test]
    fn r5_a_subject_of_several_lines_is_joined_with_nothing_between() {
        assert_eq!(overridden(SUBJECT, "One\r\ntwo\n\nthree\n").unwrap().subject, "Onetwothree");
    }

    #[test]
    fn a_template_that_names_what_is_not_there_or_shows_no_key_is_found_at_the_start() {
        let check = |body: &str| {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("activation")).unwrap();
            fs::write(folder.path().join(BODY), body).unwrap();
            Templates::load(Some(folder.path())).unwrap().check(&site(Some("https://shop.example/{key}")))
        };
        assert!(matches!(check("{{ nope }}"), Err(TemplateError::Broken { .. })));
        assert!(matches!(check("hello"), Err(TemplateError::NoKey { .. })));
        assert!(check("{{ activation_key }}").is_ok());
        assert!(check("{{ activation_url }}").is_ok());
    }

    #[test]
    fn a_broken_template_is_refused_when_it_is_loaded() {
        assert!(matches!(overridden(BODY, "{% if %}"), Err(TemplateError::Broken { .. })));
        assert!(matches!(Templates::load(Some(Path::new("nowhere"))), Err(TemplateError::Read { .. })));
        assert!(overridden(BODY, "{% for i in range(1000000) %}{{ i }}{% endfor %}").is_err());
    }
}
