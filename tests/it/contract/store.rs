//! A store under test, with a back door to its database for what no act of the program does or shows.

use std::{future::Future, ops::Deref, sync::Arc, time::Duration};

use sqlx::{
    AssertSqlSafe, PgPool, SqlitePool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tempfile::TempDir;
use tokio::{task::JoinSet, time::timeout};
use uuid::Uuid;
use vestibule::{
    domain::{
        Timestamp,
        delivery::{MailLease, Settled, Settlement},
        mail::MailId,
    },
    repository::{
        Claim, ClaimRequest, Repository, StorageError, postgres::PostgresRepository, sqlite::SqliteRepository,
    },
};

use crate::support::{night::patience, postgres::Database};

/// The tables, those of a user first.
pub const TABLES: [&str; 9] = [
    "users",
    "email_addresses",
    "verified_email_addresses",
    "activation_keys",
    "activation_codes",
    "verification_keys",
    "known_devices",
    "mails",
    "events",
];

/// The tables that registering and activating write to.
const REGISTRATION_TABLES: [&str; 6] =
    ["users", "email_addresses", "verified_email_addresses", "activation_keys", "mails", "events"];

/// The tables that hold nothing of a user.
const OTHER_TABLES: [&str; 3] = ["requests", "mail_counts", "suppressions"];

/// Far longer than any call takes.
const PATIENCE: Duration = Duration::from_mins(5);

/// A fresh, migrated store; what a [`Repository`] can do can be done to it directly.
#[derive(Clone)]
pub struct Store {
    repository: Arc<dyn Repository>,
    raw: Raw,
    url: String,
}

#[derive(Clone)]
enum Raw {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl Deref for Store {
    type Target = dyn Repository;

    fn deref(&self) -> &Self::Target {
        &*self.repository
    }
}

/// Runs a case on a Postgres database of its own.
pub async fn on_postgres<F: Future<Output = ()> + Send + 'static>(case: fn(Store) -> F) {
    let database = Database::create().await;
    let url = database.url();
    let repository = PostgresRepository::connect(&url, 10, PATIENCE).unwrap();
    let raw = PgPoolOptions::new().max_connections(2).connect(&url).await.unwrap();
    let store = Store { repository: Arc::new(repository), raw: Raw::Postgres(raw.clone()), url };
    let outcome = run(case, store.clone()).await;
    store.close().await;
    raw.close().await;
    database.drop().await;
    outcome.unwrap();
}

/// Runs a case on an SQLite file of its own.
pub async fn on_sqlite<F: Future<Output = ()> + Send + 'static>(case: fn(Store) -> F) {
    let (store, _folder) = Store::sqlite().await;
    let outcome = run(case, store.clone()).await;
    store.close().await;
    if let Raw::Sqlite(raw) = &store.raw {
        raw.close().await;
    }
    outcome.unwrap();
}

/// Runs a case to its end, be it a panic, so that the database is deleted in either case.
async fn run<F: Future<Output = ()> + Send + 'static>(
    case: fn(Store) -> F,
    store: Store,
) -> Result<(), tokio::task::JoinError> {
    let mut task = JoinSet::new();
    task.spawn(async move { timeout(patience(), case(store)).await.expect("the case ends") });
    task.join_next().await.unwrap()
}

