//! The store on Postgres, and what its parts share: the rows, the errors.

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

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{
    Connection as _, Executor as _, Row as _,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgRow},
};
use tokio::time::timeout;
use uuid::Uuid;

use self::pool::{Pool, Transaction};
use super::{READY_TIMEOUT, Repository, StorageError};
use crate::domain::{
    Timestamp,
    event::EventKind,
    locale::Locale,
    profile::RegistrationProfile,
    site::SiteId,
    user::{User, UserId, UserState},
};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// A migration takes as long as it takes, whatever the role's own settings are.
const UNBOUNDED: &str =
    "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0";

/// A [`Repository`] on Postgres.
#[derive(Debug)]
pub struct PostgresRepository {
    pool: Pool,
    /// One more session, so that readiness depends on no free place among the others.
    probe: Pool,
}

impl PostgresRepository {
    /// A store at `url`, which is asked for the first time when it is first used. An act that takes longer than
    /// `act_timeout` is given up.
    pub fn connect(url: &str, max_connections: u32, act_timeout: Duration) -> Result<Self, StorageError> {
        let options: PgConnectOptions = url.parse().map_err(storage_error)?;
        let options = options.application_name("vestibule");
        let pool = Pool::new(options.clone(), max_connections, act_timeout);
        let probe = Pool::new(options, 1, READY_TIMEOUT);
        Ok(Self { pool, probe })
    }

    /// Begins a transaction, which leaves nothing behind if it is dropped before it is committed.
    async fn begin(&self, statement: &'static str) -> Result<Transaction, StorageError> {
        self.pool.begin(statement).await.map_err(storage_error)
    }

    /// Deletes what is over by an instant, at most `limit` rows, and says how many: `statement` takes both, in this order.
    async fn forget(
        &self,
        statement: &'static str,
        until: Timestamp,
        limit: u32,
    ) -> Result<u32, StorageError> {
        let forgotten = sqlx::query(statement)
            .bind(until)
            .bind(i64::from(limit))
            .execute(&self.pool)
            .await
            .map_err(storage_error)?;
        Ok(u32::try_from(forgotten.rows_affected()).unwrap_or(u32::MAX))
    }

    async fn has_schema(&self) -> Result<bool, StorageError> {
        let table: Option<String> = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations')::text")
            .fetch_one(&self.probe)
            .await
            .map_err(storage_error)?;
        if table.is_none() {
            return Ok(false);
        }
        let applied: Vec<i64> =
            sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")
                .fetch_all(&self.probe)
                .await
                .map_err(storage_error)?;
        Ok(MIGRATIONS.iter().all(|migration| applied.contains(&migration.version)))
    }
}

#[async_trait]
impl Repository for PostgresRepository {
    async fn migrate(&self) -> Result<(), StorageError> {
        // A session of its own, closed whatever happens: it holds a lock against others who migrate.
        let mut connection = self.pool.open_apart().await.map_err(storage_error)?;
        connection.execute(sqlx::raw_sql(UNBOUNDED)).await.map_err(storage_error)?;
        MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(migrate_error)?;
        connection.close().await.map_err(storage_error)
    }

    async fn is_ready(&self) -> Result<bool, StorageError> {
        let answer = timeout(READY_TIMEOUT, self.has_schema()).await;
        answer.unwrap_or_else(|_| Err(StorageError::Unavailable("the database does not answer".into())))
    }

    async fn time(&self) -> Result<Option<Timestamp>, StorageError> {
        let time = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&self.pool).await;
        time.map(Some).map_err(storage_error)
    }

    async fn close(&self) {
        self.pool.close().await;
        self.probe.close().await;
    }
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
fn user(row: &PgRow) -> Result<User, StorageError> {
    let state: &str = row.try_get("state").map_err(storage_error)?;
    let site: &str = row.try_get("site").map_err(storage_error)?;
    let locale: Option<&str> = row.try_get("locale").map_err(storage_error)?;
    let locale = locale.map(Locale::parse).transpose();
    let issue_time: Option<_> = row.try_get("profile_issue_time").map_err(storage_error)?;
    let profile = match issue_time {
        None => None,
        Some(issue_time) => Some(RegistrationProfile {
            issue_time,
            expire_time: row.try_get("profile_expire_time").map_err(storage_error)?,
            activate_time: row.try_get("profile_activate_time").map_err(storage_error)?,
        }),
    };
    Ok(User {
        id: UserId(row.try_get::<Uuid, _>("id").map_err(storage_error)?),
        username: row.try_get("username").map_err(storage_error)?,
        email: row.try_get("email").map_err(storage_error)?,
        email_verified: row.try_get("email_verified").map_err(storage_error)?,
        state: UserState::from_name(state).ok_or(StorageError::Corrupt("a user's state"))?,
        create_time: row.try_get("create_time").map_err(storage_error)?,
        activate_time: row.try_get("activate_time").map_err(storage_error)?,
        disable_time: row.try_get("disable_time").map_err(storage_error)?,
        last_login_time: row.try_get("last_login_time").map_err(storage_error)?,
        site: SiteId::parse(site).map_err(|_| StorageError::Corrupt("a user's site"))?,
        locale: locale.map_err(|_| StorageError::Corrupt("a user's locale"))?,
        profile,
    })
}

/// Locks a user's row, so that whatever the transaction decides by stays true until it ends (X17).
async fn lock_user(transaction: &mut Transaction, id: UserId) -> Result<Option<User>, StorageError> {
    sqlx::query(concat!("SELECT ", user_columns!(), " FROM users WHERE id = $1 FOR UPDATE"))
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
    transaction: &mut Transaction,
    kind: EventKind,
    user_id: UserId,
    now: Timestamp,
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

/// Sorts what the driver says by what a caller can do about it.
#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else the driver says is a fault of ours")]
fn storage_error(error: sqlx::Error) -> StorageError {
    match &error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StorageError::Unavailable(error.into()),
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default().into_owned();
            match code.as_bytes() {
                // Whether it was done is unknown (statement_completion_unknown): no conflict that leaves nothing behind.
                b"40003" => StorageError::Unavailable(error.into()),
                // transaction_rollback, of which are serialization_failure and deadlock_detected; lock_not_available
                [b'4', b'0', ..] | b"55P03" => StorageError::Conflict(error.into()),
                // read_only_sql_transaction; a transaction that was idle or open for too long; io_error
                b"25006" | b"25P03" | b"25P04" | b"58030" => StorageError::Unavailable(error.into()),
                // connection exceptions; a login or a database that is not there; insufficient resources; operator
                // intervention, of which is query_canceled, the end of a statement that takes too long
                [b'0' | b'2', b'8', ..] | [b'3', b'D', ..] | [b'5', b'3' | b'7', ..] => {
                    StorageError::Unavailable(error.into())
                }
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
