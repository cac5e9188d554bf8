//! The templates of one site: those of its own folder before those that all sites share, and the embedded ones last.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use super::{
    Problem, TemplateError,
    files::{Name, Part, Source},
    pages::PageSet,
};
use crate::domain::{locale::Locale, mail::MailKind, site::Site};

/// How many steps a template may take; a loop without end is a broken template, not a stuck server.
const FUEL: u64 = 100_000;

/// The templates that mails are made of, and those of pages, compiled.
#[derive(Debug)]
pub(super) struct TemplateSet {
    pub environment: Environment<'static>,
    pub pages: PageSet,
    /// Where each template stands, by its name: the setting that names its folder.
    origins: BTreeMap<String, String>,
}

/// A template before it is compiled: how far it comes before others, and its text.
type Found<'a> = (usize, &'a Source, &'a str);

impl TemplateSet {
    /// Puts sources over each other, the last one before all others.
    ///
    /// A locale of a kind needs a subject and a plain text. HTML that a replaced text has left behind is left out: it
    /// would say something else.
    pub fn new(layers: &[&Source], problems: &mut Vec<Problem>) -> Self {
        let mut found: BTreeMap<&str, Found<'_>> = BTreeMap::new();
        for (level, source) in layers.iter().enumerate() {
            for (name, text) in &source.files {
                found.insert(name, (level, source, text));
            }
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| {
            if name.rsplit('.').next() == Some("html") { AutoEscape::Html } else { AutoEscape::None }
        });
        environment.set_fuel(Some(FUEL));
        let pages = PageSet::new(layers, problems);
        let mut set = Self { environment, pages, origins: BTreeMap::new() };
        let names: Vec<_> = found.keys().filter_map(|name| Name::parse(name)).collect();
        for name in names {
            let Some((level, source, text)) = found.get(name.to_string().as_str()) else { continue };
            let other = |part| Name::new(name.kind, part, name.locale.as_ref()).to_string();
            let missing = [Part::Subject, Part::Body]
                .map(other)
                .into_iter()
                .find(|part| !found.contains_key(part.as_str()));
            if let Some(missing) = missing {
                let error = TemplateError::Incomplete { name: name.to_string(), missing };
                problems.push(Problem::of(&source.setting, error));
                continue;
            }
            let replaced = found.get(other(Part::Body).as_str()).is_some_and(|(body, ..)| body > level);
            if name.part == Part::Html && (replaced || text.trim().is_empty()) {
                continue;
            }
            match set.environment.add_template_owned(name.to_string(), (*text).to_owned()) {
                Ok(()) => drop(set.origins.insert(name.to_string(), source.setting.clone())),
                Err(error) => {
                    let error = TemplateError::Broken { name: name.to_string(), source: error };
                    problems.push(Problem::of(&source.setting, error));
                }
            }
        }
        set
    }

    /// The setting that names the folder of a template.
    pub fn origin(&self, name: &Name) -> &str {
        self.origins.get(&name.to_string()).map(String::as_str).unwrap_or_default()
    }

    /// The locales that mails of a kind can be made in, `None` for the templates that have none in their names.
    pub fn locales(&self, kind: MailKind) -> BTreeSet<Option<Locale>> {
        let names = self.origins.keys().filter_map(|name| Name::parse(name));
        names.filter(|name| name.kind == kind && name.part == Part::Body).map(|name| name.locale).collect()
    }

    /// Which of them a mail is made in: what was asked for and what it is cut down to, then the site's.
    ///
    /// The templates without a locale stand for English, and for whatever has none.
    pub fn choose(&self, kind: MailKind, site: &Site, asked: Option<&Locale>) -> Option<Locale> {
        let english = Locale::english();
        for tag in asked.into_iter().chain([&site.locale]).flat_map(Locale::fallbacks) {
            let Ok(locale) = Locale::parse(tag) else { continue };
            if self.has(&Name::new(kind, Part::Body, Some(&locale))) {
                return Some(locale);
            }
            if tag == english.as_str() {
                return None;
            }
        }
        None
    }

    pub fn has(&self, name: &Name) -> bool {
        self.origins.contains_key(&name.to_string())
    }

    pub fn render(&self, name: &Name, context: Value) -> Result<String, TemplateError> {
        self.environment
            .get_template(&name.to_string())
            .and_then(|template| template.render(context))
            .map_err(|source| TemplateError::Broken { name: name.to_string(), source })
    }
}
