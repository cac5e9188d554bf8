//! The pages that a person sees: typed contexts in, HTML out, in one of the languages that the person reads.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use sha2::{Digest as _, Sha256};

use super::{
    Problem, TemplateError, Templates, check::unknown_names, files::Source, minute, page_files::PageFile,
};
use crate::domain::{Timestamp, locale::Locale, site::Site};

/// How many steps a page may take; a loop without end is a broken template, not a stuck server.
const FUEL: u64 = 100_000;

/// What a page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// A button activates the account.
    Activate {
        /// Until when.
        expire_time: Option<Timestamp>,
    },
    /// The account is active.
    Activated {
        /// Whether it was so before.
        before: bool,
    },
    /// The key of an activation does nothing.
    NotActivated(Refusal),
    /// A button verifies an address.
    Verify,
    /// The address is verified.
    Verified {
        /// Whether it was so before.
        before: bool,
    },
    /// The key of a verification does nothing.
    NotVerified(Refusal),
    /// A form asks for another activation mail.
    Resend {
        /// What was typed.
        email: String,
        /// What is wrong with that, or with us.
        fault: Option<ResendFault>,
    },
    /// If there is an activation mail to send, it is sent.
    Sent,
    /// What was asked for isn't done.
    Trouble(Trouble),
}

/// Why a key does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody has it.
    Unknown,
    /// Its time is over.
    Expired,
    /// Somebody else has verified the address.
    Taken,
    /// The user is disabled.
    Disabled,
}

/// Why the form is shown again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResendFault {
    /// That is no address.
    Invalid,
    /// Nothing can be sent for now.
    Unavailable,
}

/// Why something isn't done, whatever was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such page.
    NotFound,
    /// The page can't be asked for that.
    Method,
    /// Another site has sent the person here with a form of its own.
    Elsewhere,
    /// More was sent than any form of ours sends.
    TooLarge,
    /// What was sent did not come to its end.
    TooSlow,
    /// Too many requests come from there.
    Limited,
    /// For now; the same button can be pressed again, or the same page loaded.
    Unavailable {
        /// Whether a button was pressed.
        pressed: bool,
    },
    /// A fault of ours.
    Failed,
}

/// Whom a page is for, and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct PageContext<'a> {
    /// The site that it speaks for.
    pub site: &'a Site,
    /// What the person reads, the best first.
    pub locales: &'a [Locale],
    /// The path of the form that asks for another activation mail.
    pub resend_url: &'a str,
    /// What the log calls the request.
    pub reference: &'a str,
}

/// A page as a browser gets it.
#[derive(Debug, PartialEq, Eq)]
pub struct RenderedPage {
    /// The whole of it.
    pub html: String,
    /// What it is written in.
    pub locale: Locale,
    /// What Content-Security-Policy calls its style.
    pub style_hash: String,
}

/// The pages of one site, compiled.
#[derive(Debug)]
pub(super) struct PageSet {
    environment: Environment<'static>,
    style: String,
    style_hash: String,
    /// The locales that every page is there in, beside the pages that have none in their names.
    locales: BTreeSet<Locale>,
    /// Where each template stands, by its name: the setting that names its folder.
    origins: BTreeMap<String, String>,
}

