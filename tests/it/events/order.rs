//! Writers whose transactions commit in any order, and readers who break off and go on: X20.
//!
//! The reader of the service misses nothing and meets each user's events in their order. Two that read by what an event
//! has of its own, its id or its transaction's, fail the same test.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::DateTime;
use sqlx::{PgConnection, PgPool, Postgres, Row as _, Transaction, postgres::PgPoolOptions};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tonic::{Code, Status};
use uuid::Uuid;
use vestibule::{
    grpc::proto::WatchEventsRequest,
    random::{self, SystemRandom},
};

use crate::{
    contract::{
        people::register,
        store::{Store, on_postgres},
    },
    rules::start,
    support::server::Client,
};

/// How many users the writers write of.
const USERS: usize = 40;
/// How often each of them acts.
const ACTS: usize = 4;
/// How long a transaction is open at most, beside what it waits for.
const DELAY: u64 = 40;
/// How long a watch that nothing comes from is listened to before it is broken off.
const SILENCE: Duration = Duration::from_millis(400);
/// How long a reader goes on that has not got everything when nobody writes any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// The how-manieth event of a user, from 0.
type Turn = i64;

/// What went wrong with a reader.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Skipped(usize),
    TurnedRound(Uuid),
}

/// A number up to `limit`.
fn below(limit: u64) -> u64 {
    random::number(&SystemRandom) % limit
}

/// Acts on users, and knows in which order they happened: nobody else acts on a user while its row is held.
struct Acts {
    pool: PgPool,
    users: Vec<Uuid>,
    turns: Mutex<HashMap<Uuid, Turn>>,
}

impl Acts {
    async fn of(store: &Store, connections: u32) -> Self {
        let mut users = Vec::new();
        for number in 0..USERS {
            let name = format!("user{number}");
            users.push(register(store, &name, "alice@example.com").await.0.id.0);
        }
        // Neither these nor what becomes of their mails is among the events that are counted.
        store.execute("DELETE FROM mails").await;
        store.execute("DELETE FROM events").await;
        let patience = Duration::from_secs(60);
        let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(patience);
        let pool = pool.connect(store.url()).await.unwrap();
        // Opened before anybody waits for them.
        let opened = (0..connections).map(|_| pool.acquire());
        drop(futures_util::future::try_join_all(opened).await.unwrap());
        let turns = users.iter().map(|user| (*user, 0)).collect();
        Self { pool, users, turns: Mutex::new(turns) }
    }

    async fn begin(&self) -> Transaction<'static, Postgres> {
        self.pool.begin().await.unwrap()
    }

    /// Locks the user and appends an event, as every act does; its time tells which of the user's it is.
    async fn act(&self, transaction: &mut PgConnection, user: Uuid) {
        let lock = sqlx::query("SELECT FROM users WHERE id = $1 FOR UPDATE").bind(user);
        lock.execute(&mut *transaction).await.unwrap();
        let turn = self.count(user, 1);
        sqlx::query("INSERT INTO events (kind, create_time, user_id) VALUES ('user_enabled', $1, $2)")
            .bind(DateTime::from_timestamp_micros(turn).unwrap())
            .bind(user)
            .execute(transaction)
            .await
            .unwrap();
    }

    /// Takes back an act in a transaction that still holds the user.
    async fn take_back(&self, transaction: Transaction<'static, Postgres>, user: Uuid) {
        self.count(user, -1);
        transaction.rollback().await.unwrap();
    }

    fn count(&self, user: Uuid, step: Turn) -> Turn {
        let mut turns = self.turns.lock().unwrap();
        let turn = turns.get_mut(&user).unwrap();
        *turn += step;
        *turn - step
    }

    fn total(&self) -> usize {
        usize::try_from(self.turns.lock().unwrap().values().sum::<Turn>()).unwrap()
    }

    /// Acts on users at random, each transaction with a life and a delay of its own.
    async fn write(&self) {
        for _ in 0..ACTS {
            let user = self.users[usize::try_from(below(USERS as u64)).unwrap()];
            let mut transaction = self.begin().await;
            if below(3) == 0 {
                begin_to_write(&mut transaction).await;
                sleep(Duration::from_millis(below(DELAY))).await;
            }
            self.act(&mut transaction, user).await;
            sqlx::query("SELECT pg_sleep($1)")
                .bind(f64::from(u32::try_from(below(DELAY)).unwrap()) / 1000.0)
                .execute(&mut *transaction)
                .await
                .unwrap();
            if below(10) == 0 {
                self.take_back(transaction, user).await;
            } else {
                transaction.commit().await.unwrap();
            }
        }
    }

    /// Whether a reader has met every event once, and each user's in order.
    fn check(&self, seen: &[(Uuid, Turn)]) -> Result<(), Fault> {
        let turns = self.turns.lock().unwrap();
        let mut met: HashMap<Uuid, Vec<Turn>> = HashMap::new();
        for (user, turn) in seen {
            met.entry(*user).or_default().push(*turn);
        }
        let skipped: usize = turns
            .iter()
            .map(|(user, count)| {
                let met = met.get(user).map_or(&[][..], Vec::as_slice);
                (0..*count).filter(|turn| !met.contains(turn)).count()
            })
            .sum();
        if skipped > 0 {
            return Err(Fault::Skipped(skipped));
        }
        let in_order = |user: &Uuid| met.get(user).is_none_or(|met| met.is_sorted());
        let turned = turns.keys().find(|user| !in_order(user));
        turned.map_or(Ok(()), |user| Err(Fault::TurnedRound(*user)))?;
        assert_eq!(seen.len(), usize::try_from(turns.values().sum::<Turn>()).unwrap(), "nothing comes twice");
        Ok(())
    }
}

