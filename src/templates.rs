//! Makes a mail's text out of its templates: a typed context in, one line of subject and the bodies out (R4, R5).

mod check;
mod files;
mod page;
mod page_files;
mod pages;
mod set;

use std::{collections::HashMap, fmt, io, path::Path};

use minijinja::{Value, context};

use self::{
    files::{Name, Part, Source},
    set::TemplateSet,
};
use crate::domain::{
    Timestamp,
    activation_code::{self, ActivationCode},
    activation_key::{ActivationKey, SALT_BYTES},
    locale::Locale,
    mail::{MailKind, MailText},
    policy,
    site::{Site, SiteId, Sites},
};

pub use page::{Page, Refusal, ResendFault, Trouble};
pub use pages::{PageContext, RenderedPage};

/// The setting that names the folder that all sites share.
const SHARED: &str = "templates.directory";

/// The templates of an installation, compiled.
#[derive(Debug)]
pub struct Templates {
    /// Those of every site that has no folder of its own.
    shared: TemplateSet,
    of_sites: HashMap<SiteId, TemplateSet>,
}

/// Templates, and what is wrong with them.
#[derive(Debug)]
pub struct Loaded {
    /// All that can be used.
    pub templates: Templates,
    /// What keeps a mail from being made as it should be.
    pub problems: Vec<Problem>,
    /// What keeps none, and is hardly meant: files that are no template's, a locale without templates, a code that is not
    /// shown.
    pub warnings: Vec<Problem>,
}

/// Something that is wrong with templates, and where.
#[derive(Debug)]
pub struct Problem {
    setting: String,
    error: TemplateError,
    site: Option<SiteId>,
}

/// What a mail is made of.
#[derive(Debug, Clone, Copy)]
pub struct MailContext<'a> {
    /// The username as shown.
    pub username: &'a str,
    /// The site registered on.
    pub site: &'a Site,
    /// What the recipient reads, if it is known; otherwise the site's locale is taken.
    pub locale: Option<&'a Locale>,
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
        /// The code that does the same for a while, if the site has codes.
        code: Option<MailedCode<'a>>,
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

/// An activation code in a mail.
#[derive(Debug, Clone, Copy)]
pub struct MailedCode<'a> {
    /// The code.
    pub code: &'a ActivationCode,
    /// When it expires.
    pub expire_time: Timestamp,
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

    /// The key that it carries, if it carries one.
    pub fn key(&self) -> Option<&ActivationKey> {
        match self {
            Self::Activation { key, .. }
            | Self::Reminder { key, .. }
            | Self::EmailVerification { key, .. } => Some(key),
            Self::PrimaryEmailChanged { .. } => None,
        }
    }
}

/// What is wrong with a template, or with a file that should be one.
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
    /// Its syntax is wrong, it names something that its context has not, or it takes too many steps.
    #[error("template {name} is broken: {source}")]
    Broken {
        /// Which.
        name: String,
        /// Why.
        source: minijinja::Error,
    },
    /// It names something that it is not offered.
    #[error("template {name} names {unknown}, which it is not offered")]
    UnknownName {
        /// Which.
        name: String,
        /// What it names.
        unknown: String,
    },
    /// What it renders has neither the key nor the link with it.
    #[error("template {name} shows neither the key nor the link with it")]
    NoKey {
        /// Which.
        name: String,
    },
    /// What it renders has not the code that the site's mails carry.
    #[error("template {name} doesn't show the code of the site's activation mails")]
    NoCode {
        /// Which.
        name: String,
    },
    /// What it renders has no form whose button does something.
    #[error("template {name} has no form with method=\"post\"")]
    NoForm {
        /// Which.
        name: String,
    },
    /// Its locale has no subject or no plain text, or not every page.
    #[error("template {name} needs {missing} beside it")]
    Incomplete {
        /// Which.
        name: String,
        /// What is not there.
        missing: String,
    },
    /// A file that is no template's.
    #[error("{file} is no template; {}", Meant(.near.as_deref()))]
    Stray {
        /// Which.
        file: String,
        /// What it may have been meant to be.
        near: Option<String>,
    },
    /// A site's locale that there are no templates for.
    #[error("there are no templates in {locale}; mails are made of those without a locale")]
    NoLocale {
        /// Which.
        locale: Locale,
    },
}