impl Page {
    /// The template that makes it.
    fn name(&self) -> &'static str {
        match self {
            Self::Activate { .. } => "activate",
            Self::Activated { .. } => "activated",
            Self::NotActivated(_) => "not_activated",
            Self::Verify => "verify",
            Self::Verified { .. } => "verified",
            Self::NotVerified(_) => "not_verified",
            Self::Resend { .. } => "resend",
            Self::Sent => "sent",
            Self::Trouble(_) => "trouble",
        }
    }

    /// What its template alone is offered.
    fn content(&self) -> Value {
        match self {
            Self::Activate { expire_time } => context! { expire_time => expire_time.map(minute) },
            Self::Activated { before } | Self::Verified { before } => context! { before },
            Self::NotActivated(refusal) | Self::NotVerified(refusal) => {
                context! { reason => refusal.name() }
            }
            Self::Verify | Self::Sent => context! {},
            Self::Resend { email, fault } => context! { email, fault => fault.map(ResendFault::name) },
            Self::Trouble(trouble) => context! { reason => trouble.name(), retry => trouble.retry() },
        }
    }

    /// Whether it is of no use without a form that posts.
    fn needs_form(&self) -> bool {
        match self {
            Self::Activate { .. } | Self::Verify | Self::Resend { .. } => true,
            Self::Trouble(trouble) => trouble.retry() == Some("post"),
            Self::Activated { .. }
            | Self::NotActivated(_)
            | Self::Verified { .. }
            | Self::NotVerified(_)
            | Self::Sent => false,
        }
    }

    /// One of every sort, and of every reason that it can have.
    fn samples() -> Vec<Self> {
        let mut samples = vec![
            Self::Activate { expire_time: None },
            Self::Activate { expire_time: Some(Timestamp::default()) },
            Self::Verify,
            Self::Sent,
        ];
        samples.extend([false, true].map(|before| Self::Activated { before }));
        samples.extend([false, true].map(|before| Self::Verified { before }));
        samples.extend(Refusal::ALL.map(Self::NotActivated));
        samples.extend(Refusal::ALL.map(Self::NotVerified));
        samples.extend(
            [None, Some(ResendFault::Invalid), Some(ResendFault::Unavailable)]
                .map(|fault| Self::Resend { email: String::new(), fault }),
        );
        samples.extend(Trouble::ALL.map(Self::Trouble));
        samples
    }
}

impl Refusal {
    const ALL: [Self; 4] = [Self::Unknown, Self::Expired, Self::Taken, Self::Disabled];

    fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Taken => "taken",
            Self::Disabled => "disabled",
        }
    }
}

impl ResendFault {
    fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Trouble {
    const ALL: [Self; 9] = [
        Self::NotFound,
        Self::Method,
        Self::Elsewhere,
        Self::TooLarge,
        Self::TooSlow,
        Self::Limited,
        Self::Unavailable { pressed: false },
        Self::Unavailable { pressed: true },
        Self::Failed,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Method => "method",
            Self::Elsewhere => "elsewhere",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::Limited => "limited",
            Self::Unavailable { .. } => "unavailable",
            Self::Failed => "failed",
        }
    }

    /// The method that the same thing is asked for again with, where that may help.
    fn retry(self) -> Option<&'static str> {
        match self {
            Self::Unavailable { pressed: true } => Some("post"),
            Self::Unavailable { pressed: false } => Some("get"),
            Self::NotFound
            | Self::Method
            | Self::Elsewhere
            | Self::TooLarge
            | Self::TooSlow
            | Self::Limited
            | Self::Failed => None,
        }
    }
}

impl Templates {
    /// A page.
    pub fn page(&self, page: &Page, context: &PageContext<'_>) -> Result<RenderedPage, TemplateError> {
        self.set(context.site).pages.render(page, context)
    }
}

