//! The sessions with the database: every one that is handed on is idle, writable and bounded in time.
//!
//! The driver's own pool promises none of this; docs/decisions/0008 says what it does instead.

use std::{
    fmt, io, mem,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    Stream, StreamExt as _, TryStreamExt as _,
    future::{self, BoxFuture},
    stream::{self, BoxStream},
};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Describe, Either, Error, Execute, Executor,
    PgConnection, Postgres, Row as _, SqlStr,
    postgres::{PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::task::TaskTracker;

/// How long a call waits for a session, be it for a place, the look or a new connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an idle session may take to answer the look, and an unfinished transaction to be rolled back.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a session is kept that nobody needs.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);
/// How old a session becomes, so that servers and addresses that change are followed.
const MAX_AGE: Duration = Duration::from_mins(30);

/// How long a statement waits for a row that somebody else holds, in milliseconds: far longer than an act of ours holds
/// one, and short enough that a row which is held for long doesn't take every session.
const LOCK_TIMEOUT_MILLIS: u128 = 5000;

/// The look: the message that begins a transaction has one time with it, unless there was one before.
///
/// It goes as one message of the simple protocol, since in the extended one a statement is younger than
/// its transaction by the time between two messages.
const LOOK: &str = "SELECT now() = statement_timestamp(), pg_is_in_recovery(), \
                    current_setting('transaction_read_only')::boolean";

type Step = Either<PgQueryResult, PgRow>;

/// A bounded number of sessions, opened when they are needed.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    options: PgConnectOptions,
    max_connections: u32,
    act_timeout: Duration,
    /// A permit for each session that is out, or is on its way back.
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Kept>>,
    returning: TaskTracker,
}

/// A session that nobody uses.
struct Kept {
    connection: PgConnection,
    opened: Instant,
    since: Instant,
}

impl Pool {
    /// No sessions yet. An act that has its session for longer than `act_timeout` loses it.
    pub(super) fn new(options: PgConnectOptions, max_connections: u32, act_timeout: Duration) -> Self {
        let places = usize::try_from(max_connections).unwrap_or(Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner {
            options,
            max_connections,
            act_timeout,
            places: Arc::new(Semaphore::new(places)),
            idle: Mutex::default(),
            returning: TaskTracker::new(),
        }))
    }

    /// Begins a transaction; dropped before it is committed, it is rolled back or its session closed.
    pub(super) async fn begin(&self, statement: &str) -> Result<Transaction, Error> {
        let session = timeout(ACQUIRE_TIMEOUT, self.find_or_open(statement)).await;
        Ok(Transaction { session: session.map_err(|_| Error::PoolTimedOut)?? })
    }

    /// Runs a statement that is an act of its own, in a transaction of its own: without one the server would know no
    /// bound, and carry it out long after its caller was told that it failed.
    async fn run<'q, E: Execute<'q, Postgres> + 'q>(&self, query: E) -> Result<Vec<Step>, Error> {
        let mut transaction = self.begin("BEGIN").await?;
        let steps = transaction.run(query).await?;
        transaction.commit().await?;
        Ok(steps)
    }

    /// A connection that is none of the pool's, without limits.
    pub(super) async fn open_apart(&self) -> Result<PgConnection, Error> {
        timeout(ACQUIRE_TIMEOUT, self.0.options.connect()).await.map_err(|_| Error::PoolTimedOut)?
    }

    /// How sessions are opened.
    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.0.options
    }

    /// Waits for what is under way and closes every session.
    pub(super) async fn close(&self) {
        let places = self.0.places.acquire_many(self.0.max_connections).await;
        self.0.places.close();
        drop(places);
        self.0.returning.close();
        self.0.returning.wait().await;
        let idle = mem::take(&mut *self.0.idle());
        for kept in idle {
            // The server may be gone.
            let _ = timeout(LOOK_TIMEOUT, kept.connection.close()).await;
        }
    }

    async fn find_or_open(&self, statement: &str) -> Result<Session, Error> {
        let opening = self.0.opening(statement);
        let place = Arc::clone(&self.0.places).acquire_owned().await.map_err(|_| Error::PoolClosed)?;
        let found = self.0.idle().pop();
        if let Some(mut kept) = found {
            match timeout(LOOK_TIMEOUT, open(&mut kept.connection, &opening))
                .await
                .unwrap_or_else(|_| Err(silent()))
            {
                Ok(()) => return Ok(self.session(kept.connection, kept.opened, place)),
                Err(error) => {
                    // What befell one befell the others: a failover must not cost a call for each of them.
                    tracing::info!(error = %error, "an idle database session was of no use");
                    self.0.idle().clear();
                }
            }
        }
        let mut connection = self.0.options.connect().await?;
        open(&mut connection, &opening).await?;
        Ok(self.session(connection, Instant::now(), place))
    }

    fn session(&self, connection: PgConnection, opened: Instant, place: OwnedSemaphorePermit) -> Session {
        let pool = Arc::clone(&self.0);
        let deadline = Instant::now() + pool.act_timeout;
        Session {
            held: Some((connection, place)),
            opened,
            deadline,
            running: false,
            in_transaction: true,
            pool,
        }
    }
}