/// What a file should have been called.
struct Meant<'a>(Option<&'a str>);

/// A mail of every kind that nobody gets, to look at and to check.
struct Sample {
    key: ActivationKey,
    expire_time: Timestamp,
    code: Option<ActivationCode>,
    code_expire_time: Timestamp,
}

impl Templates {
    /// The embedded templates, each replaced by the file of its name in `directory`, and for a site by that in its own
    /// folder. All of them are tried out for every site: a broken template is found before anybody is mailed.
    pub fn load(directory: Option<&Path>, sites: &Sites) -> Loaded {
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let embedded = Source::embedded();
        let shared = directory.map(|directory| Source::read(SHARED, directory, &mut problems, &mut warnings));
        let layers: Vec<_> = std::iter::once(&embedded).chain(&shared).collect();
        let mut templates =
            Self { shared: TemplateSet::new(&layers, &mut problems), of_sites: HashMap::new() };
        for (index, site) in sites.iter().enumerate() {
            let Some(folder) = &site.templates else { continue };
            let setting = format!("sites[{index}].templates");
            let own = Source::read(&setting, folder, &mut problems, &mut warnings);
            let layers: Vec<_> = layers.iter().copied().chain([&own]).collect();
            // What is wrong in a folder that is shared has been said.
            let mut found = Vec::new();
            templates.of_sites.insert(site.id.clone(), TemplateSet::new(&layers, &mut found));
            problems.extend(found.into_iter().filter(|problem| problem.setting == setting));
        }
        for (index, site) in sites.iter().enumerate() {
            problems.extend(templates.check(site));
            warnings.extend(templates.check_code(site));
            warnings.extend(templates.check_locale(&format!("sites[{index}].locale"), site));
        }
        Loaded { templates, problems, warnings }
    }

    /// A mail.
    pub fn mail(&self, mail: &MailContext<'_>) -> Result<MailText, TemplateError> {
        let set = self.set(mail.site);
        let kind = mail.content.kind();
        let locale = set.choose(kind, mail.site, mail.locale);
        let render = |part| {
            let name = Name::new(kind, part, locale.as_ref());
            // Of the three the HTML alone may be missing.
            let there = part != Part::Html || set.has(&name);
            there.then(|| set.render(&name, offered(mail, part))).transpose()
        };
        let html = render(Part::Html)?.filter(|html| !html.trim().is_empty());
        Ok(MailText {
            from: mail.site.from.clone(),
            subject: one_line(&render(Part::Subject)?.unwrap_or_default()),
            body: render(Part::Body)?.unwrap_or_default().into(),
            html: html.map(Into::into),
        })
    }

    /// A mail of that kind with made-up data, as somebody would get it who registered at `now`.
    pub fn sample(
        &self,
        kind: MailKind,
        site: &Site,
        locale: Option<&Locale>,
        now: Timestamp,
    ) -> Result<MailText, TemplateError> {
        self.mail(&Sample::new(site, now).context(site, kind, locale))
    }

    fn set(&self, site: &Site) -> &TemplateSet {
        self.of_sites.get(&site.id).unwrap_or(&self.shared)
    }
}

impl Sample {
    fn new(site: &Site, now: Timestamp) -> Self {
        let key = ActivationKey::generate(&[0; SALT_BYTES], "alice");
        let expire_time = site.activation_days.expire_time(now);
        let code = site.code_digits.map(|digits| ActivationCode::generate(12_345_678, digits));
        let code_expire_time = policy::later(now, activation_code::LIFETIME).min(expire_time);
        Self { key, expire_time, code, code_expire_time }
    }

    fn key(&self) -> &str {
        self.key.expose()
    }

