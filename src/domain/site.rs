//! A site that users register on, as the settings describe it.

use std::{fmt, path::PathBuf};

use super::{Invalid, activation_code::CodeDigits, activation_key::ActivationKey, locale::Locale, policy};

/// What requests and rows call a site: 1 to 63 of a-z, 0-9, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SiteId(String);

/// A site, with what its mails say and how long its keys live.
#[derive(Debug, Clone)]
pub struct Site {
    /// What requests call it.
    pub id: SiteId,
    /// What mails call it.
    pub name: String,
    /// The host name that mails show.
    pub domain: String,
    /// The From of its mails, a mailbox of RFC 5322.
    pub from: String,
    /// The page that mails link to, with `{key}` where the key goes.
    pub activation_url: Option<String>,
    /// The page that mails link to which verify a further address, with `{key}` where the key goes.
    pub verification_url: Option<String>,
    /// Where somebody goes on from the page that has activated.
    pub continue_url: Option<String>,
    /// How many days its keys live.
    pub activation_days: policy::ActivationDays,
    /// How many digits the codes of its activation mails have, if they carry any.
    pub code_digits: Option<CodeDigits>,
    /// Whether anybody can register on it; whoever has goes on as before.
    pub registration_open: bool,
    /// What its mails are written in where nobody has said otherwise, or there are no templates for what was said.
    pub locale: Locale,
    /// A folder whose templates come before those that all sites share.
    pub templates: Option<PathBuf>,
}

/// The sites of one installation; the first is the one that a request without a site means.
#[derive(Debug, Clone)]
pub struct Sites(Vec<Site>);

impl SiteId {
    /// Accepts 1 to 63 of a-z, 0-9, `-` and `_`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let well_formed = (1..=63).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'));
        if !well_formed {
            return Err(Invalid::new("must be 1 to 63 of a-z, 0-9, - and _"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Site {
    /// The link that activates, if the site has a page for it.
    pub fn activation_url(&self, key: &ActivationKey) -> Option<String> {
        self.activation_url.as_ref().map(|url| url.replace("{key}", key.expose()))
    }

    /// The link that verifies an address, if the site has a page for it.
    pub fn verification_url(&self, key: &ActivationKey) -> Option<String> {
        self.verification_url.as_ref().map(|url| url.replace("{key}", key.expose()))
    }
}

impl Sites {
    /// Accepts one or more sites with different ids.
    pub fn new(sites: Vec<Site>) -> Result<Self, Invalid> {
        if sites.is_empty() {
            return Err(Invalid::new("must name at least one site"));
        }
        let mut ids = std::collections::HashSet::new();
        if let Some(twice) = sites.iter().find(|site| !ids.insert(site.id.clone())) {
            return Err(Invalid::new(format!("must name each site once; {} is there twice", twice.id)));
        }
        Ok(Self(sites))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Site> {
        self.0.iter()
    }

    /// The site of that id.
    pub fn find(&self, id: &SiteId) -> Option<&Site> {
        self.0.iter().find(|site| site.id == *id)
    }

    /// The site of that id, or the first one where the settings no longer know it.
    pub fn find_or_first(&self, id: &SiteId) -> Option<&Site> {
        self.find(id).or_else(|| self.first())
    }

    /// The site that a request without a site means.
    pub fn first(&self) -> Option<&Site> {
        self.0.first()
    }
}
