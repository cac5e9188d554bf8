//! The store on SQLite, and what its parts share: the rows, the errors.

mod activation_codes;
mod bell;
mod devices;
mod email_addresses;
mod event_log;
mod keys;
mod leases;
mod mail_counts;
mod mails;
mod outbox;
mod page;
mod passwords;
mod pool;
mod registrations;
mod requests;
mod selections;
mod suppressions;
mod unverified;
mod users;
mod verifications;

use std::path::Path;

use async_trait::async_trait;
use sqlx::{
    Row as _, Sqlite, SqliteConnection, SqlitePool, Transaction,
    error::DatabaseError,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteRow},
};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use self::pool::{BUSY_TIMEOUT, WAL_DELAY, create_if_missing, look, readers, writer};
use super::{READY_TIMEOUT, Repository, StorageError};
use crate::domain::{
    Timestamp,
    event::EventKind,
    locale::Locale,
    policy,
    profile::RegistrationProfile,
    site::SiteId,
    user::{User, UserId, UserState},
};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// A [`Repository`] on SQLite.
///
/// SQLite lets one connection write at a time, so there is one that writes: acts queue for it in order,
/// rather than collide in the file.
#[derive(Debug)]
pub struct SqliteRepository {
    options: SqliteConnectOptions,
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteRepository {
    /// A store in the file that `sqlite:PATH`, or a path alone, names, which is made if it is missing and opened
    /// when it is first used. The path is taken as it stands: no parameters behind it, nothing to decode in it.
    pub fn open(path_or_url: &str, max_connections: u32) -> Result<Self, StorageError> {
        let path = path_or_url.strip_prefix("sqlite:").unwrap_or(path_or_url);
        let path = path.strip_prefix("//").unwrap_or(path);
        // What SQLite itself would take for something else than the path of a file.
        if path.is_empty() || path.contains('?') || path.starts_with(':') || path.starts_with("file:") {
            let sentence = "an SQLite database is the path of a file, without parameters";
            return Err(StorageError::Database(sentence.into()));
        }
        let options = SqliteConnectOptions::new().filename(path);
        create_if_missing(Path::new(path)).map_err(|error| StorageError::Unavailable(error.into()))?;
        let options = options.foreign_keys(true).busy_timeout(BUSY_TIMEOUT);
        let (writer, readers) = (writer(&options), readers(&options, max_connections));
        Ok(Self { options, writer, readers })
    }

    /// Begins a transaction that nobody else writes beside, so that whatever it decides by stays true until it ends.
    /// Dropped before it is committed, it leaves nothing behind.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StorageError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(storage_error)
    }

    /// Deletes what is over by an instant, at most `limit` rows, and says how many: `statement` takes both, in this order.
    async fn forget(
        &self,
        statement: &'static str,
        until: Timestamp,
        limit: u32,
    ) -> Result<u32, StorageError> {
        let forgotten = sqlx::query(statement)
            .bind(until.timestamp_micros())
            .bind(i64::from(limit))
            .execute(&self.writer)
            .await
            .map_err(storage_error)?;
        Ok(u32::try_from(forgotten.rows_affected()).unwrap_or(u32::MAX))
    }

    /// Begins the first transaction on a file that may be new. Switching a new file to WAL is the one thing that
    /// does not wait for others who have it open, so that several who make it at once have to try again.
    async fn begin_first(&self) -> Result<Transaction<'static, Sqlite>, StorageError> {
        let deadline = Instant::now() + BUSY_TIMEOUT;
        loop {
            match self.begin().await {
                Err(StorageError::Conflict(_)) if Instant::now() < deadline => sleep(WAL_DELAY).await,
                begun => return begun,
            }
        }
    }
}

#[async_trait]
impl Repository for SqliteRepository {
    async fn migrate(&self) -> Result<(), StorageError> {
        // One transaction around them all keeps other processes out: the driver has no lock of its own for that.
        let mut transaction = self.begin_first().await?;
        MIGRATIONS.run_direct(None, &mut *transaction, false).await.map_err(migrate_error)?;
        transaction.commit().await.map_err(storage_error)
    }

    async fn is_ready(&self) -> Result<bool, StorageError> {
        let answer = timeout(READY_TIMEOUT, async {
            // A connection of its own, opened each time: whoever has a file open does not notice that it is gone.
            let mut connection = look(&self.options).await.map_err(storage_error)?;
            has_schema(&mut connection).await
        });
        answer.await.unwrap_or_else(|_| Err(StorageError::Unavailable("the database does not answer".into())))
    }