    fn context<'a>(&'a self, site: &'a Site, kind: MailKind, locale: Option<&'a Locale>) -> MailContext<'a> {
        let (key, expire_time, email) = (&self.key, self.expire_time, SAMPLE_RECIPIENT);
        let code = self.code.as_ref().map(|code| MailedCode { code, expire_time: self.code_expire_time });
        let content = match kind {
            MailKind::Activation => MailContent::Activation { key, expire_time, code },
            MailKind::Reminder => MailContent::Reminder { key, expire_time },
            MailKind::EmailVerification => MailContent::EmailVerification { email, key, expire_time },
            MailKind::PrimaryEmailChanged => MailContent::PrimaryEmailChanged { email },
        };
        MailContext { username: "alice", site, locale, content }
    }
}

/// Whom a sample goes to.
pub const SAMPLE_RECIPIENT: &str = "alice@example.com";

impl Problem {
    fn of(setting: &str, error: TemplateError) -> Self {
        Self { setting: setting.to_owned(), error, site: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.error)?;
        match &self.site {
            Some(site) => write!(f, ", for site {site}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Meant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(near) => write!(f, "did you mean {near}?"),
            None => f.write_str("a template is called like activation/body.txt or activation/body.de.txt"),
        }
    }
}

/// What a template is offered: everybody gets `site` and `user`, and only bodies get the rest (X4).
fn offered(mail: &MailContext<'_>, part: Part) -> Value {
    let site = context! { name => &mail.site.name, domain => &mail.site.domain };
    let user = context! { username => mail.username };
    match part {
        Part::Subject => context! { site, user },
        Part::Body | Part::Html => context! { site, user, ..content(mail) },
    }
}

/// What the body of a mail of a kind is offered beside `site` and `user`.
fn content(mail: &MailContext<'_>) -> Value {
    let site = mail.site;
    match mail.content {
        MailContent::Activation { key, expire_time, code } => context! {
            activation_key => key.expose(),
            activation_url => site.activation_url(key),
            activation_code => code.map(|code| code.code.expose()),
            activation_code_expire_time => code.map(|code| minute(code.expire_time)),
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
    use std::fs;

    use super::*;
    use crate::domain::{activation_code::CodeDigits, policy::ActivationDays};

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
            continue_url: None,
            activation_days: ActivationDays::new(3).unwrap(),
            code_digits: None,
            registration_open: true,
            locale: Locale::english(),
            templates: None,
        }
    }

    /// Templates without anything wrong.
    fn load(directory: Option<&Path>, site: &Site) -> Templates {
        let loaded = Templates::load(directory, &Sites::new(vec![site.clone()]).unwrap());
        assert!(loaded.problems.is_empty() && loaded.warnings.is_empty(), "{loaded:?}");
        loaded.templates
    }

    /// A folder with these files.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        folder
    }

    /// What is wrong with a folder of these files, and then what is strange.
    fn wrong(files: &[(&str, &str)]) -> Vec<String> {
        let folder = folder(files);
        let sites = Sites::new(vec![site(Some("https://shop.example/{key}"))]).unwrap();
        let loaded = Templates::load(Some(folder.path()), &sites);
        loaded.problems.iter().chain(&loaded.warnings).map(ToString::to_string).collect()
    }

    fn locale(tag: &str) -> Locale {
        Locale::parse(tag).unwrap()
    }

    fn render(templates: &Templates, site: &Site) -> Result<MailText, TemplateError> {
        let key = ActivationKey::generate(&[1; 32], "alice");
        let expire_time = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
        let content = MailContent::Activation { key: &key, expire_time, code: None };
        templates.mail(&MailContext { username: "alice", site, locale: None, content })
    }

    fn overridden(name: &str, text: &str) -> Result<MailText, TemplateError> {
        let sites = Sites::new(vec![site(None)]).unwrap();
        let templates = Templates::load(Some(folder(&[(name, text)]).path()), &sites).templates;
        render(&templates, &site(None))
    }

    #[test]
    fn r4_the_embedded_mail_names_site_user_key_and_expiry() {
        let linked = site(Some("https://shop.example/a?k={key}"));
        let mail = render(&load(None, &linked), &linked).unwrap();
        insta::assert_snapshot!(format!("{}\n\n{}", mail.subject, mail.body()));
        let plain = site(None);
        insta::assert_snapshot!(render(&load(None, &plain), &plain).unwrap().body());
    }

