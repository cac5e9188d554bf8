//! What is built out of the settings before anything is served, and what is refused in them.

use std::{
    error::Error as _,
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use chrono::TimeDelta;
use rustix::process::{Resource, getrlimit};
use secrecy::ExposeSecret as _;
use tokio::sync::watch;

use super::{Outside, dkim::signer, mails::templates, sites::sites};
use crate::{
    causes::Causes,
    clock::ClockGuard,
    config::{self, ConfigError, Sender, Settings},
    domain::{
        email_policy::{Disposable, EmailPolicy},
        lease::Work,
        mail_limit::MailLimits,
        password_policy::{PasswordPolicy, PasswordProfile},
        reminder::{Ladder, ReminderPolicy},
        site::Sites,
        user_email_address::MaxEmailAddresses,
        username::Username,
        username_policy::UsernamePolicy,
    },
    grpc::front::Anonymous,
    hashing::PasswordHasher,
    mail::{
        MailSender,
        console::ConsoleSender,
        file::FileSender,
        smtp::{self, SmtpSender},
    },
    operations::Vestibule,
    random::Random,
    repository::{Repository, StorageError, postgres::PostgresRepository, sqlite::SqliteRepository},
    sealing::Keyring,
    workers::{Workers, event_trimmer::EventTrimmer, schedule::Schedule},
};

const HOW_TO_MAKE_A_KEYRING: &str = "make one with: head -c 32 /dev/urandom | base64 > keyring";
/// How many files the process keeps for itself: the mails that are being sent, the log, what the runtime needs.
const OWN_FILES: u64 = 64;
/// How many files a connection to a database has open: on SQLite the database, its log and its index.
const FILES_OF_A_DATABASE_CONNECTION: u64 = 3;

/// How often the servers look whom the ladder reminds.
const REMINDERS_INTERVAL: TimeDelta = TimeDelta::minutes(10);

/// Refuses numbers with which a server would start and then not work.
fn check_ranges(settings: &Settings) -> Result<(), ConfigError> {
    for (key, number, range) in [
        ("database.timeout_seconds", settings.database.timeout_seconds, 1..=600),
        ("mail.timeout_seconds", settings.mail.timeout_seconds, 1..=600),
        ("mail.concurrency", settings.mail.concurrency, 1..=256),
        ("grpc.call_seconds", settings.grpc.call_seconds, 1..=3600),
        ("grpc.max_connections", settings.grpc.max_connections, 1..=1_000_000),
        ("grpc.drain_seconds", settings.grpc.drain_seconds, 0..=3600),
        ("page.max_connections", settings.page.max_connections, 1..=1_000_000),
        ("page.trusted_proxies", settings.page.trusted_proxies, 0..=16),
        ("passwords.queue_seconds", settings.passwords.queue_seconds, 0..=3600),
        ("events.retention_days", settings.events.retention_days, 0..=36_500),
        ("events.max_watches", settings.events.max_watches, 1..=100_000),
        ("events.heartbeat_seconds", settings.events.heartbeat_seconds, 1..=3600),
        ("events.reader_seconds", settings.events.reader_seconds, 1..=3600),
        ("reminders.interval_hours", settings.reminders.interval_hours, 1..=8760),
        ("reminders.max_count", settings.reminders.max_count.into(), 0..=100),
        ("purge.interval_minutes", settings.purge.interval_minutes, 0..=10_080),
    ] {
        if !range.contains(&number) {
            return Err(ConfigError(format!("{key} must be {} to {}", range.start(), range.end())));
        }
    }
    Ok(())
}

/// Who may call without credentials.
pub(super) fn anonymous(settings: &Settings) -> Anonymous {
    match settings.access.anonymous {
        config::Anonymous::Loopback => Anonymous::Loopback,
        config::Anonymous::Network => Anonymous::Network,
    }
}

/// How many connections are served at once: those of the settings, or fewer, where the process may not open so
/// many files. One that took the last file would keep the database from being opened.
pub(super) fn max_connections(settings: &Settings) -> usize {
    let wanted = settings.grpc.max_connections;
    let database = FILES_OF_A_DATABASE_CONNECTION * (u64::from(settings.database.max_connections) + 1);
    let page = if settings.page.listen.is_empty() { 0 } else { settings.page.max_connections };
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let mail = settings.mail.concurrency;
    let most = files.saturating_sub(OWN_FILES + database + page + mail).max(1);
    if most < wanted {
        tracing::warn!(
            max_connections = most,
            files,
            "fewer connections than grpc.max_connections, as the process may open no more files"
        );
    }
    usize::try_from(wanted.min(most)).unwrap_or(usize::MAX)
}

/// Opens the store that `database.url` names. SQLite is made and brought up to date on the spot.
pub async fn open_repository(settings: &Settings) -> anyhow::Result<Arc<dyn Repository>> {
    let (database, repository) = repository(settings)?;
    if let Database::Sqlite(_) = database {
        repository.migrate().await.with_context(|| format!("{database} can't be brought up to date"))?;
    }
    Ok(repository)
}

/// Opens the store that `database.url` names if it is there and its schema up to date: whoever looks after users of a
/// database in the wrong folder should be told so, and not find an empty one.
pub async fn open_existing_repository(settings: &Settings) -> anyhow::Result<Arc<dyn Repository>> {
    if let Database::Sqlite(path) = database(settings.database.url.expose_secret())?
        && !path.exists()
    {
        let sentence = format!("database.url: there is no database at {}", path.display());
        return Err(ConfigError(sentence).into());
    }
    let (database, repository) = repository(settings)?;
    if !repository.is_ready().await.with_context(|| format!("{database} can't be used"))? {
        anyhow::bail!("the schema is not up to date; run: vestibule migrate");
    }
    Ok(repository)
}

fn repository(settings: &Settings) -> Result<(Database, Arc<dyn Repository>), ConfigError> {
    check_ranges(settings)?;
    let url = settings.database.url.expose_secret();
    let max_connections = settings.database.max_connections;
    if max_connections == 0 {
        return Err(ConfigError("database.max_connections must be 1 or more".to_owned()));
    }
    let act_timeout = Duration::from_secs(settings.database.timeout_seconds);
    let database = database(url)?;
    let opened: Result<Arc<dyn Repository>, StorageError> = match &database {
        Database::Sqlite(_) => {
            SqliteRepository::open(url, max_connections).map(|repository| Arc::new(repository) as _)
        }
        Database::Postgres => PostgresRepository::connect(url, max_connections, act_timeout)
            .map(|repository| Arc::new(repository) as _),
    };
    Ok((database, opened.map_err(|error| bad_database(&error))?))
}

/// Everything that an operation needs.
pub fn vestibule(
    settings: &Settings,
    repository: Arc<dyn Repository>,
    outside: &Outside,
) -> anyhow::Result<Vestibule> {
    let sites = sites(settings)?;
    let templates = templates(settings, &sites)?;
    let queue = Duration::from_secs(settings.passwords.queue_seconds);
    Ok(Vestibule {
        repository,
        clock: Arc::clone(&outside.clock),
        clock_guard: Arc::new(ClockGuard::new(Arc::clone(&outside.clock))),
        random: Arc::clone(&outside.random),
        keyring: Arc::new(keyring(settings, &*outside.random)?),
        templates,
        hasher: PasswordHasher::new(queue, Arc::clone(&outside.random)),
        passwords: password_policy(settings, &sites),
        sites,
        usernames: username_policy(settings)?,
        max_email_addresses: MaxEmailAddresses::new(settings.registration.max_email_addresses)
            .ok_or_else(|| ConfigError("registration.max_email_addresses must be 1 to 100".to_owned()))?,
        mail_limits: mail_limits(settings),
        emails: email_policy(settings)?,
        reminders: reminder_policy(settings)?,
        mail_bell: Arc::default(),
        events_appended: Arc::default(),
        events_numbered: watch::Sender::default(),
    })
}

/// What trims the event log, unless events are kept for ever.
pub(super) fn event_trimmer(settings: &Settings, vestibule: &Arc<Vestibule>) -> Option<EventTrimmer> {
    let days = i64::try_from(settings.events.retention_days).unwrap_or(i64::MAX);
    let retention = TimeDelta::try_days(days).filter(|_| days > 0)?;
    Some(EventTrimmer { vestibule: Arc::clone(vestibule), retention })
}

/// Starts what the settings have done from time to time.
pub(super) fn spawn_schedules(settings: &Settings, vestibule: &Arc<Vestibule>, workers: &Workers) {
    let minutes = i64::try_from(settings.purge.interval_minutes).unwrap_or(i64::MAX);
    if let Some(interval) = TimeDelta::try_minutes(minutes).filter(|interval| !interval.is_zero()) {
        let schedule = Schedule { vestibule: Arc::clone(vestibule), work: Work::Purge, interval };
        workers.spawn("purge", move |stop| schedule.clone().run(stop));
    }
    if !vestibule.reminders.ladder.is_empty() {
        let interval = REMINDERS_INTERVAL;
        let schedule = Schedule { vestibule: Arc::clone(vestibule), work: Work::Reminders, interval };
        workers.spawn("reminders", move |stop| schedule.clone().run(stop));
    }
}

enum Database {
    Sqlite(PathBuf),
    Postgres,
}

/// What an error is told of: the setting, and the file if it is one.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "database.url: {}", path.display()),
            Self::Postgres => write!(f, "database.url: the database"),
        }
    }
}

