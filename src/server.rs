//! The composition root: builds everything out of the settings, serves, and drains.

use std::{
    error::Error as _,
    fs,
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;

use crate::{
    causes::Causes,
    clock::{Clock, ClockGuard, SystemClock},
    config::{self, ConfigError, Sender, Settings},
    domain::{
        Invalid,
        policy::ActivationDays,
        site::{Site, SiteId, Sites},
    },
    grpc::{self, Calls, Health, front::Anonymous, front::FrontDoor},
    hashing::PasswordHasher,
    mail::{self, MailSender, console::ConsoleSender, file::FileSender, smtp::SmtpSender},
    operations::Vestibule,
    random::{Random, SystemRandom},
    repository::{Repository, StorageError, postgres::PostgresRepository, sqlite::SqliteRepository},
    sealing::Keyring,
    templates::Templates,
    workers::{Workers, mail_outbox::MailOutbox},
};

/// How often the database is asked whether it is there.
const READINESS_INTERVAL: Duration = Duration::from_secs(1);
/// How many calls one connection may have open at once.
const MAX_CONCURRENT_STREAMS: u32 = 200;
/// How long the peer of an HTTP/2 connection may be silent: a ping after, and the answer within.
const KEEPALIVE: Duration = Duration::from_secs(30);
const HOW_TO_MAKE_A_KEYRING: &str = "make one with: head -c 32 /dev/urandom | base64 > keyring";

/// What stands outside the settings: time, chance, and for `dev` and tests a sender of their own.
#[derive(Clone)]
pub struct Outside {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Replaces the settings' sender.
    pub sender: Option<Arc<dyn MailSender>>,
}

/// A server that is running.
#[derive(Debug)]
pub struct Server {
    /// Where it listens; the port that was taken if the settings say 0.
    pub address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Default for Outside {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock::default()), random: Arc::new(SystemRandom), sender: None }
    }
}

impl Server {
    /// Builds everything and starts to listen. Health says `NOT_SERVING` until the database answers.
    pub async fn start(settings: &Settings, outside: Outside) -> anyhow::Result<Self> {
        check_spans(settings)?;
        let repository = open_repository(settings).await?;
        let vestibule = Arc::new(vestibule(settings, repository, &outside)?);
        let sender = match &outside.sender {
            Some(sender) => Arc::clone(sender),
            None => mail_sender(settings)?,
        };
        let health = Health::new().await;
        let workers = Workers::default();
        let outbox = MailOutbox {
            repository: Arc::clone(&vestibule.repository),
            sender,
            keyring: Arc::clone(&vestibule.keyring),
            clock: Arc::clone(&vestibule.clock),
            random: Arc::clone(&vestibule.random),
            mail_queued: Arc::clone(&vestibule.mail_queued),
            attempt_timeout: Duration::from_secs(settings.mail.timeout_seconds),
        };
        let stop = CancellationToken::new();
        let calls = Calls::new(Arc::clone(&vestibule));
        let anonymous = match settings.access.anonymous {
            config::Anonymous::Loopback => Anonymous::Loopback,
            config::Anonymous::Network => Anonymous::Network,
        };
        let door = FrontDoor::new(anonymous, stop.clone(), Arc::clone(&outside.random));
        let routes = grpc::routes(&calls, &health)?;
        let listener = TcpListener::bind(settings.grpc.listen)
            .await
            .with_context(|| format!("can't listen on {}", settings.grpc.listen))?;
        let address = listener.local_addr()?;
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
        workers.spawn("mail_outbox", move |stop| outbox.clone().run(stop));
        let (watched, reported) = (Arc::clone(&vestibule.repository), health.clone());
        // Until the drain begins, not until it ends: a server that drains must not call itself serving.
        let draining = stop.clone();
        workers.spawn("readiness", move |_| {
            watch_readiness(Arc::clone(&watched), reported.clone(), draining.clone())
        });
        let serving = tonic::transport::Server::builder()
            .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .layer(door)
            .add_routes(routes)
            .serve_with_incoming_shutdown(
                TcpIncoming::from(listener).with_nodelay(Some(true)),
                stop.clone().cancelled_owned(),
            );
        let drain = Duration::from_secs(settings.grpc.drain_seconds);
        let stopped = stop.clone();
        #[expect(clippy::disallowed_methods, reason = "tracked: Server waits for it")]
        let task = tokio::spawn(async move {
            let mut serving = tokio::spawn(serving);
            tokio::select! {
                // Being stopped comes first: a server without connections ends at once when it is, and
                // what runs beside it must be waited for all the same.
                biased;
                () = stopped.cancelled() => {}
                ended = &mut serving => return Ok(ended??),
            }
            tracing::info!(seconds = drain.as_secs(), "draining");
            let deadline = Instant::now() + drain;
            health.set_serving(false).await;
            let drained = timeout_at(deadline, async {
                // The calls first: a peer that holds a connection open and asks nothing must not keep them waiting.
                calls.wait().await;
                workers.stop().await;
                let ended = (&mut serving).await;
                vestibule.repository.close().await;
                ended
            });
            if let Ok(ended) = drained.await {
                ended??;
            } else {
                serving.abort();
                tracing::warn!("the drain's time is over; what was left is cut off");
            }
            tracing::info!("stopped");
            Ok(())
        });
        Ok(Self { address, stop, task })
    }

