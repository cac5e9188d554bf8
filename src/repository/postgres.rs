//! The store on Postgres, and what its parts share: the pool, the rows, the errors.

mod outbox;
mod page;
mod registrations;
mod unverified;
mod users;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{
    PgPool, Postgres, Row as _, Transaction,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use uuid::Uuid;

use super::{Repository, StorageError};
use crate::domain::{
    Timestamp,
    profile::RegistrationProfile,
    site::SiteId,
    user::{User, UserId, UserState},
};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How long a call waits for a connection: less than any deadline here, unlike the driver's 30 s.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// A [`Repository`] on Postgres.
#[derive(Debug)]
pub struct PostgresRepository {
    pool: PgPool,
}

impl PostgresRepository {
    /// A store at `url`, which is asked for the first time when it is first used.
    pub fn connect(url: &str, max_connections: u32) -> Result<Self, StorageError> {
        let options: PgConnectOptions = url.parse().map_err(storage_error)?;
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options.application_name("vestibule"));
        Ok(Self { pool })
    }

    /// Begins a transaction, which leaves nothing behind if it is dropped before it is committed.
    ///
    /// It begins in a task of its own: if its caller went away meanwhile, the driver would take the session for an
    /// idle one, and what others write there later would be acknowledged and lost.
    #[expect(
        clippy::disallowed_methods,
        reason = "the task lasts for one statement, and closing the pool waits for it"
    )]
    async fn begin(&self, statement: &'static str) -> Result<Transaction<'static, Postgres>, StorageError> {
        let pool = self.pool.clone();
        let begun = tokio::spawn(async move { pool.begin_with(statement).await }).await;
        begun.map_err(|error| StorageError::Unavailable(error.into()))?.map_err(storage_error)
    }
}

#[async_trait]
impl Repository for PostgresRepository {
    async fn migrate(&self) -> Result<(), StorageError> {
        let mut connection = self.pool.acquire().await.map_err(storage_error)?;
        // The session holds a lock against others who migrate, and a failure must not put it back into the pool so.
        connection.close_on_drop();
        MIGRATIONS.run_direct(None, &mut *connection, false).await.map_err(migrate_error)
    }

    async fn is_ready(&self) -> Result<bool, StorageError> {
        let table: Option<String> = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations')::text")
            .fetch_one(&self.pool)
            .await
            .map_err(storage_error)?;
        if table.is_none() {
            return Ok(false);
        }
        let applied: Vec<i64> =
            sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")
                .fetch_all(&self.pool)
                .await
                .map_err(storage_error)?;
        Ok(MIGRATIONS.iter().all(|migration| applied.contains(&migration.version)))
    }

    async fn time(&self) -> Result<Option<Timestamp>, StorageError> {
        let time = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&self.pool).await;
        time.map(Some).map_err(storage_error)
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

/// The columns of `users` that [`user`] reads.
macro_rules! user_columns {
    () => {
        "id, username, email, email_verified, state, create_time, activate_time, disable_time, last_login_time, \
         site, profile_issue_time, profile_expire_time, profile_activate_time"
    };
}
use user_columns;

/// Reads a row of `user_columns!`.
fn user(row: &PgRow) -> Result<User, StorageError> {
    let state: &str = row.try_get("state").map_err(storage_error)?;
    let site: &str = row.try_get("site").map_err(storage_error)?;
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
        profile,
    })
}

/// Locks a user's row, so that whatever the transaction decides by stays true until it ends (X17).
async fn lock_user(
    transaction: &mut Transaction<'_, Postgres>,
    id: UserId,
) -> Result<Option<User>, StorageError> {
    sqlx::query(concat!("SELECT ", user_columns!(), " FROM users WHERE id = $1 FOR UPDATE"))
        .bind(id.0)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(storage_error)?
        .as_ref()
        .map(user)
        .transpose()
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
                // serialization_failure, deadlock_detected, lock_not_available
                b"40001" | b"40P01" | b"55P03" => StorageError::Conflict(error.into()),
                // read_only_sql_transaction; connection exceptions, insufficient resources, operator intervention
                b"25006" | [b'0', b'8', ..] | [b'5', b'3' | b'7', ..] => {
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