fn database(url: &str) -> Result<Database, ConfigError> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        if !path.is_empty() && path != ":memory:" {
            return Ok(Database::Sqlite(PathBuf::from(path)));
        }
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Database::Postgres);
    }
    Err(ConfigError("database.url must be sqlite:PATH or postgres://user:password@host:port/name".to_owned()))
}

/// A store that can't be opened never got as far as a database: what the driver says of the URL is all there is to say.
fn bad_database(error: &StorageError) -> ConfigError {
    let cause = error.source().map(|cause| Causes(cause).to_string()).unwrap_or_default();
    ConfigError(format!("database.url: {cause}"))
}

/// The keyring of the settings; with SQLite, one is made beside the database when none is named.
fn keyring(settings: &Settings, random: &dyn Random) -> Result<Keyring, ConfigError> {
    let named = &settings.secrets.keyring_file;
    let file = match database(settings.database.url.expose_secret())? {
        _ if !named.as_os_str().is_empty() => named.clone(),
        Database::Sqlite(path) => {
            let mut file = path.into_os_string();
            file.push(".keyring");
            let file = PathBuf::from(file);
            make_keyring(&file, random)
                .map_err(|error| ConfigError(format!("{} can't be made: {error}", file.display())))?;
            file
        }
        Database::Postgres => {
            return Err(ConfigError(format!(
                "secrets.keyring_file must name a keyring when Postgres is used; {HOW_TO_MAKE_A_KEYRING}"
            )));
        }
    };
    let text = fs::read_to_string(&file).map(zeroize::Zeroizing::new).map_err(|error| {
        ConfigError(format!(
            "secrets.keyring_file: {} can't be read: {error}; {HOW_TO_MAKE_A_KEYRING}",
            file.display()
        ))
    })?;
    Keyring::parse(&text)
        .map_err(|error| ConfigError(format!("secrets.keyring_file: {}: {error}", file.display())))
}