    async fn time(&self) -> Result<Option<Timestamp>, StorageError> {
        Ok(None)
    }

    async fn close(&self) {
        self.readers.close().await;
        // Last, so that it leaves everything in the one file.
        self.writer.close().await;
    }
}

async fn has_schema(connection: &mut SqliteConnection) -> Result<bool, StorageError> {
    let table: Option<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE name = '_sqlx_migrations'")
            .fetch_optional(&mut *connection)
            .await
            .map_err(storage_error)?;
    if table.is_none() {
        return Ok(false);
    }
    let applied: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")
            .fetch_all(connection)
            .await
            .map_err(storage_error)?;
    Ok(MIGRATIONS.iter().all(|migration| applied.contains(&migration.version)))
}

/// The columns of `users` that [`user`] reads.
macro_rules! user_columns {
    () => {
        "id, username, email, email_verified, state, create_time, activate_time, disable_time, last_login_time, \
         site, locale, profile_issue_time, profile_expire_time, profile_activate_time"
    };
}
use user_columns;

/// Reads a row of `user_columns!`.
fn user(row: &SqliteRow) -> Result<User, StorageError> {
    let state: &str = row.try_get("state").map_err(storage_error)?;
    let site: &str = row.try_get("site").map_err(storage_error)?;
    let locale: Option<&str> = row.try_get("locale").map_err(storage_error)?;
    let locale = locale.map(Locale::parse).transpose();
    let profile = match optional_instant(row, "profile_issue_time")? {
        None => None,
        Some(issue_time) => Some(RegistrationProfile {
            issue_time,
            expire_time: instant(row, "profile_expire_time")?,
            activate_time: optional_instant(row, "profile_activate_time")?,
        }),
    };
    Ok(User {
        id: UserId(id(row, "id")?),
        username: row.try_get("username").map_err(storage_error)?,
        email: row.try_get("email").map_err(storage_error)?,
        email_verified: row.try_get("email_verified").map_err(storage_error)?,
        state: UserState::from_name(state).ok_or(StorageError::Corrupt("a user's state"))?,
        create_time: instant(row, "create_time")?,
        activate_time: optional_instant(row, "activate_time")?,
        disable_time: optional_instant(row, "disable_time")?,
        last_login_time: optional_instant(row, "last_login_time")?,
        site: SiteId::parse(site).map_err(|_| StorageError::Corrupt("a user's site"))?,
        locale: locale.map_err(|_| StorageError::Corrupt("a user's locale"))?,
        profile,
    })
}

/// Reads an instant, which is kept in microseconds since 1970.
fn instant(row: &SqliteRow, column: &str) -> Result<Timestamp, StorageError> {
    optional_instant(row, column)?.ok_or(StorageError::Corrupt("a missing instant"))
}

/// Reads an instant that may be absent.
fn optional_instant(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StorageError> {
    let micros: Option<i64> = row.try_get(column).map_err(storage_error)?;
    let Some(micros) = micros else { return Ok(None) };
    Timestamp::from_timestamp_micros(micros)
        .filter(|instant| (policy::min_time()..=policy::max_time()).contains(instant))
        .map(Some)
        .ok_or(StorageError::Corrupt("an instant"))
}

/// Reads an id, which is kept as the 16 bytes of a UUID.
fn id(row: &SqliteRow, column: &str) -> Result<Uuid, StorageError> {
    let bytes: &[u8] = row.try_get(column).map_err(storage_error)?;
    Uuid::from_slice(bytes).map_err(|_| StorageError::Corrupt("an id"))
}

/// Finds a user inside a transaction, where nobody else can change it (X17).
async fn lock_user(
    transaction: &mut Transaction<'_, Sqlite>,
    id: UserId,
) -> Result<Option<User>, StorageError> {
    sqlx::query(concat!("SELECT ", user_columns!(), " FROM users WHERE id = $1"))
        .bind(id.0)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(storage_error)?
        .as_ref()
        .map(user)
        .transpose()
}

/// Appends an event that tells of a user and nothing else.
async fn append_event(
    transaction: &mut Transaction<'_, Sqlite>,
    kind: EventKind,
    user_id: UserId,
    now: i64,
) -> Result<(), StorageError> {
    sqlx::query("INSERT INTO events (kind, create_time, user_id) VALUES ($1, $2, $3)")
        .bind(kind.as_str())
        .bind(now)
        .bind(user_id.0)
        .execute(&mut **transaction)
        .await
        .map_err(storage_error)?;
    Ok(())
}

/// Somebody else writes.
const BUSY: u32 = 5;

/// What went wrong, without where: the low byte of SQLite's code.
fn primary_code(error: &dyn DatabaseError) -> u32 {
    let code: u32 = error.code().and_then(|code| code.parse().ok()).unwrap_or_default();
    code & 0xff
}

/// Sorts what the driver says by what a caller can do about it.
#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else the driver says is a fault of ours")]
fn storage_error(error: sqlx::Error) -> StorageError {
    match &error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StorageError::Unavailable(error.into()),
        sqlx::Error::Database(database) => {
            match primary_code(&**database) {
                // busy, locked
                BUSY | 6 => StorageError::Conflict(error.into()),
                // no permission, out of memory, read-only, I/O error, full, can't open, too many at the log's locks
                3 | 7 | 8 | 10 | 13 | 14 | 15 => StorageError::Unavailable(error.into()),
                _ => StorageError::Database(error.into()),
            }
        }
        _ => StorageError::Database(error.into()),
    }
}