    /// Every embedded mail in a language, with everything that it says.
    fn everything(site: &Site, tag: Option<&Locale>) -> String {
        let templates = load(None, site);
        let now = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
        let one = |kind: MailKind| {
            let mail = templates.sample(kind, site, tag, now).unwrap();
            let html = mail.html().unwrap();
            format!("# {}\n\n{}\n\n{}\n\n{html}\n\n", kind.as_str(), mail.subject, mail.body())
        };
        MailKind::ALL.map(one).concat()
    }

    #[test]
    fn the_embedded_mails_say_what_they_are_for_in_both_languages() {
        let linked = Site {
            verification_url: Some("https://shop.example/v?k={key}&s=1".into()),
            ..site(Some("https://shop.example/a?k={key}&s=1"))
        };
        insta::assert_snapshot!("english", everything(&linked, None));
        insta::assert_snapshot!("german", everything(&linked, Some(&locale("de-AT"))));
        insta::assert_snapshot!("german_without_links", everything(&site(None), Some(&locale("de"))));
    }

    #[test]
    fn a_locale_falls_back_to_what_it_is_cut_down_to_then_to_the_sites_then_to_english() {
        let folder = folder(&[
            ("activation/subject.fr.txt", "fr"),
            ("activation/body.fr.txt", "{{ activation_key }}"),
            ("activation/subject.de-CH.txt", "de-CH"),
            ("activation/body.de-CH.txt", "{{ activation_key }}"),
            ("activation/subject.txt", "default"),
            ("activation/subject.de.txt", "de"),
        ]);
        for (asked, of_site, taken) in [
            (None, "en", "default"),
            (None, "fr-CA", "fr"),
            (None, "ja", "default"),
            (Some("de"), "fr", "de"),
            (Some("de-AT"), "fr", "de"),
            (Some("de-CH-1996"), "fr", "de-CH"),
            (Some("ja"), "fr", "fr"),
            (Some("ja"), "de-AT", "de"),
            (Some("ja"), "it", "default"),
            (Some("en-GB"), "fr", "default"),
        ] {
            let site = Site { locale: locale(of_site), ..site(None) };
            let templates =
                Templates::load(Some(folder.path()), &Sites::new(vec![site.clone()]).unwrap()).templates;
            let asked = asked.map(locale);
            let mail = templates.sample(MailKind::Activation, &site, asked.as_ref(), Timestamp::default());
            assert_eq!(mail.unwrap().subject, taken, "{asked:?} on a site in {of_site}");
        }
    }

    #[test]
    fn a_sites_own_folder_comes_before_the_shared_one() {
        let shared = folder(&[("activation/subject.txt", "shared"), ("reminder/subject.txt", "shared")]);
        let own = folder(&[("activation/subject.txt", "own")]);
        let with_own = Site { templates: Some(own.path().into()), ..site(None) };
        let other = Site { id: SiteId::parse("forum").unwrap(), ..site(None) };
        let loaded =
            Templates::load(Some(shared.path()), &Sites::new(vec![with_own.clone(), other.clone()]).unwrap());
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        let subject =
            |site, kind| loaded.templates.sample(kind, site, None, Timestamp::default()).unwrap().subject;
        assert_eq!(subject(&with_own, MailKind::Activation), "own");
        assert_eq!(subject(&with_own, MailKind::Reminder), "shared");
        assert_eq!(subject(&other, MailKind::Activation), "shared");
        assert_eq!(subject(&other, MailKind::EmailVerification), "Confirm your email address at The Shop");
    }

