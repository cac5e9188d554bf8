//! The settings: defaults, then files, then the environment, then flags. Knows no other module's types.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    error::Kind,
    providers::{Env, Format as _, Toml},
};
use secrecy::SecretString;
use serde::Deserialize;

/// The defaults, with a comment on each setting.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

const ENVIRONMENT_PREFIX: &str = "VESTIBULE__";

/// Every setting; `config.default.toml` says what each means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Settings {
    pub database: Database,
    pub grpc: Grpc,
    pub access: Access,
    pub mail: Mail,
    pub templates: Templates,
    pub registration: Registration,
    pub passwords: Passwords,
    pub secrets: Secrets,
    pub log: Log,
    pub sites: Vec<Site>,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Database {
    pub url: SecretString,
    pub url_file: Option<PathBuf>,
    pub max_connections: u32,
}

/// `[grpc]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Grpc {
    pub listen: SocketAddr,
    pub drain_seconds: u64,
}

/// `[access]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Access {
    pub anonymous: Anonymous,
}

/// `access.anonymous`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub enum Anonymous {
    Loopback,
    Network,
}

/// `[mail]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Mail {
    pub sender: Sender,
    pub from: String,
    pub timeout_seconds: u64,
    pub smtp: Smtp,
    pub file: MailFile,
}

/// `mail.sender`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub enum Sender {
    Smtp,
    File,
    Console,
}

/// `[mail.smtp]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Smtp {
    pub url: SecretString,
    pub url_file: Option<PathBuf>,
}

/// `[mail.file]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct MailFile {
    pub directory: PathBuf,
}

/// `[templates]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Templates {
    pub directory: PathBuf,
}

/// `[registration]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Registration {
    pub activation_days: i64,
}

/// `[passwords]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Passwords {
    pub queue_seconds: u64,
}

/// `[secrets]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Secrets {
    pub keyring_file: PathBuf,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Log {
    pub format: LogFormat,
    pub filter: String,
}

/// `log.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub enum LogFormat {
    Pretty,
    Json,
}

/// One of `[[sites]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Site {
    pub id: String,
    pub name: String,
    pub domain: String,
    #[serde(default)]
    pub from: String,
    #[serde(default)]
    pub activation_url: String,
    pub activation_days: Option<i64>,
}

/// Settings that can't be used, as sentences that name each key and what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl Settings {
    /// Reads the settings; `flags` are keys with their values, such as `("grpc.listen", "…")`.
    pub fn load(files: &[PathBuf], flags: &[(&str, String)]) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        for file in files {
            let text = read(file)?;
            figment = figment.merge(Named { name: file.display().to_string(), toml: Toml::string(&text) });
        }
        figment = figment.merge(Env::prefixed(ENVIRONMENT_PREFIX).split("__"));
        for (key, value) in flags {
            figment = figment.merge((*key, value));
        }
        let mut settings: Self = figment.extract().map_err(explain)?;
        if let Some(file) = &settings.database.url_file {
            settings.database.url = read(file)?.trim_end_matches(['\r', '\n']).into();
        }
        if let Some(file) = &settings.mail.smtp.url_file {
            settings.mail.smtp.url = read(file)?.trim_end_matches(['\r', '\n']).into();
        }
        Ok(settings)
    }
}

/// A file's text with the file's name, which an error then shows.
struct Named<T> {
    name: String,
    toml: T,
}

impl<T: figment::Provider> figment::Provider for Named<T> {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::error::Result<figment::value::Map<figment::Profile, figment::value::Dict>> {
        self.toml.data()
    }
}

fn read(file: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(file)
        .map_err(|error| ConfigError(format!("{} can't be read: {error}", file.display())))
}

/// Says of every wrong setting where it stands and what would be right.
#[expect(clippy::wildcard_enum_match_arm, reason = "figment explains the others well")]
fn explain(errors: figment::Error) -> ConfigError {
    let mut text = String::new();
    for error in errors {
        if !text.is_empty() {
            text.push('\n');
        }
        if let Some(source) = error.metadata.as_ref().filter(|source| source.name != "TOML source string") {
            let _ = write!(text, "{}: ", source.name);
        }
        let path = error.path.join(".");
        match &error.kind {
            Kind::UnknownField(name, expected) => {
                let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
                let key = if path.ends_with(name.as_str()) { path.clone() } else { format!("{path}.{name}") };
                let _ = write!(text, "{} is no setting", key.trim_start_matches('.'));
                if let Some(near) = nearest(name, expected) {
                    let near = if parent.is_empty() { near.to_owned() } else { format!("{parent}.{near}") };
                    let _ = write!(text, "; did you mean {near}?");
                }
            }
            kind if path.is_empty() => {
                let _ = write!(text, "{kind}");
            }
            kind => {
                let _ = write!(text, "{path}: {kind}");
            }
        }
    }
    ConfigError(text)
}

fn nearest<'a>(name: &str, expected: &'a [&'static str]) -> Option<&'a str> {
    expected
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}
