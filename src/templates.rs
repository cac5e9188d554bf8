//! Makes a mail's text out of its templates: a typed context in, one line of subject and a body out (R4, R5).

use std::{fs, io, path::Path};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use secrecy::SecretString;

use crate::domain::{
    Timestamp,
    activation_key::{ActivationKey, SALT_BYTES},
    mail::MailText,
    site::Site,
};

/// The embedded templates, by the name that a folder overrides them with.
const EMBEDDED: [(&str, &str); 2] = [
    (SUBJECT, include_str!("../templates/activation/subject.txt")),
    (BODY, include_str!("../templates/activation/body.txt")),
];
const SUBJECT: &str = "activation/subject.txt";
const BODY: &str = "activation/body.txt";

/// How many steps a template may take; a loop without end is a broken template, not a stuck server.
const FUEL: u64 = 100_000;

/// The templates of an installation, compiled.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
}

/// What the mail that carries an activation key is made of.
#[derive(Debug, Clone, Copy)]
pub struct ActivationMail<'a> {
    /// The username as shown.
    pub username: &'a str,
    /// The key; the subject never gets it (X4).
    pub key: &'a ActivationKey,
    /// When it expires.
    pub expire_time: Timestamp,
    /// The site registered on.
    pub site: &'a Site,
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
        name: &'static str,
        /// Why.
        source: minijinja::Error,
    },
    /// What it renders has neither the activation key nor the link with it.
    #[error("template {name} shows neither activation_key nor activation_url")]
    NoKey {
        /// Which.
        name: &'static str,
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
                .map_err(|source| TemplateError::Broken { name, source })?;
        }
        Ok(Self { environment })
    }

    /// Whether a site's mail can be made, and carries the key: a broken template is found at the start.
    pub fn check(&self, site: &Site) -> Result<(), TemplateError> {
        let key = ActivationKey::generate(&[0; SALT_BYTES], "username");
        let expire_time = site.activation_days.expire_time(Timestamp::default());
        let mail = self.activation(&ActivationMail { username: "username", key: &key, expire_time, site })?;
        if mail.body().contains(key.expose()) { Ok(()) } else { Err(TemplateError::NoKey { name: BODY }) }
    }

    /// The mail that carries an activation key.
    pub fn activation(&self, mail: &ActivationMail<'_>) -> Result<MailText, TemplateError> {
        let site = context! { name => &mail.site.name, domain => &mail.site.domain };
        let user = context! { username => mail.username };
        let subject = self.render(SUBJECT, context! { site => &site, user => &user })?;
        let body = context! {
            activation_key => mail.key.expose(),
            expiration_days => mail.site.activation_days.get(),
            expire_time => mail.expire_time.format("%Y-%m-%d %H:%M UTC").to_string(),
            activation_url => mail.site.activation_url(mail.key),
            site,
            user,
        };
        let body = self.render(BODY, body)?;
        Ok(MailText {
            from: mail.site.from.clone(),
            subject: one_line(&subject),
            body: SecretString::from(body),
        })
    }

    fn render(&self, name: &'static str, context: Value) -> Result<String, TemplateError> {
        self.environment
            .get_template(name)
            .and_then(|template| template.render(context))
            .map_err(|source| TemplateError::Broken { name, source })
    }
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

    fn site(activation_url: Option<&str>) -> Site {
        Site {
            id: SiteId::parse("shop").unwrap(),
            name: "The Shop".into(),
            domain: "shop.example".into(),
            from: "shop@shop.example".into(),
            activation_url: activation_url.map(Into::into),
            activation_days: ActivationDays::new(3).unwrap(),
        }
    }

    fn render(templates: &Templates, site: &Site) -> Result<MailText, TemplateError> {
        let key = ActivationKey::generate(&[1; 32], "alice");
        templates.activation(&ActivationMail {
            username: "alice",
            key: &key,
            expire_time: Timestamp::from_timestamp(1_700_000_000, 0).unwrap(),
            site,
        })
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