/// Gives a transaction its id, as anything does that it writes before it comes to the user.
async fn begin_to_write(transaction: &mut PgConnection) {
    sqlx::query("SELECT pg_current_xact_id()").execute(transaction).await.unwrap();
}

/// A way to read events, each time from where it left off.
enum Reader {
    /// WatchEvents of one server or another, broken off after some messages.
    Watch { servers: Vec<Client>, after: String },
    /// By the events' ids.
    Id { pool: PgPool, last: i64 },
    /// By their transactions' ids, up to the oldest transaction that still runs.
    Transaction { pool: PgPool, last: (i64, i64) },
}

impl Reader {
    async fn read(&mut self) -> Vec<(Uuid, Turn)> {
        match self {
            Self::Watch { servers, after } => {
                let server = &servers[usize::try_from(below(servers.len() as u64)).unwrap()];
                let request = WatchEventsRequest { after: after.clone(), from_end: false };
                let mut seen = Vec::new();
                // On a machine that is busy with the writers the database may be out of reach for a moment.
                let Ok(mut watch) = server.watch_events(request).await.map_err(may_pass) else { return seen };
                for _ in 0..=below(40) {
                    let Ok(message) = timeout(SILENCE, watch.message()).await else { break };
                    let Ok(message) = message.map_err(may_pass) else { break };
                    let message = message.unwrap();
                    *after = message.position;
                    seen.extend(message.event.map(|event| {
                        let time = event.create_time.unwrap();
                        (event.user_id.parse().unwrap(), i64::from(time.nanos) / 1000)
                    }));
                }
                seen
            }
            Self::Id { pool, last } => {
                let read = "SELECT user_id, create_time, id, 0::bigint AS transaction FROM events
                            WHERE id > $1 ORDER BY id LIMIT 50";
                let rows = sqlx::query(read).bind(*last).fetch_all(&*pool).await.unwrap();
                *last = rows.last().map_or(*last, |row| row.get("id"));
                rows.iter().map(turn).collect()
            }
            Self::Transaction { pool, last } => {
                let read = "SELECT * FROM (
                                SELECT user_id, create_time, id, xmin::text::bigint AS transaction FROM events
                            ) AS of_transactions
                            WHERE transaction < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
                                AND (transaction, id) > ($1, $2)
                            ORDER BY transaction, id LIMIT 50";
                let rows = sqlx::query(read).bind(last.0).bind(last.1).fetch_all(&*pool).await.unwrap();
                *last = rows.last().map_or(*last, |row| (row.get("transaction"), row.get("id")));
                rows.iter().map(turn).collect()
            }
        }
    }

    /// Whether what is committed may come a moment later: when it is numbered, or when older transactions have ended.
    fn waits(&self) -> bool {
        !matches!(self, Self::Id { .. })
    }
}

/// What cures itself is one more break; anything else is a fault.
fn may_pass(status: Status) {
    assert!(matches!(status.code(), Code::Unavailable | Code::Aborted), "{status:?}");
}

fn turn(row: &sqlx::postgres::PgRow) -> (Uuid, Turn) {
    (row.get("user_id"), row.get::<DateTime<chrono::Utc>, _>("create_time").timestamp_micros())
}

