//! What mails say: the templates of the settings, what is wrong with them, and a mail to look at.

use anyhow::Context as _;

use super::{Outside, sites::sites};
use crate::{
    config::{ConfigError, Settings},
    domain::{
        locale::Locale,
        mail::{MailId, MailKind},
        site::{SiteId, Sites},
    },
    mail::{self, OutgoingMail},
    random,
    templates::{Loaded, SAMPLE_RECIPIENT, Templates},
};

/// Which mail to look at.
#[derive(Debug, Clone)]
pub struct Preview {
    /// What it is for.
    pub kind: MailKind,
    /// The site; the first one if absent.
    pub site: Option<SiteId>,
    /// What its recipient reads; the site's locale if absent.
    pub locale: Option<Locale>,
}

/// A mail that nobody gets.
#[derive(Debug)]
pub struct PreviewedMail {
    /// The plain text, below the headers that a reader shows.
    pub text: String,
    /// The HTML, if it has any.
    pub html: Option<String>,
    /// The message as it would go over the wire.
    pub message: String,
}

/// The templates of the settings, which all sites can mail with; what is only strange is logged.
pub(super) fn templates(settings: &Settings, sites: &Sites) -> Result<Templates, ConfigError> {
    let Loaded { templates, problems, warnings } = load(settings, sites);
    if !problems.is_empty() {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        return Err(ConfigError(lines.join("\n")));
    }
    for warning in warnings {
        tracing::warn!(%warning, "templates may not be what was meant");
    }
    Ok(templates)
}

/// Every problem with the templates of the settings, a sentence each, the harmless ones included.
pub fn check_templates(settings: &Settings) -> Result<Vec<String>, ConfigError> {
    let Loaded { problems, warnings, .. } = load(settings, &sites(settings)?);
    Ok(problems.iter().chain(&warnings).map(ToString::to_string).collect())
}

/// A mail with made-up data, as somebody would get it who registered now.
pub fn preview_mail(
    settings: &Settings,
    outside: &Outside,
    preview: &Preview,
) -> anyhow::Result<PreviewedMail> {
    let sites = sites(settings)?;
    let site = match &preview.site {
        Some(id) => sites.find(id).with_context(|| format!("the settings know no site {id}"))?,
        None => sites.first().context("the settings know no site")?,
    };
    let now = outside.clock.now();
    let text = templates(settings, &sites)?.sample(preview.kind, site, preview.locale.as_ref(), now)?;
    let id = MailId(random::uuid_v7(&*outside.random, now));
    let mail =
        OutgoingMail { id, kind: preview.kind, recipient: SAMPLE_RECIPIENT, create_time: now, text: &text };
    Ok(PreviewedMail {
        text: format!(
            "From: {}\nTo: {SAMPLE_RECIPIENT}\nSubject: {}\n\n{}",
            text.from,
            text.subject,
            text.body()
        ),
        html: text.html().map(ToOwned::to_owned),
        message: mail::message(&mail)?,
    })
}

fn load(settings: &Settings, sites: &Sites) -> Loaded {
    let directory = &settings.templates.directory;
    Templates::load((!directory.as_os_str().is_empty()).then_some(directory.as_path()), sites)
}