/// Sorts what a migration says: a statement's error is one like any other.
#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else the driver says is a fault of ours")]
fn migrate_error(error: MigrateError) -> StorageError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => storage_error(error),
        _ => StorageError::Database(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use tempfile::TempDir;

    use super::*;

    /// A migrated store in a folder of its own.
    async fn store() -> (TempDir, SqliteRepository) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("vestibule.db");
        let repository = SqliteRepository::open(path.to_str().unwrap(), 2).unwrap();
        repository.migrate().await.unwrap();
        (folder, repository)
    }

    async fn insert_user(
        repository: &SqliteRepository,
        number: u8,
        create_time: i64,
    ) -> Result<(), StorageError> {
        let mut transaction = repository.begin().await?;
        sqlx::query(
            "INSERT INTO users (
                 id, username, username_key, state, site, create_time,
                 email, email_domain, email_verified, any_email_verified
             )
             VALUES ($1, printf('%d', $2), printf('%d', $2), 'PENDING', 'default', $3, $4, 'a.example', 0, 0)",
        )
        .bind(Uuid::from_u128(number.into()))
        .bind(number)
        .bind(create_time)
        .bind("a".repeat(2000))
        .execute(&mut *transaction)
        .await
        .map_err(storage_error)?;
        transaction.commit().await.map_err(storage_error)
    }

    #[tokio::test]
    async fn only_the_owner_can_read_the_files() {
        let (folder, repository) = store().await;
        insert_user(&repository, 1, 0).await.unwrap();
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
        assert_eq!(files.len(), 3, "{files:?}");
        for file in files {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        }
        repository.close().await;
        // Everything is in the one file again.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_file_that_is_there_keeps_its_mode_and_its_users() {
        let (folder, repository) = store().await;
        insert_user(&repository, 1, 0).await.unwrap();
        repository.close().await;
        let path = folder.path().join("vestibule.db");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let url = format!("sqlite://{}", path.display());
        let again = SqliteRepository::open(&url, 2).unwrap();
        assert!(again.is_ready().await.unwrap());
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(&again.readers).await.unwrap();
        assert_eq!(count, 1);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        again.close().await;
    }

    #[tokio::test]
    async fn what_is_committed_survives_a_crash() {
        let (folder, repository) = store().await;
        insert_user(&repository, 1, 0).await.unwrap();
        // What is on the disk while the store is open is what a crash leaves behind.
        let crashed = TempDir::new().unwrap();
        for file in ["vestibule.db", "vestibule.db-wal"] {
            fs::copy(folder.path().join(file), crashed.path().join(file)).unwrap();
        }
        let path = crashed.path().join("vestibule.db");
        let again = SqliteRepository::open(path.to_str().unwrap(), 2).unwrap();
        assert!(again.is_ready().await.unwrap());
        insert_user(&again, 1, 0).await.unwrap_err();
        insert_user(&again, 2, 0).await.unwrap();
        again.close().await;
        repository.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn processes_that_make_a_database_at_once_do_each_other_no_harm() {
        for _ in 0..20 {
            let folder = TempDir::new().unwrap();
            let path = folder.path().join("vestibule.db");
            let mut processes = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let path = path.clone();
                processes.spawn(async move {
                    let repository = SqliteRepository::open(path.to_str().unwrap(), 2).unwrap();
                    repository.is_ready().await.unwrap();
                    repository.migrate().await.unwrap();
                    assert!(repository.is_ready().await.unwrap());
                    repository.close().await;
                });
            }
            processes.join_all().await;
        }
    }

    #[test]
    fn what_is_no_path_of_a_file_is_refused() {
        for url in ["", "sqlite:", "sqlite://", "sqlite::memory:", ":memory:", "a.db?mode=rwc", "file:a.db"] {
            assert!(matches!(SqliteRepository::open(url, 1), Err(StorageError::Database(_))), "{url}");
        }
        let nowhere = SqliteRepository::open("sqlite:/nowhere/at/all.db", 1);
        assert!(matches!(nowhere, Err(StorageError::Unavailable(_))), "{nowhere:?}");
    }

    #[tokio::test]
    async fn a_commit_is_on_the_disk_before_it_is_acknowledged() {
        let (_folder, repository) = store().await;
        let mode: String =
            sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&repository.writer).await.unwrap();
        let synchronous: i64 =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(&repository.writer).await.unwrap();
        let foreign_keys: bool =
            sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&repository.writer).await.unwrap();
        assert_eq!((&*mode, synchronous, foreign_keys), ("wal", 2, true));
        repository.close().await;
    }

    #[tokio::test]
    async fn a_reader_can_not_write() {
        let (_folder, repository) = store().await;
        let written = sqlx::query("DELETE FROM users").execute(&repository.readers).await;
        assert!(matches!(storage_error(written.unwrap_err()), StorageError::Unavailable(_)));
        repository.close().await;
    }

    #[tokio::test]
    async fn x21_an_instant_out_of_range_is_corrupt() {
        let (_folder, repository) = store().await;
        let id = UserId(Uuid::from_u128(1));
        for (micros, fits) in [
            (policy::min_time().timestamp_micros(), true),
            (policy::min_time().timestamp_micros() - 1, false),
            (policy::max_time().timestamp_micros(), true),
            (policy::max_time().timestamp_micros() + 1, false),
            (i64::MIN, false),
            (i64::MAX, false),
        ] {
            insert_user(&repository, 1, micros).await.unwrap();
            let mut transaction = repository.begin().await.unwrap();
            let found = lock_user(&mut transaction, id).await;
            assert_eq!(found.is_ok(), fits, "{micros}: {found:?}");
            assert!(fits || matches!(found, Err(StorageError::Corrupt("an instant"))), "{micros}");
            sqlx::query("DELETE FROM users").execute(&mut *transaction).await.unwrap();
            transaction.commit().await.unwrap();
        }
        repository.close().await;
    }

    #[tokio::test]
    async fn a_full_disk_is_unavailable_and_the_store_recovers_when_there_is_room() {
        let (_folder, repository) = store().await;
        let mut writer = repository.writer.acquire().await.unwrap();
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *writer).await.unwrap();
        // The limit lasts as long as the connection.
        sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}")))
            .execute(&mut *writer)
            .await
            .unwrap();
        drop(writer);
        let mut numbers = 0..100;
        let full = loop {
            if let Err(error) = insert_user(&repository, numbers.next().unwrap(), 0).await {
                break error;
            }
        };
        assert!(matches!(full, StorageError::Unavailable(_)), "{full:?}");
        let mut recovered = Err(full);
        for number in numbers.by_ref().take(3) {
            recovered = insert_user(&repository, number, 0).await;
        }
        assert!(recovered.is_ok(), "{recovered:?}");
        repository.close().await;
    }

    #[tokio::test]
    async fn a_database_that_somebody_else_keeps_writing_to_is_a_conflict() {
        let (folder, repository) = store().await;
        let path = folder.path().join("vestibule.db");
        let other = SqliteRepository::open(path.to_str().unwrap(), 1).unwrap();
        let held = other.begin().await.unwrap();
        let error = insert_user(&repository, 1, 0).await.unwrap_err();
        assert!(matches!(error, StorageError::Conflict(_)), "{error:?}");
        held.rollback().await.unwrap();
        insert_user(&repository, 1, 0).await.unwrap();
        other.close().await;
        repository.close().await;
    }
}