impl Store {
    /// A store on an SQLite file that goes with its folder.
    pub async fn sqlite() -> (Self, TempDir) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("vestibule.db");
        let url = format!("sqlite:{}", path.display());
        let repository = SqliteRepository::open(&url, 4).unwrap();
        repository.migrate().await.unwrap();
        let options = SqliteConnectOptions::new().filename(&path);
        let raw = SqlitePoolOptions::new().max_connections(2).connect_with(options).await.unwrap();
        (Self { repository: Arc::new(repository), raw: Raw::Sqlite(raw), url }, folder)
    }

    /// Another process's view of the same database.
    pub fn another(&self, max_connections: u32) -> Arc<dyn Repository> {
        match self.raw {
            Raw::Postgres(_) => {
                Arc::new(PostgresRepository::connect(&self.url, max_connections, PATIENCE).unwrap())
            }
            Raw::Sqlite(_) => Arc::new(SqliteRepository::open(&self.url, max_connections).unwrap()),
        }
    }

    /// Claims mails, none of whose domains rests.
    pub async fn claim_mails(
        &self,
        now: Timestamp,
        lease_expire_time: Timestamp,
        claim_token: Uuid,
        limit: u32,
    ) -> Result<Claim, StorageError> {
        let resting = Vec::new();
        let request = ClaimRequest { now, lease_expire_time, claim_token, limit, resting };
        self.repository.claim_mails(&request).await
    }

    /// Settles one mail; true if it did.
    pub async fn settle_mail(
        &self,
        id: MailId,
        claim_token: Uuid,
        settlement: &Settlement,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let lease = MailLease { id, claim_token };
        let settled = Settled { lease, settlement: settlement.clone() };
        Ok(self.repository.settle_mails(&[settled], now).await? == [id])
    }

    /// Where the database is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The back door itself, where a case needs a transaction that stays open.
    pub fn postgres(&self) -> &PgPool {
        match &self.raw {
            Raw::Postgres(pool) => pool,
            Raw::Sqlite(_) => panic!("not a Postgres store"),
        }
    }

    /// Returns once some session on the Postgres database waits for a lock.
    pub async fn wait_for_a_lock(&self) {
        let waiting = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while self.count(waiting).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// An id in SQL.
    pub fn id(&self, id: Uuid) -> String {
        match self.raw {
            Raw::Postgres(_) => format!("'{id}'::uuid"),
            Raw::Sqlite(_) => format!("X'{}'", id.simple()),
        }
    }

    /// An id in SQL, made of an expression that is a small number.
    pub fn id_of(&self, number: &str) -> String {
        match self.raw {
            Raw::Postgres(_) => format!("lpad(to_hex({number}), 32, '0')::uuid"),
            Raw::Sqlite(_) => format!("unhex(printf('%032x', {number}))"),
        }
    }

    /// An instant in SQL.
    pub fn at(&self, instant: Timestamp) -> String {
        match self.raw {
            Raw::Postgres(_) => format!("'{}'::timestamptz", instant.to_rfc3339()),
            Raw::Sqlite(_) => instant.timestamp_micros().to_string(),
        }
    }

    /// An instant in SQL, a number of microseconds after another.
    pub fn after(&self, instant: Timestamp, micros: &str) -> String {
        match self.raw {
            Raw::Postgres(_) => format!("({} + ({micros}) * interval '1 microsecond')", self.at(instant)),
            Raw::Sqlite(_) => format!("({} + ({micros}))", self.at(instant)),
        }
    }

    /// Sets something for every session with the Postgres database that begins from now on.
    pub async fn set(&self, setting: &str) {
        let database = self.texts("SELECT current_database()::text").await.concat();
        self.execute(format!("ALTER DATABASE {database} SET {setting}")).await;
    }

    /// Runs a statement, and says how many rows it touched.
    pub async fn execute(&self, statement: impl Into<String>) -> u64 {
        let statement = statement.into();
        let query = AssertSqlSafe(statement.clone());
        match &self.raw {
            Raw::Postgres(pool) => sqlx::query(query).execute(pool).await.map(|done| done.rows_affected()),
            Raw::Sqlite(pool) => sqlx::query(query).execute(pool).await.map(|done| done.rows_affected()),
        }
        .unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// The one column that a query gives, as text.
    pub async fn texts(&self, query: impl Into<String>) -> Vec<String> {
        let query = query.into();
        let sql = AssertSqlSafe(query.clone());
        match &self.raw {
            Raw::Postgres(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
            Raw::Sqlite(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
        }
        .unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// How many rows a table has, which may come with a condition.
    pub async fn count(&self, table: &str) -> i64 {
        let query = format!("SELECT count(*) FROM {table}");
        let sql = AssertSqlSafe(query.clone());
        match &self.raw {
            Raw::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
            Raw::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
        }
        .unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// How many rows each of [`REGISTRATION_TABLES`] has.
    pub async fn counts(&self) -> [i64; REGISTRATION_TABLES.len()] {
        let mut counts = [0; REGISTRATION_TABLES.len()];
        for (table, count) in REGISTRATION_TABLES.iter().zip(&mut counts) {
            *count = self.count(table).await;
        }
        counts
    }

    /// Everything there is, row by row.
    pub async fn contents(&self) -> Vec<String> {
        let mut contents = Vec::new();
        for table in TABLES.into_iter().chain(OTHER_TABLES) {
            let row = match self.raw {
                // Numbers are given to events later, by whoever serves the database.
                Raw::Postgres(_) => format!("(to_jsonb({table}) - 'number')::text"),
                Raw::Sqlite(_) => {
                    let columns = format!("SELECT 'quote(' || name || ')' FROM pragma_table_info('{table}')");
                    self.texts(columns).await.join(" || ',' || ")
                }
            };
            contents.extend(self.texts(format!("SELECT '{table} ' || {row} FROM {table} ORDER BY 1")).await);
        }
        contents
    }

    /// What happened to a user, in order; a deletion with its reason.
    pub async fn events(&self, user_id: Uuid) -> Vec<String> {
        self.texts(format!(
            "SELECT kind || coalesce(' ' || deletion_reason, '') FROM events WHERE user_id = {} ORDER BY id",
            self.id(user_id)
        ))
        .await
    }

    /// Takes the schema away, as if the store had never been migrated.
    pub async fn drop_schema(&self) {
        match self.raw {
            Raw::Postgres(_) => {
                self.execute("DROP SCHEMA public CASCADE").await;
                self.execute("CREATE SCHEMA public").await;
            }
            Raw::Sqlite(_) => {
                let tables =
                    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                    ORDER BY rowid DESC";
                for table in self.texts(tables).await {
                    self.execute(format!("DROP TABLE {table}")).await;
                }
            }
        }
    }
}