    /// Drains, and returns when the server has stopped.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await?
    }

    /// Serves until `signal`, then drains; an error if the server stopped by itself.
    pub async fn run_until(mut self, signal: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::select! {
            ended = &mut self.task => return ended?,
            () = signal => {}
        }
        self.stop().await
    }
}

/// Spans with which a server would start and then not work.
fn check_spans(settings: &Settings) -> Result<(), ConfigError> {
    for (key, seconds, range) in [
        ("mail.timeout_seconds", settings.mail.timeout_seconds, 1..=600),
        ("grpc.drain_seconds", settings.grpc.drain_seconds, 0..=3600),
        ("passwords.queue_seconds", settings.passwords.queue_seconds, 0..=3600),
    ] {
        if !range.contains(&seconds) {
            return Err(ConfigError(format!("{key} must be {} to {}", range.start(), range.end())));
        }
    }
    Ok(())
}

/// Tells health what the database says, until the server stops.
async fn watch_readiness(repository: Arc<dyn Repository>, health: Health, stop: CancellationToken) {
    let mut was_ready = None;
    loop {
        let (ready, reason) = match repository.is_ready().await {
            Ok(true) => (true, String::new()),
            Ok(false) => (false, "the schema is not up to date; run: vestibule migrate".to_owned()),
            Err(error) => (false, Causes(&error).to_string()),
        };
        if stop.is_cancelled() {
            return;
        }
        if was_ready.replace(ready) != Some(ready) {
            health.set_serving(ready).await;
            if ready {
                tracing::info!("serving");
            } else {
                tracing::warn!(reason, "not serving");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(READINESS_INTERVAL) => {}
        }
    }
}

/// Opens the store that `database.url` names. SQLite is made and brought up to date on the spot.
pub async fn open_repository(settings: &Settings) -> anyhow::Result<Arc<dyn Repository>> {
    let url = settings.database.url.expose_secret();
    if settings.database.max_connections == 0 {
        return Err(ConfigError("database.max_connections must be 1 or more".to_owned()).into());
    }
    match database(url)? {
        Database::Sqlite(_) => {
            let repository = SqliteRepository::open(url, settings.database.max_connections)
                .map_err(|error| bad_database(&error))?;
            repository.migrate().await.context("the SQLite database can't be brought up to date")?;
            Ok(Arc::new(repository))
        }
        Database::Postgres => {
            let repository = PostgresRepository::connect(url, settings.database.max_connections)
                .map_err(|error| bad_database(&error))?;
            Ok(Arc::new(repository))
        }
    }
}

/// Everything that an operation needs.
pub fn vestibule(
    settings: &Settings,
    repository: Arc<dyn Repository>,
    outside: &Outside,
) -> anyhow::Result<Vestibule> {
    let directory = &settings.templates.directory;
    let directory = (!directory.as_os_str().is_empty()).then_some(directory.as_path());
    let sites = sites(settings)?;
    let templates = Templates::load(directory)
        .and_then(|templates| sites.iter().try_for_each(|site| templates.check(site)).map(|()| templates))
        .map_err(|error| ConfigError(format!("templates.directory: {}", Causes(&error))))?;
    let queue = Duration::from_secs(settings.passwords.queue_seconds);
    Ok(Vestibule {
        repository,
        clock: Arc::clone(&outside.clock),
        clock_guard: ClockGuard::new(Arc::clone(&outside.clock)),
        random: Arc::clone(&outside.random),
        keyring: Arc::new(keyring(settings, &*outside.random)?),
        templates,
        hasher: PasswordHasher::new(queue, Arc::clone(&outside.random)),
        sites,
        mail_queued: Arc::default(),
    })
}

enum Database {
    Sqlite(PathBuf),
    Postgres,
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

fn mail_sender(settings: &Settings) -> Result<Arc<dyn MailSender>, ConfigError> {
    let timeout = Duration::from_secs(settings.mail.timeout_seconds);
    Ok(match settings.mail.sender {
        Sender::Smtp => Arc::new(
            SmtpSender::new(&settings.mail.smtp.url, timeout)
                .map_err(|error| ConfigError(format!("mail.smtp.url {error}")))?,
        ),
        Sender::File => Arc::new(FileSender::new(settings.mail.file.directory.clone())),
        Sender::Console => Arc::new(ConsoleSender::stdout()),
    })
}

fn sites(settings: &Settings) -> Result<Sites, ConfigError> {
    let mut sites = Vec::new();
    for (index, site) in settings.sites.iter().enumerate() {
        let wrong = |key: &str, invalid: &Invalid| ConfigError(format!("sites[{index}].{key} {invalid}"));
        let from = if site.from.is_empty() { &settings.mail.from } else { &site.from };
        for (key, text) in [("name", &site.name), ("domain", &site.domain)] {
            if text.is_empty() || text.contains(char::is_control) {
                return Err(wrong(key, &Invalid::new("must be a text of one line")));
            }
        }
        let url = &site.activation_url;
        let sample = url.replace("{key}", "key");
        let is_link = sample != *url
            && !url.split('/').take(3).any(|part| part.contains("{key}"))
            && sample
                .parse::<http::Uri>()
                .is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
        if !url.is_empty() && !is_link {
            return Err(wrong(
                "activation_url",
                &Invalid::new("must be an http or https URL with {key} in it"),
            ));
        }
        let days = match site.activation_days {
            Some(days) => ActivationDays::new(days).map_err(|invalid| wrong("activation_days", &invalid))?,
            None => ActivationDays::new(settings.registration.activation_days)
                .map_err(|invalid| ConfigError(format!("registration.activation_days {invalid}")))?,
        };
        sites.push(Site {
            id: SiteId::parse(&site.id).map_err(|invalid| wrong("id", &invalid))?,
            name: site.name.clone(),
            domain: site.domain.clone(),
            from: mail::parse_mailbox(from).map_err(|invalid| {
                if site.from.is_empty() {
                    ConfigError(format!("mail.from {invalid}"))
                } else {
                    wrong("from", &invalid)
                }
            })?,
            activation_url: (!url.is_empty()).then(|| url.clone()),
            activation_days: days,
        });
    }
    Sites::new(sites).map_err(|invalid| ConfigError(format!("sites {invalid}")))
}