/// Makes a keyring that only its owner can read, unless there is one. Whole under its name or not there.
fn make_keyring(file: &Path, random: &dyn Random) -> io::Result<()> {
    if file.exists() {
        return Ok(());
    }
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(format!(".{}", crate::random::uuid_v4(random)));
    let temporary = PathBuf::from(temporary);
    let mut written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    written.write_all(Keyring::generate(random).as_bytes())?;
    written.sync_all()?;
    // A link, unlike a rename, never replaces the keyring that another process has made meanwhile.
    let linked = fs::hard_link(&temporary, file);
    fs::remove_file(&temporary)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// How many mails may be asked for; 0 is no limit.
fn mail_limits(settings: &Settings) -> MailLimits {
    let limits = &settings.mail.limits;
    let limit = |most: u32| (most > 0).then_some(most);
    MailLimits {
        per_address: limit(limits.per_address_per_hour),
        per_caller: limit(limits.per_caller_per_hour),
        total: limit(limits.total_per_hour),
    }
}

/// How mail leaves.
pub(super) fn mail_sender(settings: &Settings, sites: &Sites) -> Result<Arc<dyn MailSender>, ConfigError> {
    let timeout = Duration::from_secs(settings.mail.timeout_seconds);
    let signer = signer(&settings.mail.dkim, sites)?;
    Ok(match settings.mail.sender {
        Sender::Smtp => {
            let roots = settings.mail.smtp.ca_file.as_ref().map(|file| certificates(file)).transpose()?;
            let sender = SmtpSender::new(&settings.mail.smtp.url, timeout, roots.as_deref());
            let sender = sender.map_err(|error| ConfigError(format!("mail.smtp.url {error}")))?;
            Arc::new(sender.signed_by(signer))
        }
        Sender::File => Arc::new(FileSender::new(settings.mail.file.directory.clone()).signed_by(signer)),
        Sender::Console => Arc::new(ConsoleSender::stdout()),
    })
}

/// Further authorities that a mail server's certificate may come from.
fn certificates(file: &Path) -> Result<Vec<u8>, ConfigError> {
    let refuse = |why: String| ConfigError(format!("mail.smtp.ca_file: {} {why}", file.display()));
    let pem = fs::read(file).map_err(|error| refuse(format!("can't be read: {error}")))?;
    if smtp::holds_certificates(&pem) {
        Ok(pem)
    } else {
        Err(refuse("holds no certificate in PEM".to_owned()))
    }
}

/// Reserves what the settings list; what could be no username needs no reserving, so it is a slip of the pen.
fn username_policy(settings: &Settings) -> Result<UsernamePolicy, ConfigError> {
    let reserved = settings.usernames.reserved.iter().enumerate().map(|(index, name)| {
        Username::parse(name).map_err(|invalid| ConfigError(format!("usernames.reserved[{index}] {invalid}")))
    });
    let policy = UsernamePolicy::new(reserved.collect::<Result<Vec<_>, _>>()?);
    Ok(match settings.usernames.look_alikes {
        config::LookAlikes::Refuse => policy,
        config::LookAlikes::Allow => policy.allow_look_alikes(),
    })
}

/// No password is the name or the domain of any site.
fn password_policy(settings: &Settings, sites: &Sites) -> PasswordPolicy {
    let profile = match settings.passwords.profile {
        config::PasswordProfile::Default => PasswordProfile::Default,
        config::PasswordProfile::Strict => PasswordProfile::Strict,
    };
    PasswordPolicy::new(profile, sites.iter().flat_map(|site| [site.name.as_str(), site.domain.as_str()]))
}

/// What is made of addresses to throw away, by the embedded list or the one that the settings name.
fn email_policy(settings: &Settings) -> Result<EmailPolicy, ConfigError> {
    let registration = &settings.registration;
    let policy = EmailPolicy::new(match registration.disposable_domains {
        config::DisposableDomains::Off => Disposable::Off,
        config::DisposableDomains::Warn => Disposable::Warn,
        config::DisposableDomains::Refuse => Disposable::Refuse,
    });
    let file = &registration.disposable_domains_file;
    if file.as_os_str().is_empty() {
        return Ok(policy);
    }
    let wrong = |said: String| {
        ConfigError(format!("registration.disposable_domains_file: {}: {said}", file.display()))
    };
    let text = fs::read_to_string(file).map_err(|error| wrong(format!("can't be read: {error}")))?;
    policy.with_list(&text).map_err(|(line, invalid)| wrong(format!("line {line} {invalid}")))
}

/// How often anybody is reminded; the numbers are in their ranges.
fn reminder_policy(settings: &Settings) -> Result<ReminderPolicy, ConfigError> {
    let reminders = &settings.reminders;
    let ladder = Ladder::new(reminders.days.clone())
        .map_err(|invalid| ConfigError(format!("reminders.days {invalid}")))?;
    let hours = i64::try_from(reminders.interval_hours).unwrap_or(i64::MAX);
    let interval = TimeDelta::try_hours(hours).unwrap_or(TimeDelta::MAX);
    Ok(ReminderPolicy { interval, max_count: reminders.max_count, ladder })
}