    #[test]
    fn html_is_left_out_where_it_is_empty_or_belongs_to_a_text_that_is_replaced() {
        let html = |files: &[(&str, &str)]| {
            let folder = folder(files);
            let site = site(None);
            let mail = render(&load(Some(folder.path()), &site), &site).unwrap();
            mail.html().map(ToOwned::to_owned)
        };
        assert!(html(&[]).unwrap().starts_with("<!DOCTYPE html>"));
        assert!(html(&[("activation/subject.txt", "s")]).is_some());
        assert_eq!(html(&[("activation/body.html", " \n")]), None);
        assert_eq!(html(&[("activation/body.txt", "{{ activation_key }}")]), None);
        assert_eq!(
            html(&[("activation/body.html", "<b>{{ activation_key }}{{ 1 }}</b>")]).unwrap().len(),
            48
        );
        let both = [
            ("activation/body.txt", "{{ activation_key }}"),
            ("activation/body.html", "{{ activation_key }}"),
        ];
        assert!(html(&both).is_some());
    }

    #[test]
    fn html_shows_hostile_names_as_text_and_the_plain_text_as_they_are() {
        let name = "<script>alert('{{ activation_key }}')</script> \" onload=x {% raw %} &amp;";
        let site = Site {
            name: name.into(),
            domain: "<b>shop</b>.example".into(),
            ..site(Some("https://shop.example/a?k={key}&x='\"><script>"))
        };
        let templates = load(None, &site);
        for kind in MailKind::ALL {
            for asked in [None, Some(locale("de"))] {
                let sample = Sample::new(&site, Timestamp::default());
                let context = sample.context(&site, kind, asked.as_ref());
                let mail = templates.mail(&MailContext { username: "<i>{{7*7}}&quot;", ..context }).unwrap();
                let html = mail.html().unwrap();
                let title = html.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
                assert!(!title.contains(['<', '>', '"']), "{title}");
                for hostile in ["<script", "<b>", "<i>", "onload=x {% raw %} &amp;<", "'"] {
                    assert!(!html.contains(hostile), "{hostile}: {html}");
                }
                assert!(html.contains("<bdi>&lt;i&gt;{{7*7}}&amp;quot;</bdi>"), "{html}");
                assert!(mail.body().contains(name) && mail.body().contains("<i>{{7*7}}&quot;"));
            }
        }
    }

    /// A site whose activation mails carry codes.
    fn with_codes() -> Site {
        Site { code_digits: Some(CodeDigits::new(8).unwrap()), ..site(Some("https://shop.example/{key}")) }
    }

    #[test]
    fn an_activation_mail_carries_the_code_and_until_when_where_the_site_has_codes() {
        let site = with_codes();
        let templates = load(None, &site);
        let now = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
        for asked in [None, Some(locale("de"))] {
            let mail = |kind| templates.sample(kind, &site, asked.as_ref(), now).unwrap();
            let activation = mail(MailKind::Activation);
            assert!(activation.body().contains("\n12345678\n"), "{}", activation.body());
            assert!(activation.html().unwrap().contains(">12345678</code>"));
            for text in [activation.body(), activation.html().unwrap()] {
                assert!(text.contains("2023-11-14 22:28 UTC"), "{text}");
            }
            assert!(!activation.subject.contains("12345678"));
            assert!(!mail(MailKind::Reminder).body().contains("12345678"));
        }
        insta::assert_snapshot!(templates.sample(MailKind::Activation, &site, None, now).unwrap().body());
    }

    #[test]
    fn a_body_that_shows_no_code_is_told_where_the_site_has_codes() {
        let body = [("activation/body.txt", "{{ activation_key }}{% if activation_code %}!{% endif %}")];
        let folder = folder(&body);
        let said = |site: Site| {
            let loaded = Templates::load(Some(folder.path()), &Sites::new(vec![site]).unwrap());
            assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
            loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            said(with_codes()),
            [
                "templates.directory: template activation/body.txt doesn't show the code of the site's activation mails, \
              for site shop"
            ]
        );
        assert_eq!(said(site(None)), [""; 0]);
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
        let names = ["activation_key", "activation_url", "activation_code", "activation_code_expire_time"];
        for name in names.into_iter().chain(["expire_time"]) {
            let outcome = overridden(SUBJECT, &format!("{{{{ {name} }}}}"));
            assert!(matches!(outcome, Err(TemplateError::Broken { .. })), "{name}");
        }
    }

