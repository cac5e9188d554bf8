//! Which files a folder of templates holds, and what stands in them.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::{
    Problem, TemplateError,
    page_files::{self, PageFile},
};
use crate::domain::{locale::Locale, mail::MailKind};

/// The embedded templates, by their names.
macro_rules! embedded {
    ($($name:literal,)*) => {
        [$(($name, include_str!(concat!("../../templates/", $name))),)*]
    };
}

const EMBEDDED: [(&str, &str); 24] = embedded![
    "activation/subject.txt",
    "activation/body.txt",
    "activation/body.html",
    "activation/subject.de.txt",
    "activation/body.de.txt",
    "activation/body.de.html",
    "reminder/subject.txt",
    "reminder/body.txt",
    "reminder/body.html",
    "reminder/subject.de.txt",
    "reminder/body.de.txt",
    "reminder/body.de.html",
    "email_verification/subject.txt",
    "email_verification/body.txt",
    "email_verification/body.html",
    "email_verification/subject.de.txt",
    "email_verification/body.de.txt",
    "email_verification/body.de.html",
    "primary_email_changed/subject.txt",
    "primary_email_changed/body.txt",
    "primary_email_changed/body.html",
    "primary_email_changed/subject.de.txt",
    "primary_email_changed/body.de.txt",
    "primary_email_changed/body.de.html",
];

/// How many letters a file's name and a template's may differ in for the one to be meant by the other.
const SLIPS: usize = 3;

/// The part of a mail that a template makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Subject,
    Body,
    Html,
}

/// What a template is called: `activation/body.de.txt`, and `activation/body.txt` where it has no locale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub kind: MailKind,
    pub locale: Option<Locale>,
    pub part: Part,
}

/// A folder of templates, or the embedded ones.
#[derive(Debug)]
pub(super) struct Source {
    /// The setting that names the folder.
    pub setting: String,
    pub files: BTreeMap<String, String>,
}

impl Part {
    pub const ALL: [Self; 3] = [Self::Subject, Self::Body, Self::Html];

    fn stem_and_ending(self) -> (&'static str, &'static str) {
        match self {
            Self::Subject => ("subject", "txt"),
            Self::Body => ("body", "txt"),
            Self::Html => ("body", "html"),
        }
    }
}

impl Name {
    pub fn new(kind: MailKind, part: Part, locale: Option<&Locale>) -> Self {
        Self { kind, locale: locale.cloned(), part }
    }

    /// The name of that path, whose locale stands there in its canonical case.
    pub fn parse(path: &str) -> Option<Self> {
        Self::parse_in_any_case(path).filter(|name| name.to_string() == path)
    }

    fn parse_in_any_case(path: &str) -> Option<Self> {
        let (folder, file) = path.split_once('/')?;
        let kind = MailKind::from_name(folder)?;
        let (stem, ending) = file.rsplit_once('.')?;
        let (stem, locale) = match stem.split_once('.') {
            None => (stem, None),
            Some((stem, tag)) => (stem, Some(Locale::parse(tag).ok()?)),
        };
        let part = Part::ALL.into_iter().find(|part| part.stem_and_ending() == (stem, ending))?;
        Some(Self { kind, locale, part })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stem, ending) = self.part.stem_and_ending();
        write!(f, "{}/{stem}", self.kind.as_str())?;
        if let Some(locale) = &self.locale {
            write!(f, ".{locale}")?;
        }
        write!(f, ".{ending}")
    }
}

impl Source {
    pub fn embedded() -> Self {
        let files = EMBEDDED.into_iter().chain(page_files::EMBEDDED);
        let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
        Self { setting: "the embedded templates".to_owned(), files: files.collect() }
    }

    /// Reads the folder that `setting` names. What is in the way is a problem, and what is no template's is a stray.
    ///
    /// What begins with a dot is passed over: editors, version control and Kubernetes keep things there.
    pub fn read(
        setting: &str,
        directory: &Path,
        problems: &mut Vec<Problem>,
        strays: &mut Vec<Problem>,
    ) -> Self {
        let mut files = BTreeMap::new();
        let unreadable =
            |name: String, source: io::Error| Problem::of(setting, TemplateError::Read { name, source });
        let stray = |file: String| Problem::of(setting, TemplateError::Stray { near: nearest(&file), file });
        match entries(directory) {
            Err(error) => problems.push(unreadable(directory.display().to_string(), error)),
            Ok(folders) => {
                for (folder, path) in folders {
                    let inside = match entries(&path) {
                        Ok(inside) => inside,
                        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                            strays.push(stray(folder));
                            continue;
                        }
                        Err(error) => {
                            problems.push(unreadable(folder, error));
                            continue;
                        }
                    };
                    for (file, path) in inside {
                        let name = format!("{folder}/{file}");
                        if Name::parse(&name).is_none() && PageFile::parse(&name).is_none() {
                            strays.push(stray(name));
                            continue;
                        }
                        match fs::read_to_string(&path) {
                            Ok(text) => drop(files.insert(name, text)),
                            Err(error) => problems.push(unreadable(name, error)),
                        }
                    }
                }
            }
        }
        Self { setting: setting.to_owned(), files }
    }
}

/// What is in a directory, in the order of names.
fn entries(directory: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            entries.insert(name, entry.path());
        }
    }
    Ok(entries)
}

/// The template that a file may have been meant to be.
fn nearest(file: &str) -> Option<String> {
    if let Some(name) = Name::parse_in_any_case(file) {
        return Some(name.to_string());
    }
    if let Some(name) = PageFile::parse_in_any_case(file) {
        return Some(name.to_string());
    }
    MailKind::ALL
        .into_iter()
        .flat_map(|kind| Part::ALL.map(|part| Name::new(kind, part, None).to_string()))
        .chain(PageFile::all().map(|file| file.to_string()))
        .map(|name| (strsim::levenshtein(file, &name), name))
        .filter(|(slips, _)| *slips <= SLIPS)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_templates_name_is_read_as_it_is_written() {
        for path in EMBEDDED.map(|(name, _)| name).into_iter().chain([
            "activation/body.de-AT.txt",
            "activation/subject.zh-Hant.txt",
            "reminder/body.fr.html",
        ]) {
            assert_eq!(Name::parse(path).unwrap().to_string(), path);
        }
        for path in [
            "activation",
            "body.txt",
            "activation/",
            "activation/body",
            "activation/body.",
            "activation/body.md",
            "activation/subject.html",
            "activation/body.de-at.txt",
            "activation/body.de.AT.txt",
            "activation/body.de_AT.txt",
            "activation/body..txt",
            "activation/de.body.txt",
            "activation/body.txt~",
            "activation/body.txt.orig",
            "activations/body.txt",
            "activation/more/body.txt",
        ] {
            assert_eq!(Name::parse(path), None, "{path}");
        }
    }

    #[test]
    fn every_kind_has_every_part_in_both_embedded_languages() {
        let embedded = Source::embedded().files;
        assert_eq!(embedded.len(), EMBEDDED.len() + page_files::EMBEDDED.len());
        for kind in MailKind::ALL {
            for part in Part::ALL {
                for locale in [None, Some(Locale::parse("de").unwrap())] {
                    assert!(embedded.contains_key(&Name::new(kind, part, locale.as_ref()).to_string()));
                }
            }
        }
    }
}