impl PageSet {
    /// Puts sources over each other, the last one before all others. A locale needs all pages.
    pub fn new(layers: &[&Source], problems: &mut Vec<Problem>) -> Self {
        let mut found: BTreeMap<&str, (&Source, &str)> = BTreeMap::new();
        for source in layers {
            found.extend(source.files.iter().map(|(name, text)| (name.as_str(), (*source, text.as_str()))));
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_fuel(Some(FUEL));
        // What hashes a style reads it with these line ends.
        let style = found.get(&*PageFile::Style.to_string()).map(|(_, text)| text.replace("\r\n", "\n"));
        let style = style.unwrap_or_default();
        let style_hash = format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(&style)));
        let (locales, origins) = Default::default();
        let mut set = Self { environment, style, style_hash, locales, origins };
        for (name, (source, text)) in &found {
            let Some(file) = PageFile::parse(name) else { continue };
            let mut problem = |error| problems.push(Problem::of(&source.setting, error));
            if let Some(missing) =
                file.beside().into_iter().find(|beside| !found.contains_key(beside.as_str()))
            {
                problem(TemplateError::Incomplete { name: (*name).to_owned(), missing });
                continue;
            }
            if file == PageFile::Style {
                continue;
            }
            match set.environment.add_template_owned((*name).to_owned(), (*text).to_owned()) {
                Ok(()) => {
                    set.origins.insert((*name).to_owned(), source.setting.clone());
                    set.locales.extend(file.locale().cloned());
                }
                Err(source) => problem(TemplateError::Broken { name: (*name).to_owned(), source }),
            }
        }
        set
    }

    fn render(&self, page: &Page, context: &PageContext<'_>) -> Result<RenderedPage, TemplateError> {
        let locale = self.choose(context.site, context.locales);
        let name = PageFile::page(page.name(), locale.as_ref()).to_string();
        // English is what those without a locale are written in.
        let locale = locale.unwrap_or_else(Locale::english);
        let html = self.render_in(&name, &locale, page, context)?;
        Ok(RenderedPage { html, locale, style_hash: self.style_hash.clone() })
    }

    fn render_in(
        &self,
        name: &str,
        locale: &Locale,
        page: &Page,
        context: &PageContext<'_>,
    ) -> Result<String, TemplateError> {
        self.environment
            .get_template(name)
            .and_then(|template| template.render(self.offered(locale, page, context)))
            .map_err(|source| TemplateError::Broken { name: name.to_owned(), source })
    }

    /// What a template is offered: everything that is the same for all pages, and what the page says.
    fn offered(&self, locale: &Locale, page: &Page, context: &PageContext<'_>) -> Value {
        let site = context.site;
        let direction = if locale.is_right_to_left() { "rtl" } else { "ltr" };
        context! {
            site => context! { name => &site.name, domain => &site.domain },
            language => context! { tag => locale.as_str(), direction },
            style => Value::from_safe_string(format!("<style>{}</style>", self.style)),
            resend_url => context.resend_url,
            continue_url => &site.continue_url,
            reference => context.reference,
            ..page.content()
        }
    }

    /// The first of what a person reads that the pages are there in, be it cut down; then the site's. None: the pages
    /// without a locale, which stand for English and for whatever has none.
    fn choose(&self, site: &Site, locales: &[Locale]) -> Option<Locale> {
        let english = Locale::english();
        for tag in locales.iter().chain([&site.locale]).flat_map(Locale::fallbacks) {
            if let Some(locale) = self.locales.iter().find(|locale| locale.as_str() == tag) {
                return Some(locale.clone());
            }
            if tag == english.as_str() {
                return None;
            }
        }
        None
    }

    /// Everything that keeps a page of the site from being made, or from having its form, in any locale.
    pub fn check(&self, site: &Site) -> Vec<Problem> {
        let context = PageContext { site, locales: &[], resend_url: "/resend", reference: "" };
        let mut problems = Vec::new();
        for locale in std::iter::once(None).chain(self.locales.iter().map(Some)) {
            let mut checked = BTreeSet::new();
            for page in Page::samples() {
                let name = PageFile::page(page.name(), locale).to_string();
                if checked.contains(&name) {
                    continue;
                }
                let found = self.look_at(&name, locale.unwrap_or(&Locale::english()), &page, &context);
                if !found.is_empty() {
                    checked.insert(name.clone());
                }
                let origin = self.origins.get(&name).map(String::as_str).unwrap_or_default();
                let of_site = |error| Problem { site: Some(site.id.clone()), ..Problem::of(origin, error) };
                problems.extend(found.into_iter().map(of_site));
            }
        }
        problems
    }

    /// What is wrong with one page, and with the layout that it stands in.
    fn look_at(
        &self,
        name: &str,
        locale: &Locale,
        page: &Page,
        context: &PageContext<'_>,
    ) -> Vec<TemplateError> {
        let offered = self.offered(locale, page, context);
        let unknown = unknown_names(&self.environment, name, &offered);
        if !unknown.is_empty() {
            return unknown;
        }
        match self.render_in(name, locale, page, context) {
            Err(error) => vec![error],
            Ok(html) if page.needs_form() && !html.contains("method=\"post\"") => {
                vec![TemplateError::NoForm { name: name.to_owned() }]
            }
            Ok(_) => Vec::new(),
        }
    }
}
