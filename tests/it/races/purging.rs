//! Purging a user at the instant of expiry, when something else is done for the same user: X17, R10.

use std::time::{Duration as Span, Instant};

use chrono::Duration;
use tokio::task;
use tonic::{Code, Status};
use vestibule::{
    domain::Timestamp,
    grpc::proto::{PurgeExpiredResponse, send_activation_email_request::User as By},
    random::{SeededRandom, number},
};

use crate::{
    contract::store::Store,
    support::server::{Client, Registered, TestServer, reason},
};

pub const ROUNDS: usize = 1000;

/// The shortest span there is.
pub fn tick() -> Duration {
    Duration::microseconds(1)
}

/// Three callers on connections of their own: one acts, one purges, one registers whom the next round is about.
struct Arena {
    server: TestServer,
    actor: Client,
    purger: Client,
    registrar: Client,
    random: SeededRandom,
    next: Registered,
    round: usize,
}

impl Arena {
    async fn start(store: &Store) -> Self {
        let server = TestServer::start_configured(store.url(), "").await;
        let registrar = server.client().await;
        let next = registrar.register("user0", "user0@example.com").await;
        let (actor, purger) = (server.client().await, server.client().await);
        Self { server, actor, purger, registrar, random: SeededRandom::new(17), next, round: 0 }
    }

    /// An act and a purge at the same time, and one more registration besides.
    async fn race<T>(
        &mut self,
        act: impl Future<Output = Result<T, Status>>,
        purge: impl Future<Output = PurgeExpiredResponse>,
    ) -> (Result<T, Status>, PurgeExpiredResponse) {
        self.round += 1;
        let (username, email) = (format!("user{}", self.round), format!("user{}@example.com", self.round));
        let (acted, purged, next) = tokio::join!(act, purge, self.registrar.register(&username, &email));
        self.next = next;
        (acted, purged)
    }

    /// A number below `bound`.
    fn any(&self, bound: u64) -> u64 {
        number(&self.random) % bound
    }

    /// Sets the clock to the instant of expiry, or to a microsecond before it; true if the instant has come.
    fn toss(&self, expire_time: Timestamp) -> bool {
        let expired = self.any(2) == 0;
        self.server.clock.set(if expired { expire_time } else { expire_time - tick() });
        expired
    }
}

/// Runs a call as a task, so that none waits for another's turn.
fn spawn<T: Send + 'static>(call: impl Future<Output = T> + Send + 'static) -> impl Future<Output = T> {
    let mut task = task::JoinSet::new();
    task.spawn(call);
    async move { task.join_next().await.unwrap().unwrap() }
}

fn took(purged: &PurgeExpiredResponse, user: &Registered) -> bool {
    let id = user.id.to_string();
    purged.sample.iter().any(|gone| gone.id == id)
}

/// A key or a user that has expired, or is gone already.
fn assert_too_late<T>(told: Result<T, Status>, gone: &str) {
    let Err(status) = told else { panic!("nobody can act after the instant of expiry") };
    let expired = (Code::FailedPrecondition, "ACTIVATION_KEY_EXPIRED".to_owned());
    let told = (status.code(), reason(&status));
    assert!(told == expired || told == (Code::NotFound, gone.to_owned()), "{told:?}");
}

fn purge(client: &Client) -> impl Future<Output = PurgeExpiredResponse> + use<> {
    let client = client.clone();
    spawn(async move { client.purge().await })
}

fn activate(client: &Client, user: &Registered) -> impl Future<Output = Result<(), Status>> + use<> {
    let (client, key) = (client.clone(), user.key.clone());
    spawn(async move { client.use_key(&key).await.map(|_| ()) })
}

fn mail(client: &Client, user: &Registered) -> impl Future<Output = Result<(), Status>> + use<> {
    let (client, id) = (client.clone(), user.id.to_string());
    spawn(async move { client.mail_to(By::UserId(id)).await })
}

pub async fn x17_at_an_instant_either_the_activation_or_the_purge_wins(store: Store) {
    let mut arena = Arena::start(&store).await;
    let (mut activated, mut deleted) = (0, 0);
    for _ in 0..ROUNDS {
        let user = arena.next.clone();
        let expired = arena.toss(user.expire_time);
        let (act, purge) = (activate(&arena.actor, &user), purge(&arena.purger));
        let (told, purged) = arena.race(act, purge).await;
        assert_eq!(took(&purged, &user), expired);
        if expired {
            assert_too_late(told, "ACTIVATION_KEY_UNKNOWN");
            deleted += 1;
        } else {
            told.unwrap();
            activated += 1;
        }
    }
    assert_outcome(&store, activated, deleted).await;
}

pub async fn x17_at_an_instant_either_the_mail_or_the_purge_wins(store: Store) {
    let mut arena = Arena::start(&store).await;
    let mut spared: Option<Registered> = None;
    for _ in 0..ROUNDS {
        let user = arena.next.clone();
        let expired = arena.toss(user.expire_time);
        let (act, purge) = (mail(&arena.actor, &user), purge(&arena.purger));
        let (told, purged) = arena.race(act, purge).await;
        assert_eq!(took(&purged, &user), expired);
        if let Some(earlier) = spared.take() {
            assert!(took(&purged, &earlier), "whoever was spared is there until the window is over");
        }
        if expired {
            assert_too_late(told, "USER_NOT_FOUND");
        } else {
            told.unwrap();
            spared = Some(user);
        }
    }
}

pub async fn x17_when_a_key_expires_on_the_way_either_the_activation_or_the_purge_wins(store: Store) {
    let mut arena = Arena::start(&store).await;
    let (mut activated, mut deleted) = (0, 0);
    for _ in 0..ROUNDS {
        let user = arena.next.clone();
        arena.server.clock.set(user.expire_time - tick());
        let act = activate(&arena.actor, &user);
        let (clock, purger) = (arena.server.clock.clone(), arena.purger.clone());
        let head_start = Span::from_micros(arena.any(3000));
        let purge = spawn(async move {
            let begin = Instant::now();
            while begin.elapsed() < head_start {
                task::yield_now().await;
            }
            clock.set(user.expire_time);
            purger.purge().await
        });
        let (told, purged) = arena.race(act, purge).await;
        if took(&purged, &user) {
            assert_too_late(told, "ACTIVATION_KEY_UNKNOWN");
            deleted += 1;
        } else {
            told.unwrap();
            activated += 1;
        }
    }
    assert!(activated > 0 && deleted > 0, "{activated} were activated and {deleted} deleted");
    assert_outcome(&store, activated, deleted).await;
}

/// Whoever was activated is there, whoever was deleted is gone, and each is told of once.
async fn assert_outcome(store: &Store, activated: i64, deleted: i64) {
    for (rows, count) in [
        ("users WHERE state = 'ACTIVE' AND email_verified", activated),
        ("users WHERE state = 'PENDING'", 1),
        ("verified_email_addresses", activated),
        ("events WHERE kind = 'user_activated'", activated),
        ("events WHERE kind = 'user_deleted'", deleted),
    ] {
        assert_eq!(store.count(rows).await, count, "{rows}");
    }
}
