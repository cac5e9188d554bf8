//! The connections with the file: one that writes, some that read, and a look at whether it can be written to.

use std::{fs, io, os::unix::fs::OpenOptionsExt as _, path::Path, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, Error, Sqlite, SqliteConnection, SqlitePool,
    pool::PoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{BUSY, primary_code};

/// How long a call waits for a connection: less than any deadline here, unlike the driver's 30 s.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a call waits for another process that writes: less than those who queue behind it.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the look waits for whoever writes.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);
/// How far apart the attempts are to switch a new file to WAL.
pub(super) const WAL_DELAY: Duration = Duration::from_millis(20);

/// The one connection that writes.
pub(super) fn writer(options: &SqliteConnectOptions) -> SqlitePool {
    // Full: in WAL mode a commit is on the disk before it is acknowledged, also when the power goes.
    let options = options.clone().journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    pool(1).connect_lazy_with(options)
}

/// Connections that can't write.
pub(super) fn readers(options: &SqliteConnectOptions, max_connections: u32) -> SqlitePool {
    pool(max_connections).connect_lazy_with(options.clone().pragma("query_only", "ON"))
}

fn pool(max_connections: u32) -> PoolOptions<Sqlite> {
    SqlitePoolOptions::new().max_connections(max_connections).acquire_timeout(ACQUIRE_TIMEOUT).after_release(
        |connection, _| {
            Box::pin(async move {
                // The driver counts transactions by itself and misses it when SQLite rolls one back on its own,
                // on a full disk for one: such a connection would never begin another.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        },
    )
}

/// Makes the file, readable to its owner only, for it holds password hashes; SQLite's other files take after it.
pub(super) fn create_if_missing(path: &Path) -> io::Result<()> {
    // Not opened if it exists: closing it would release the locks that this process may hold on it.
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A new connection with the file, which is there and can be written to, be it by somebody else just now.
pub(super) async fn look(options: &SqliteConnectOptions) -> Result<SqliteConnection, Error> {
    let mut connection = options.clone().busy_timeout(LOOK_TIMEOUT).connect().await?;
    match sqlx::raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(&mut connection).await {
        Err(Error::Database(error)) if primary_code(&*error) == BUSY => Ok(connection),
        Err(error) => Err(error),
        Ok(_) => Ok(connection),
    }
}
