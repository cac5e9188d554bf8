//! A server in this process, with a clock that the test moves, and the real client.

mod client;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tonic::transport::{Channel, Endpoint};
use vestibule::{
    clock::ManualClock,
    config::Settings,
    domain::Timestamp,
    mail::MailSender,
    random::SystemRandom,
    sealing::Keyring,
    server::{Outside, Server},
};

use crate::contract::store::Store;

pub use client::{Client, Registered, instant, reason, refused, wire};

/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes a test of each case for either store, `postgres::NAME` and `sqlite::NAME`.
macro_rules! on_each_store {
    ($($file:ident: [$($case:ident,)*])*) => {
        mod postgres {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::contract::store::on_postgres(super::$file::$case).await;
                }
            )*)*
        }

        mod sqlite {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::contract::store::on_sqlite(super::$file::$case).await;
                }
            )*)*
        }
    };
}
pub(crate) use on_each_store;

/// Which store a server runs on.
#[derive(Debug, Clone)]
pub enum Database {
    /// SQLite in the test server's own folder.
    Sqlite,
    /// The database of this URL, its schema up to date.
    Url(String),
}

/// A server and its clock; mails go to files unless the test says otherwise.
pub struct TestServer {
    pub clock: Arc<ManualClock>,
    pub address: std::net::SocketAddr,
    pub page: Option<std::net::SocketAddr>,
    folder: TempDir,
    server: Server,
}

impl TestServer {
    /// Starts a server; `flags` are settings that differ, such as `("mail.from", "shop@shop.example".into())`.
    pub async fn start(database: &Database, flags: &[(&str, String)]) -> Self {
        Self::start_from(database, "", flags).await
    }

    /// Starts a server on the database of `url` with the settings of a TOML text.
    pub async fn start_configured(url: &str, toml: &str) -> Self {
        Self::start_from(&Database::Url(url.to_owned()), toml, &[]).await
    }

    /// Starts a server whose mails leave by `sender`.
    pub async fn start_with_sender(database: &Database, toml: &str, sender: Arc<dyn MailSender>) -> Self {
        Self::start_outside(database, toml, &[], Some(sender)).await
    }

    async fn start_from(database: &Database, toml: &str, flags: &[(&str, String)]) -> Self {
        Self::start_outside(database, toml, flags, None).await
    }

    async fn start_outside(
        database: &Database,
        toml: &str,
        flags: &[(&str, String)],
        sender: Option<Arc<dyn MailSender>>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::load(&settings_files(folder.path(), database, toml), flags).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_timestamp(1_800_000_000, 0).unwrap()));
        let outside = Outside { clock: clock.clone(), random: Arc::new(SystemRandom), sender };
        let server = Server::start(&settings, outside).await.unwrap();
        Self { clock, address: server.address, page: server.page, folder, server }
    }

    /// Where the operator's port is.
    pub fn ops(&self) -> Option<std::net::SocketAddr> {
        self.server.ops
    }

    /// A connection to the server.
    pub async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    /// A client of every service, over a connection of its own.
    pub async fn client(&self) -> Client {
        Client::new(self.channel().await)
    }

    /// The mails that were sent so far, their lines as they were before they were cut for sending.
    pub fn mails(&self) -> Vec<String> {
        let Ok(files) = fs::read_dir(self.folder.path().join("mails")) else { return Vec::new() };
        let files = files
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "eml"));
        files.map(|path| fs::read_to_string(path).unwrap().replace("=\r\n", "")).collect()
    }

    /// Drains and stops.
    pub async fn stop(self) {
        self.server.stop().await.unwrap();
    }
}

/// Returns once `condition` holds, which nothing else tells of.
pub async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Returns once a table, which may come with a condition, has so many rows.
pub async fn wait_for_rows(store: &Store, table: &str, count: i64) {
    eventually(table, move || async move { store.count(table).await == count }).await;
}

/// Makes a keyring, and returns where it is.
pub fn make_keyring(folder: &Path) -> PathBuf {
    let keyring = folder.join("keyring");
    fs::write(&keyring, &*Keyring::generate(&SystemRandom)).unwrap();
    keyring
}

/// What every server needs, and then what the test says.
fn settings_files(folder: &Path, database: &Database, toml: &str) -> [PathBuf; 2] {
    let url = match database {
        Database::Sqlite => format!("sqlite:{}", folder.join("vestibule.db").display()),
        Database::Url(url) => url.clone(),
    };
    let common = format!(
        "database.url = '{url}'\n\
         grpc.listen = '127.0.0.1:0'\n\
         mail.sender = 'file'\n\
         mail.file.directory = '{}'\n\
         secrets.keyring_file = '{}'\n",
        folder.join("mails").display(),
        make_keyring(folder).display()
    );
    [("common.toml", common.as_str()), ("test.toml", toml)].map(|(name, text)| {
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        file
    })
}