impl Inner {
    /// What begins a transaction, all in one message.
    ///
    /// The server ends what outlives us by itself, and is told here when: a setting of the session would be lost, or
    /// somebody else's, behind a proxy that gives each transaction another one.
    fn opening(&self, statement: &str) -> String {
        let millis = self.act_timeout.as_millis();
        let lock_millis = LOCK_TIMEOUT_MILLIS.min(millis);
        format!(
            "{statement}; SET LOCAL statement_timeout = {millis}; SET LOCAL lock_timeout = {lock_millis}; \
             SET LOCAL idle_in_transaction_session_timeout = {millis}; {LOOK}"
        )
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a session for the next who needs one; the place is free only then.
    fn put_back(&self, connection: PgConnection, opened: Instant, place: OwnedSemaphorePermit) {
        let since = Instant::now();
        let mut idle = self.idle();
        idle.retain(|kept| kept.since + IDLE_TIMEOUT > since);
        if opened + MAX_AGE > since {
            idle.push(Kept { connection, opened, since });
        }
        drop(idle);
        drop(place);
    }
}

/// Begins a transaction on a session that was outside one, and is on a server that takes writes.
async fn open(connection: &mut PgConnection, opening: &str) -> Result<(), Error> {
    let answer = connection.fetch_many(sqlx::raw_sql(AssertSqlSafe(opening.to_owned())));
    let steps: Vec<Step> = answer.try_collect().await?;
    let row = steps.into_iter().find_map(Either::right).ok_or(Error::RowNotFound)?;
    let refusal = if !row.try_get::<bool, _>(0)? {
        "the session is inside a transaction"
    } else if row.try_get(1)? {
        "the server is a standby"
    } else if row.try_get(2)? {
        "the server is read-only"
    } else {
        return Ok(());
    };
    Err(Error::Io(io::Error::other(refusal)))
}

fn silent() -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database does not answer"))
}

fn each(steps: Vec<Step>) -> impl Stream<Item = Result<Step, Error>> {
    stream::iter(steps.into_iter().map(Ok))
}

/// What the driver asks of whoever runs statements, and no act does.
fn unused<'e, T: Send + 'e>() -> BoxFuture<'e, Result<T, Error>> {
    Box::pin(future::ready(Err(Error::Configuration("statements are run, and nothing else".into()))))
}

/// A session in a transaction, which one act has to itself until its deadline.
///
/// It goes back when it is dropped, but only if every statement ran to its end: what a session is in the middle of
/// nobody knows, so that one is closed.
pub(super) struct Session {
    held: Option<(PgConnection, OwnedSemaphorePermit)>,
    opened: Instant,
    deadline: Instant,
    running: bool,
    in_transaction: bool,
    pool: Arc<Inner>,
}

impl Session {
    /// Runs a statement to its end. Whoever drops this before, or whose time is over, loses the session.
    async fn run<'q, E: Execute<'q, Postgres> + 'q>(&mut self, query: E) -> Result<Vec<Step>, Error> {
        let (deadline, connection) = self.start()?;
        let answer = timeout_at(deadline, connection.fetch_many(query).try_collect()).await;
        self.end(answer.unwrap_or_else(|_| Err(silent())))
    }

    fn start(&mut self) -> Result<(Instant, &mut PgConnection), Error> {
        // One that was cut off before is not asked again.
        if mem::replace(&mut self.running, true) {
            return Err(silent());
        }
        let (connection, _) = self.held.as_mut().ok_or(Error::PoolClosed)?;
        Ok((self.deadline, connection))
    }

    fn end<T>(&mut self, answer: Result<T, Error>) -> Result<T, Error> {
        self.running = match &answer {
            // An error that the database tells of is an end, too.
            Ok(_) | Err(Error::Database(_)) => false,
            Err(_) => true,
        };
        answer
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some((mut connection, place)) = self.held.take() else { return };
        let (pool, opened) = (Arc::clone(&self.pool), self.opened);
        if self.running {
            return;
        }
        if !self.in_transaction {
            return pool.put_back(connection, opened, place);
        }
        self.pool.returning.spawn(async move {
            let rolled_back = timeout(LOOK_TIMEOUT, connection.execute(sqlx::raw_sql("ROLLBACK"))).await;
            if let Ok(Ok(_)) = rolled_back {
                pool.put_back(connection, opened, place);
            }
        });
    }
}

/// A transaction and its session.
pub(super) struct Transaction {
    session: Session,
}

impl Transaction {
    /// Makes it last.
    pub(super) async fn commit(mut self) -> Result<(), Error> {
        self.finish("COMMIT").await
    }

    /// Takes it back, and waits for that.
    pub(super) async fn rollback(mut self) -> Result<(), Error> {
        self.finish("ROLLBACK").await
    }

    async fn finish(&mut self, statement: &'static str) -> Result<(), Error> {
        self.session.run(sqlx::raw_sql(statement)).await?;
        self.session.in_transaction = false;
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

/// Lets the driver's queries run on whatever has a `run`.
macro_rules! run_statements_on {
    ($runner:ty) => {
        impl<'c> Executor<'c> for $runner {
            type Database = Postgres;

            fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                // All at once: no act reads more than a page.
                stream::once(self.run(query)).map_ok(each).try_flatten().boxed()
            }

            fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                Box::pin(async move { Ok(self.run(query).await?.into_iter().find_map(Either::right)) })
            }

            fn prepare_with<'e>(
                self,
                _: SqlStr,
                _: &'e [PgTypeInfo],
            ) -> BoxFuture<'e, Result<PgStatement, Error>>
            where
                'c: 'e,
            {
                unused()
            }

            fn describe<'e>(self, _: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
            where
                'c: 'e,
            {
                unused()
            }
        }
    };
}

run_statements_on!(&'c mut Session);
run_statements_on!(&'c Pool);

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options may hold a password.
        f.debug_struct("Pool").field("max_connections", &self.0.max_connections).finish_non_exhaustive()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("in_transaction", &self.in_transaction).finish_non_exhaustive()
    }
}