/// A reader and what it has met.
struct Follower {
    reader: Reader,
    seen: Vec<(Uuid, Turn)>,
}

impl Follower {
    /// Reads something, if there is something to read.
    async fn read(&mut self) -> bool {
        let new = self.reader.read().await;
        self.seen.extend_from_slice(&new);
        !new.is_empty()
    }

    /// Reads until it has met so many events.
    async fn read_up_to(&mut self, count: usize) {
        let end = Instant::now() + PATIENCE;
        while self.seen.len() < count && (self.read().await || self.reader.waits()) {
            assert!(Instant::now() < end, "only {} of {count} events came", self.seen.len());
        }
    }
}

/// Has the followers read while transactions commit out of order, first two pairs of them on purpose and then those of
/// many writers, and gives what was wrong with each.
async fn follow(acts: Acts, writers: usize, readers: Vec<Reader>) -> Vec<Result<(), Fault>> {
    let mut followers: Vec<_> =
        readers.into_iter().map(|reader| Follower { reader, seen: Vec::new() }).collect();
    let (one, other) = (acts.users[0], acts.users[1]);

    // The lower id commits last, when the higher one was read.
    let mut first = acts.begin().await;
    acts.act(&mut first, one).await;
    let mut second = acts.begin().await;
    acts.act(&mut second, other).await;
    second.commit().await.unwrap();
    for follower in &mut followers {
        match follower.reader {
            // To this one it comes when the first transaction is over.
            Reader::Transaction { .. } => assert!(!follower.read().await),
            Reader::Watch { .. } | Reader::Id { .. } => follower.read_up_to(1).await,
        }
    }
    first.commit().await.unwrap();

    // The transaction that began first comes to the user last.
    let mut first = acts.begin().await;
    begin_to_write(&mut first).await;
    let mut second = acts.begin().await;
    acts.act(&mut second, one).await;
    second.commit().await.unwrap();
    acts.act(&mut first, one).await;
    first.commit().await.unwrap();
    for follower in &mut followers {
        follower.read_up_to(4).await;
    }

    let (acts, done) = (Arc::new(acts), Arc::new(AtomicBool::new(false)));
    let mut reading = JoinSet::new();
    for mut follower in followers {
        let (acts, done) = (Arc::clone(&acts), Arc::clone(&done));
        reading.spawn(async move {
            while !done.load(Ordering::SeqCst) {
                if !follower.read().await {
                    sleep(Duration::from_millis(below(20))).await;
                }
            }
            follower.read_up_to(acts.total()).await;
            acts.check(&follower.seen)
        });
    }
    let mut writing = JoinSet::new();
    for _ in 0..writers {
        let acts = Arc::clone(&acts);
        writing.spawn(async move { acts.write().await });
    }
    writing.join_all().await;
    done.store(true, Ordering::SeqCst);
    let outcomes = reading.join_all().await;
    acts.pool.close().await;
    outcomes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x20_ten_readers_miss_nothing_of_two_hundred_writers_and_meet_each_users_events_in_order() {
    on_postgres(|store| async move {
        let acts = Acts::of(&store, 200).await;
        // What the writers write happened in 1970.
        let settings = "events.retention_days = 0";
        let (one, client) = start(&store, settings).await;
        let (another, other_client) = start(&store, settings).await;
        let servers = vec![client, other_client];
        let reader = || Reader::Watch { servers: servers.clone(), after: String::new() };
        let outcomes = follow(acts, 200, (0..10).map(|_| reader()).collect()).await;
        assert_eq!(outcomes.len(), 10);
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        drop(servers);
        one.stop().await;
        another.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x20_a_reader_by_id_skips_events() {
    on_postgres(|store| async move {
        let acts = Acts::of(&store, 10).await;
        let reader = Reader::Id { pool: store.postgres().clone(), last: 0 };
        let outcomes = follow(acts, 10, vec![reader]).await;
        assert!(matches!(outcomes[..], [Err(Fault::Skipped(_))]), "{outcomes:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x20_a_reader_by_transaction_turns_a_users_events_round() {
    on_postgres(|store| async move {
        let acts = Acts::of(&store, 10).await;
        let reader = Reader::Transaction { pool: store.postgres().clone(), last: (0, 0) };
        let outcomes = follow(acts, 10, vec![reader]).await;
        assert!(matches!(outcomes[..], [Err(Fault::TurnedRound(_))]), "{outcomes:?}");
    })
    .await;
}
