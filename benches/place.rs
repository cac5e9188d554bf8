//! Where a measurement runs: a folder with a keyring, and a database of its own in either store.

use std::{fmt, fs, path::PathBuf, sync::Arc};

use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use vestibule::{
    config::Settings,
    random::SystemRandom,
    repository::Repository,
    sealing::Keyring,
    server::{self, Outside, Server},
};

#[allow(
    dead_code,
    clippy::expect_used,
    clippy::format_collect,
    clippy::indexing_slicing,
    clippy::similar_names,
    clippy::single_match_else,
    reason = "the tests' own, who allow themselves more"
)]
#[path = "../tests/it/support/postgres.rs"]
mod postgres;

/// The stores, each of which is measured.
pub const STORES: [Store; 2] = [Store::Sqlite, Store::Postgres];

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Sqlite,
    Postgres,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "Postgres",
        })
    }
}

/// A place with an empty, migrated database; it lasts until [`Place::clear`].
pub struct Place {
    folder: TempDir,
    database: Option<postgres::Database>,
}

impl Place {
    pub async fn new(store: Store) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("keyring"), &*Keyring::generate(&SystemRandom)).unwrap();
        let database = match store {
            Store::Sqlite => None,
            Store::Postgres => Some(postgres::Database::create().await),
        };
        let place = Self { folder, database };
        let repository = place.repository(&place.settings("")).await;
        repository.migrate().await.unwrap();
        repository.close().await;
        place
    }

    /// Where the database is.
    pub fn url(&self) -> String {
        let file = || format!("sqlite:{}", self.file("vestibule.db").display());
        self.database.as_ref().map_or_else(file, postgres::Database::url)
    }

    /// The settings of a service here, and some more.
    pub fn settings(&self, more: &str) -> Settings {
        let settings = format!(
            "database.url = '{}'\nsecrets.keyring_file = '{}'\ngrpc.listen = '127.0.0.1:0'\n\
             access.anonymous = 'loopback'\n{more}",
            self.url(),
            self.file("keyring").display(),
        );
        let file = self.file("settings.toml");
        fs::write(&file, settings).unwrap();
        Settings::load(&[file], &[]).unwrap()
    }

    pub async fn repository(&self, settings: &Settings) -> Arc<dyn Repository> {
        server::open_repository(settings).await.unwrap()
    }

    /// Starts a service here, and connects with it.
    pub async fn serve(&self, settings: &Settings) -> (Server, Channel) {
        let server = Server::start(settings, Outside::default()).await.unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
        let channel = endpoint.connect().await.unwrap();
        (server, channel)
    }

    /// Deletes everything.
    pub async fn clear(self) {
        if let Some(database) = self.database {
            database.drop().await;
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
