//! Looks for what is wrong with templates before anybody is mailed.

use minijinja::{Environment, Value};

use super::{
    MailContext, Problem, Sample, TemplateError, Templates,
    files::{Name, Part},
    offered,
    set::TemplateSet,
};
use crate::domain::{Timestamp, locale::Locale, mail::MailKind, site::Site};

impl Templates {
    /// Everything that keeps a mail or a page of the site from being made, or from being of use, in any locale.
    pub(super) fn check(&self, site: &Site) -> Vec<Problem> {
        let set = self.set(site);
        let sample = Sample::new(site, Timestamp::default());
        let mut problems = set.pages.check(site);
        for kind in MailKind::ALL {
            for locale in set.locales(kind) {
                let mail = sample.context(site, kind, None);
                for part in Part::ALL {
                    let name = Name::new(kind, part, locale.as_ref());
                    if !set.has(&name) {
                        continue;
                    }
                    let found = look_at(set, &name, &mail, &sample);
                    let of_site = |error| Problem {
                        site: Some(site.id.clone()),
                        ..Problem::of(set.origin(&name), error)
                    };
                    problems.extend(found.into_iter().map(of_site));
                }
            }
        }
        problems
    }

    /// Every body that keeps the site's codes to itself: its mails work by their links alone.
    pub(super) fn check_code(&self, site: &Site) -> Vec<Problem> {
        let (set, kind) = (self.set(site), MailKind::Activation);
        let sample = Sample::new(site, Timestamp::default());
        let Some(code) = &sample.code else { return Vec::new() };
        let bodies = set
            .locales(kind)
            .into_iter()
            .flat_map(|locale| [Part::Body, Part::Html].map(|part| Name::new(kind, part, locale.as_ref())));
        let mail = sample.context(site, kind, None);
        // One that can't be rendered is told of as such.
        let hides = |name: &Name| {
            let text = set.render(name, offered(&mail, name.part));
            set.has(name) && text.is_ok_and(|text| !text.contains(code.expose()))
        };
        let problem = |name: Name| Problem {
            site: Some(site.id.clone()),
            ..Problem::of(set.origin(&name), TemplateError::NoCode { name: name.to_string() })
        };
        bodies.filter(hides).map(problem).collect()
    }

    /// What in a site's settings nothing here fits: its locale, if no mail can be made in it.
    pub(super) fn check_locale(&self, setting: &str, site: &Site) -> Option<Problem> {
        let set = self.set(site);
        let english = Locale::english();
        let is_there = |tag: &str| {
            tag == english.as_str()
                || MailKind::ALL
                    .into_iter()
                    .flat_map(|kind| set.locales(kind))
                    .flatten()
                    .any(|locale| locale.as_str() == tag)
        };
        let error = || TemplateError::NoLocale { locale: site.locale.clone() };
        (!site.locale.fallbacks().any(is_there)).then(|| Problem::of(setting, error()))
    }
}

/// What is wrong with one template.
fn look_at(set: &TemplateSet, name: &Name, mail: &MailContext<'_>, sample: &Sample) -> Vec<TemplateError> {
    let context = offered(mail, name.part);
    let unknown = unknown_names(&set.environment, &name.to_string(), &context);
    if !unknown.is_empty() {
        return unknown;
    }
    match set.render(name, context) {
        Err(error) => vec![error],
        Ok(text)
            if name.part != Part::Subject && mail.content.key().is_some() && !text.contains(sample.key()) =>
        {
            vec![TemplateError::NoKey { name: name.to_string() }]
        }
        Ok(_) => Vec::new(),
    }
}

/// Every name in a template that it is not offered, even where this time nothing comes by.
pub(super) fn unknown_names(
    environment: &Environment<'_>,
    name: &str,
    context: &Value,
) -> Vec<TemplateError> {
    let Ok(template) = environment.get_template(name) else { return Vec::new() };
    let is_global = |name: &str| environment.globals().any(|(global, _)| global == name);
    let mut unknown: Vec<_> = template.undeclared_variables(true).into_iter().collect();
    unknown.retain(|path| !is_global(path) && !leads_somewhere(context, path));
    unknown.sort();
    let error = |unknown| TemplateError::UnknownName { name: name.to_owned(), unknown };
    unknown.into_iter().map(error).collect()
}

fn leads_somewhere(context: &Value, path: &str) -> bool {
    let found = path.split('.').try_fold(context.clone(), |value, name| value.get_attr(name));
    found.is_ok_and(|value| !value.is_undefined())
}
