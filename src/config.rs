//! The settings: defaults, then files, then the environment, then flags. Knows no other module's types.

mod settings;

use std::{
    fs,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    error::Kind,
    providers::{Env, Format as _, Toml},
};

pub use settings::*;

/// The defaults, with a comment on each setting.
pub const DEFAULTS: &str = include_str!("../config.default.toml");
const ENVIRONMENT_PREFIX: &str = "VESTIBULE__";

/// Settings that can't be used, as sentences that name each key and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl Settings {
    /// Reads the settings; `flags` are keys with their values, such as `("grpc.listen", "…")`.
    pub fn load(files: &[PathBuf], flags: &[(&str, String)]) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        for file in files {
            let text = read(file).map_err(ConfigError)?;
            figment =
                figment.merge(Named { name: file.display().to_string(), provider: Toml::string(&text) });
        }
        let environment = Env::prefixed(ENVIRONMENT_PREFIX).split("__");
        figment = figment.merge(Named { name: ENVIRONMENT_PREFIX.to_owned(), provider: environment });
        for (key, value) in flags {
            figment = figment.merge((*key, value));
        }
        let mut settings: Self = figment.extract().map_err(|errors| explain(errors, &figment))?;
        for (key, file, value) in [
            ("database.url_file", &settings.database.url_file, &mut settings.database.url),
            ("mail.smtp.url_file", &settings.mail.smtp.url_file, &mut settings.mail.smtp.url),
        ] {
            // A flag overrides everything, a file that a lower layer names included.
            let flagged = flags.iter().any(|(flag, _)| key.strip_suffix("_file") == Some(flag));
            if let Some(file) = file.as_ref().filter(|_| !flagged) {
                let text = read(file).map_err(|error| ConfigError(format!("{key}: {error}")))?;
                *value = text.trim_end_matches(['\r', '\n']).into();
            }
        }
        Ok(settings)
    }
}

/// What settings are read from, with the name that an error then shows.
struct Named<T> {
    name: String,
    provider: T,
}

impl<T: figment::Provider> figment::Provider for Named<T> {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::error::Result<figment::value::Map<figment::Profile, figment::value::Dict>> {
        self.provider.data()
    }
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{} can't be read: {error}", file.display()))
}

/// Says of every wrong setting where it stands and what would be right, but never what stands there:
/// a secret may have slipped into the wrong place.
fn explain(errors: figment::Error, figment: &Figment) -> ConfigError {
    let lines: Vec<_> = errors.into_iter().map(|error| explain_one(&error, figment)).collect();
    ConfigError(lines.join("\n"))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of the others figment says no more than a kind")]
fn explain_one(error: &figment::Error, figment: &Figment) -> String {
    // Inside a list figment has lost the source; then it is the list's.
    let list = || figment.find_metadata(error.path.first()?);
    let source = error.metadata.as_ref().or_else(list).map(|source| source.name.as_ref()).unwrap_or_default();
    let spell = |path: &[String]| match source {
        ENVIRONMENT_PREFIX => format!("{ENVIRONMENT_PREFIX}{}", path.join("__").to_uppercase()),
        _ => path.join("."),
    };
    let key = spell(&error.path);
    let said = match &error.kind {
        Kind::UnknownField(name, expected) => {
            let parents = error.path.strip_suffix(std::slice::from_ref(name)).unwrap_or(&error.path);
            let key = spell(&[parents, std::slice::from_ref(name)].concat());
            let near = nearest(name, expected).map(|near| spell(&[parents, &[near.to_owned()]].concat()));
            let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            format!("{key} is no setting{near}")
        }
        Kind::MissingField(name) => format!("{key} must have {name}"),
        Kind::UnknownVariant(_, expected) => format!("{key} must be {}", expected.join(" or ")),
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            format!("{key} must be {}", in_words(expected))
        }
        // What can't be parsed comes with the line that it stands in.
        Kind::Message(message) if key.is_empty() => {
            message.lines().filter(|line| !line.contains('|')).collect::<Vec<_>>().join(": ")
        }
        kind => format!("{key}: {kind}"),
    };
    match source {
        "" | ENVIRONMENT_PREFIX | "TOML source string" => said,
        file => format!("{file}: {said}"),
    }
}

/// What serde calls the type of a setting, for whoever sets it.
fn in_words(expected: &str) -> &str {
    match expected {
        "i64" => "a whole number",
        "u32" | "u64" => "a whole number, 0 or more",
        "socket address" => "an address with a port, such as 127.0.0.1:50051",
        "a sequence" => "a list",
        expected if expected.starts_with("struct ") => "a table",
        expected => expected,
    }
}

fn nearest<'a>(name: &str, expected: &'a [&'static str]) -> Option<&'a str> {
    let alike = expected.iter().copied().filter(|candidate| strsim::jaro_winkler(name, candidate) > 0.7);
    alike.min_by_key(|candidate| strsim::levenshtein(name, candidate))
}
