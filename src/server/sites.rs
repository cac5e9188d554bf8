//! The sites that users register on, out of the settings, and what is refused in them.

use crate::{
    config::{self, ConfigError, Settings},
    domain::{
        Invalid,
        activation_code::CodeDigits,
        locale::Locale,
        policy::ActivationDays,
        site::{Site, SiteId, Sites},
    },
    mail,
};

/// How long a name may be: a subject that it stands in has to fit into a line of a message.
const MAX_NAME_BYTES: usize = 255;

/// The sites of the settings, each as it can be used.
pub(super) fn sites(settings: &Settings) -> Result<Sites, ConfigError> {
    let mut sites = Vec::new();
    let digits = CodeDigits::new(settings.registration.activation_code_digits)
        .map_err(|invalid| ConfigError(format!("registration.activation_code_digits {invalid}")))?;
    for (index, site) in settings.sites.iter().enumerate() {
        let wrong = |key: &str, invalid: &Invalid| ConfigError(format!("sites[{index}].{key} {invalid}"));
        let from = if site.from.is_empty() { &settings.mail.from } else { &site.from };
        for (key, text) in [("name", &site.name), ("domain", &site.domain)] {
            if text.is_empty() || text.len() > MAX_NAME_BYTES || text.contains(char::is_control) {
                let rule = format!("must be a text of one line, of at most {MAX_NAME_BYTES} bytes");
                return Err(wrong(key, &Invalid::new(rule)));
            }
        }
        for (key, url) in
            [("activation_url", &site.activation_url), ("verification_url", &site.verification_url)]
        {
            if !url.is_empty() && !is_key_link(url) {
                return Err(wrong(key, &Invalid::new("must be an http or https URL with {key} in it")));
            }
        }
        if !site.continue_url.is_empty() && !is_link(&site.continue_url) {
            return Err(wrong("continue_url", &Invalid::new("must be an http or https URL")));
        }
        let days = match site.activation_days {
            Some(days) => ActivationDays::new(days).map_err(|invalid| wrong("activation_days", &invalid))?,
            None => ActivationDays::new(settings.registration.activation_days)
                .map_err(|invalid| ConfigError(format!("registration.activation_days {invalid}")))?,
        };
        let has_codes = site.activation_codes.unwrap_or(settings.registration.activation_codes);
        sites.push(Site {
            id: SiteId::parse(&site.id).map_err(|invalid| wrong("id", &invalid))?,
            name: site.name.clone(),
            domain: site.domain.clone(),
            from: mail::parse_mailbox(from).map_err(|invalid| {
                if site.from.is_empty() {
                    ConfigError(format!("mail.from {invalid}"))
                } else {
                    wrong("from", &invalid)
                }
            })?,
            activation_url: Some(&site.activation_url).filter(|url| !url.is_empty()).cloned(),
            verification_url: Some(&site.verification_url).filter(|url| !url.is_empty()).cloned(),
            continue_url: Some(&site.continue_url).filter(|url| !url.is_empty()).cloned(),
            activation_days: days,
            code_digits: has_codes.then_some(digits),
            registration_open: site.registration == config::SiteRegistration::Open,
            locale: Locale::parse(&site.locale).map_err(|invalid| wrong("locale", &invalid))?,
            templates: Some(&site.templates).filter(|folder| !folder.as_os_str().is_empty()).cloned(),
        });
    }
    Sites::new(sites).map_err(|invalid| ConfigError(format!("sites {invalid}")))
}

/// Whether a link can carry a key: not in its host, where it would be resolved and logged.
fn is_key_link(url: &str) -> bool {
    let sample = url.replace("{key}", "key");
    sample != *url && !url.split('/').take(3).any(|part| part.contains("{key}")) && is_link(&sample)
}

/// Whether it leads somewhere in the web.
fn is_link(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")))
}
