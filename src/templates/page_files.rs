//! Which files make pages: a layout and a style, and each page in each language.

use std::fmt;

use crate::domain::locale::Locale;

/// The folder of the pages.
const FOLDER: &str = "page";
/// The pages, by their names.
const PAGES: [&str; 9] = [
    "activate",
    "activated",
    "not_activated",
    "verify",
    "verified",
    "not_verified",
    "resend",
    "sent",
    "trouble",
];

/// The embedded files, by their names.
macro_rules! embedded {
    ($($name:literal,)*) => {
        [$(($name, include_str!(concat!("../../templates/", $name))),)*]
    };
}

pub(super) const EMBEDDED: [(&str, &str); 20] = embedded![
    "page/layout.html",
    "page/style.css",
    "page/activate.html",
    "page/activate.de.html",
    "page/activated.html",
    "page/activated.de.html",
    "page/not_activated.html",
    "page/not_activated.de.html",
    "page/verify.html",
    "page/verify.de.html",
    "page/verified.html",
    "page/verified.de.html",
    "page/not_verified.html",
    "page/not_verified.de.html",
    "page/resend.html",
    "page/resend.de.html",
    "page/sent.html",
    "page/sent.de.html",
    "page/trouble.html",
    "page/trouble.de.html",
];

/// A file that makes pages: `page/layout.html`, `page/style.css`, `page/activate.de.html`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PageFile {
    /// What all pages stand in.
    Layout,
    /// How all pages look.
    Style,
    /// A page.
    Page {
        /// Which.
        page: &'static str,
        /// What it is written in; without one it stands for English.
        locale: Option<Locale>,
    },
}

impl PageFile {
    /// The file of a page.
    pub fn page(page: &'static str, locale: Option<&Locale>) -> Self {
        Self::Page { page, locale: locale.cloned() }
    }

    /// The file of that path, whose locale stands there in its canonical case.
    pub fn parse(path: &str) -> Option<Self> {
        Self::parse_in_any_case(path).filter(|file| file.to_string() == path)
    }

    pub fn parse_in_any_case(path: &str) -> Option<Self> {
        let file = path.strip_prefix(FOLDER)?.strip_prefix('/')?;
        match file {
            "layout.html" => return Some(Self::Layout),
            "style.css" => return Some(Self::Style),
            _ => {}
        }
        let stem = file.strip_suffix(".html")?;
        let (name, locale) = match stem.split_once('.') {
            None => (stem, None),
            Some((name, tag)) => (name, Some(Locale::parse(tag).ok()?)),
        };
        let page = PAGES.into_iter().find(|page| *page == name)?;
        Some(Self::Page { page, locale })
    }

    /// Every file that may stand in a folder, but for locales.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Layout, Self::Style].into_iter().chain(PAGES.map(|page| Self::page(page, None)))
    }

    /// What it is written in, if that stands in its name.
    pub fn locale(&self) -> Option<&Locale> {
        match self {
            Self::Layout | Self::Style => None,
            Self::Page { locale, .. } => locale.as_ref(),
        }
    }

    /// The files without which it is of no use: a locale has every page.
    pub fn beside(&self) -> Vec<String> {
        let pages = |locale| PAGES.map(|page| Self::page(page, Some(locale)).to_string()).to_vec();
        self.locale().map(pages).unwrap_or_default()
    }
}

impl fmt::Display for PageFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout => write!(f, "{FOLDER}/layout.html"),
            Self::Style => write!(f, "{FOLDER}/style.css"),
            Self::Page { page, locale: None } => write!(f, "{FOLDER}/{page}.html"),
            Self::Page { page, locale: Some(locale) } => write!(f, "{FOLDER}/{page}.{locale}.html"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_is_read_as_it_is_written() {
        for path in EMBEDDED.map(|(path, _)| path).into_iter().chain(["page/sent.pt-BR.html"]) {
            assert_eq!(PageFile::parse(path).unwrap().to_string(), path);
        }
        for path in [
            "page",
            "page/",
            "page/layout.de.html",
            "page/style.css.de",
            "page/activate",
            "page/activate.txt",
            "page/activate.pt-br.html",
            "page/activate..html",
            "pages/activate.html",
            "page/more/activate.html",
            "activate.html",
        ] {
            assert_eq!(PageFile::parse(path), None, "{path}");
        }
    }

    #[test]
    fn every_page_is_embedded_in_both_languages() {
        let german = Locale::parse("de").unwrap();
        let german = PAGES.map(|page| PageFile::page(page, Some(&german)));
        let files: Vec<_> = PageFile::all().chain(german).map(|file| file.to_string()).collect();
        assert_eq!(files.len(), EMBEDDED.len());
        for file in files {
            assert!(EMBEDDED.iter().any(|(name, _)| *name == file), "{file}");
        }
    }
}