    #[test]
    fn r5_a_subject_of_several_lines_is_joined_with_nothing_between() {
        assert_eq!(overridden(SUBJECT, "One\r\ntwo\n\nthree\n").unwrap().subject, "Onetwothree");
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        assert_eq!(
            wrong(&[
                (
                    "activation/body.txt",
                    "{{ nope }} {% if false %}{{ site.nme }} {{ user.email }}{% endif %}"
                ),
                ("activation/body.html", "{{ activation_key }} {% if %}"),
                ("activation/subject.txt", "{{ activation_key }}"),
                ("activation/body.fr.txt", "{{ activation_key }}"),
                ("reminder/body.txt", "hello {{ range(3) }}"),
                ("reminder/body.html", "hello"),
                (
                    "reminder/body.de.txt",
                    "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}"
                ),
                ("email_verification/body.txt", "{{ activation_key }} {{ verification_key }}"),
                ("primary_email_changed/body.txt", "no key is needed"),
                ("activation/bdoy.txt", ""),
                ("README.md", ""),
                ("reminders/body.txt", ""),
                ("reminder/body.de-at.txt", ""),
                (".git/config", ""),
                ("activation/.body.txt.swp", ""),
            ]),
            [
                "templates.directory: template activation/body.fr.txt needs activation/subject.fr.txt beside it",
                "templates.directory: template activation/body.html is broken: syntax error: unexpected end of block \
                 (in activation/body.html:1)",
                "templates.directory: template activation/subject.txt names activation_key, which it is not offered, \
                 for site shop",
                "templates.directory: template activation/body.txt names nope, which it is not offered, for site shop",
                "templates.directory: template activation/body.txt names site.nme, which it is not offered, for site shop",
                "templates.directory: template activation/body.txt names user.email, which it is not offered, for site shop",
                "templates.directory: template reminder/body.txt shows neither the key nor the link with it, for site shop",
                "templates.directory: template reminder/body.html shows neither the key nor the link with it, for site shop",
                "templates.directory: template reminder/body.de.txt is broken: engine ran out of fuel \
                 (in reminder/body.de.txt:1), for site shop",
                "templates.directory: template email_verification/body.txt names activation_key, which it is not offered, \
                 for site shop",
                "templates.directory: README.md is no template; a template is called like activation/body.txt or \
                 activation/body.de.txt",
                "templates.directory: activation/bdoy.txt is no template; did you mean activation/body.txt?",
                "templates.directory: reminder/body.de-at.txt is no template; did you mean reminder/body.de-AT.txt?",
                "templates.directory: reminders/body.txt is no template; did you mean reminder/body.txt?",
            ]
        );
        assert_eq!(wrong(&[("activation/body.txt", "{{ activation_key }}")]), [""; 0]);
        assert_eq!(wrong(&[("activation/body.txt", "{{ activation_url }}")]), [""; 0]);
    }

    #[test]
    fn what_is_wrong_names_the_setting_that_it_stands_in() {
        let own = folder(&[("activation/body.txt", "hello")]);
        let shared = folder(&[("activation/subject.txt", "{% if %}")]);
        let first = site(None);
        let second = Site {
            id: SiteId::parse("forum").unwrap(),
            templates: Some(own.path().into()),
            locale: locale("it"),
            ..site(None)
        };
        let third =
            Site { id: SiteId::parse("third").unwrap(), templates: Some("nowhere".into()), ..site(None) };
        let loaded = Templates::load(Some(shared.path()), &Sites::new(vec![first, second, third]).unwrap());
        let said: Vec<_> = loaded.problems.iter().chain(&loaded.warnings).map(ToString::to_string).collect();
        let [syntax, nowhere, own, locale] = said.as_slice() else { panic!("{said:#?}") };
        assert!(
            syntax.starts_with("templates.directory: template activation/subject.txt is broken: "),
            "{syntax}"
        );
        assert!(nowhere.starts_with("sites[2].templates: template nowhere can't be read: "), "{nowhere}");
        assert_eq!(
            own,
            "sites[1].templates: template activation/body.txt shows neither the key nor the link with it, for site forum"
        );
        assert_eq!(
            locale,
            "sites[1].locale: there are no templates in it; mails are made of those without a locale"
        );
    }
}
