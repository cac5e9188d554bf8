//! Every setting, as it stands in the files.

use std::{net::SocketAddr, path::PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

/// Every setting; `config.default.toml` says what each means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Settings {
    pub database: Database,
    pub grpc: Grpc,
    pub page: Page,
    pub ops: Ops,
    pub access: Access,
    pub mail: Mail,
    pub templates: Templates,
    pub registration: Registration,
    pub reminders: Reminders,
    pub purge: Purge,
    pub usernames: Usernames,
    pub passwords: Passwords,
    pub events: Events,
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
    pub timeout_seconds: u64,
}

/// `[grpc]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Grpc {
    pub listen: SocketAddr,
    pub max_connections: u64,
    pub call_seconds: u64,
    pub drain_seconds: u64,
}

/// `[page]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Page {
    pub listen: String,
    pub max_connections: u64,
    pub requests_per_minute: u32,
    pub trusted_proxies: u64,
}

/// `[ops]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Ops {
    pub listen: String,
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
    pub concurrency: u64,
    pub limits: MailLimits,
    pub smtp: Smtp,
    pub file: MailFile,
    pub dkim: Dkim,
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

/// `[mail.limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct MailLimits {
    pub per_address_per_hour: u32,
    pub per_caller_per_hour: u32,
    pub total_per_hour: u32,
}

/// `[mail.smtp]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Smtp {
    pub url: SecretString,
    pub url_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
}

/// `[mail.file]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct MailFile {
    pub directory: PathBuf,
}

/// `[mail.dkim]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Dkim {
    pub selector: String,
    pub domain: String,
    pub private_key_file: PathBuf,
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
    pub activation_codes: bool,
    pub activation_code_digits: u32,
    pub max_email_addresses: u32,
    pub disposable_domains: DisposableDomains,
    pub disposable_domains_file: PathBuf,
}

/// `registration.disposable_domains`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub enum DisposableDomains {
    Off,
    Warn,
    Refuse,
}

/// `[reminders]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Reminders {
    pub days: Vec<u32>,
    pub interval_hours: u64,
    pub max_count: u32,
}

/// `[purge]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Purge {
    pub interval_minutes: u64,
}

/// `[usernames]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Usernames {
    pub reserved: Vec<String>,
    pub look_alikes: LookAlikes,
}

/// `[passwords]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Passwords {
    pub queue_seconds: u64,
    pub profile: PasswordProfile,
}

/// `passwords.profile`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub enum PasswordProfile {
    Default,
    Strict,
}

/// `[events]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub struct Events {
    pub retention_days: u64,
    pub max_watches: u64,
    pub heartbeat_seconds: u64,
    pub reader_seconds: u64,
}

/// `usernames.look_alikes`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub enum LookAlikes {
    Refuse,
    Allow,
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
    #[serde(default)]
    pub verification_url: String,
    #[serde(default)]
    pub continue_url: String,
    pub activation_days: Option<i64>,
    pub activation_codes: Option<bool>,
    #[serde(default)]
    pub registration: SiteRegistration,
    #[serde(default = "english")]
    pub locale: String,
    #[serde(default)]
    pub templates: PathBuf,
}

/// `sites.registration`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "config.default.toml documents every setting, once")]
pub enum SiteRegistration {
    #[default]
    Open,
    Closed,
}

fn english() -> String {
    "en".to_owned()
}
