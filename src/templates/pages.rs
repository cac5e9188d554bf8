//! The pages that a person sees: typed contexts in, HTML out, in one of the languages that the person reads.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use sha2::{Digest as _, Sha256};

use super::{
    Problem, TemplateError, Templates, check::unknown_names, files::Source, page::Page, page_files::PageFile,
};
use crate::domain::{locale::Locale, site::Site};

/// How many steps a page may take; a loop without end is a broken template, not a stuck server.
const FUEL: u64 = 100_000;

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
        let english = Locale::english();
        // What is wrong with the layout is wrong with every page that stands in it, and is said once.
        let layout = PageFile::Layout.to_string();
        let offered = self.offered(&english, &Page::Sent, &context);
        let mut problems = self.problems(site, &layout, unknown_names(&self.environment, &layout, &offered));
        if !problems.is_empty() || !self.origins.contains_key(&layout) {
            return problems;
        }
        for locale in std::iter::once(None).chain(self.locales.iter().map(Some)) {
            let mut wrong = BTreeSet::new();
            for page in Page::samples() {
                let name = PageFile::page(page.name(), locale).to_string();
                // A page that doesn't compile has been told of, and so has one that has failed as another sample.
                if wrong.contains(&name) || !self.origins.contains_key(&name) {
                    continue;
                }
                let found = self.look_at(&name, locale.unwrap_or(&english), &page, &context);
                if !found.is_empty() {
                    problems.extend(self.problems(site, &name, found));
                    wrong.insert(name);
                }
            }
        }
        problems
    }

    fn problems(&self, site: &Site, name: &str, errors: Vec<TemplateError>) -> Vec<Problem> {
        let origin = self.origins.get(name).map(String::as_str).unwrap_or_default();
        let of_site = |error| Problem { site: Some(site.id.clone()), ..Problem::of(origin, error) };
        errors.into_iter().map(of_site).collect()
    }

    /// What is wrong with one page.
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
