//! Whether the time that VerifyPassword takes tells who has an account: a real server, the real client, users of every
//! kind in random order, and a classifier that knows nothing but the time.
//!
//! `cargo bench --bench verify_password -- [CALLS]` asks as often for active users as for unknown ones, and a tenth as
//! often for pending ones, disabled ones and ones without a password, on each store.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measurement that goes wrong panics, and prints what it has found"
)]

mod place;
mod timing;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Executor as _, PgPool, SqlitePool};
use tonic::{Code, transport::Channel};
use uuid::Uuid;
use vestibule::{
    domain::password::Password,
    grpc::proto::{
        VerifyPasswordRequest, user_service_client::UserServiceClient, verify_password_request::User,
    },
    hashing::PasswordHasher,
    random::{self, SystemRandom},
};

use self::{
    place::{Place, STORES, Store},
    timing::{compare, median, millis, shuffle},
};

/// What nobody's password is, and what everybody's is.
const GUESS: &str = "correct horse battery staple";
const PASSWORD: &str = "another horse altogether";

/// The kinds of users that all answer alike; the first is the one that the others are told from.
const KINDS: [&str; 5] = ["active", "unknown", "pending", "disabled", "without a password"];

fn main() {
    // Cargo adds `--bench`.
    let calls = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for store in STORES {
            measure(store, calls).await;
        }
    });
}

/// Prints what the times of one store tell.
async fn measure(store: Store, calls: usize) {
    let place = Place::new(store).await;
    let settings = place.settings("mail.sender = 'console'");
    let hasher = PasswordHasher::new(Duration::from_mins(1), Arc::new(SystemRandom));
    let hash = hasher.hash(Password::parse(PASSWORD).unwrap()).await.unwrap();
    insert_users(&place.url(), hash.expose(), calls).await;
    let (server, channel) = place.serve(&settings).await;

    let mut guesses: Vec<(usize, usize)> = Vec::new();
    for kind in 0..KINDS.len() {
        guesses.extend((0..sample(kind, calls)).map(|number| (kind, number)));
    }
    shuffle(&mut guesses);
    // The first calls of a process find nothing warm.
    for number in 0..20 {
        guess(&channel, &format!("warm{number}")).await;
    }
    let mut times = KINDS.map(|_| Vec::new());
    let mut bare = Vec::new();
    for (index, (kind, number)) in guesses.into_iter().enumerate() {
        if let Some(times) = times.get_mut(kind) {
            times.push(guess(&channel, &username(kind, number)).await);
        }
        if index.is_multiple_of(10) {
            let password = Password::parse(GUESS).unwrap();
            let start = Instant::now();
            hasher.hash(password).await.unwrap();
            bare.push(start.elapsed());
        }
    }
    server.stop().await.unwrap();
    place.clear().await;
    let [active, others @ ..] = &mut times;
    let bare = median(&mut bare);
    println!("{store}: a bare hash takes {:.2} ms (median)", millis(bare));
    for (kind, times) in KINDS.iter().skip(1).zip(others) {
        compare(&store.to_string(), bare, ("active", active), (kind, times));
    }
}

/// How often a kind is asked for.
fn sample(kind: usize, calls: usize) -> usize {
    if kind < 2 { calls } else { calls / 10 }
}

fn username(kind: usize, number: usize) -> String {
    format!("user{kind}x{number}")
}

/// How long one wrong password takes.
async fn guess(channel: &Channel, username: &str) -> Duration {
    let mut client = UserServiceClient::new(channel.clone());
    let user = Some(User::Username(username.to_owned()));
    let request = VerifyPasswordRequest { user, password: GUESS.to_owned(), ..Default::default() };
    let start = Instant::now();
    let refusal = client.verify_password(request).await.unwrap_err();
    let elapsed = start.elapsed();
    assert_eq!(refusal.code(), Code::Unauthenticated, "{refusal:?}");
    elapsed
}

/// Users of every kind but the unknown ones, all with the same hash: none of them is ever let in.
async fn insert_users(url: &str, hash: &str, calls: usize) {
    let (sqlite, postgres) = if url.starts_with("sqlite:") {
        (Some(SqlitePool::connect(url).await.unwrap()), None)
    } else {
        (None, Some(PgPool::connect(url).await.unwrap()))
    };
    for (kind, state) in [(0, "ACTIVE"), (2, "PENDING"), (3, "DISABLED"), (4, "ACTIVE")] {
        let numbers: Vec<_> = (0..sample(kind, calls)).collect();
        for batch in numbers.chunks(500) {
            let rows: Vec<_> = batch
                .iter()
                .map(|number| {
                    let (id, name) = (random::uuid_v4(&SystemRandom), username(kind, *number));
                    row(id, &name, state, (kind != 4).then_some(hash), sqlite.is_some())
                })
                .collect();
            let insert = AssertSqlSafe(format!(
                "INSERT INTO users (id, username, username_key, password_hash, state, site, create_time, activate_time,
                     disable_time, email, email_domain, email_verified, any_email_verified)
                 VALUES {}",
                rows.join(", ")
            ));
            if let Some(pool) = &sqlite {
                pool.execute(sqlx::query(insert)).await.unwrap();
            } else if let Some(pool) = &postgres {
                pool.execute(sqlx::query(insert)).await.unwrap();
            }
        }
    }
    if let Some(pool) = &postgres {
        pool.execute("ANALYZE users").await.unwrap();
        pool.close().await;
    }
    if let Some(pool) = &sqlite {
        pool.close().await;
    }
}

/// One user's values in SQL.
fn row(id: Uuid, name: &str, state: &str, hash: Option<&str>, sqlite: bool) -> String {
    let (id, now) = if sqlite {
        (format!("X'{}'", id.simple()), "1800000000000000".to_owned())
    } else {
        (format!("'{id}'"), "'2026-11-22T00:00:00Z'".to_owned())
    };
    let hash = hash.map_or("NULL".to_owned(), |hash| format!("'{hash}'"));
    let activated = if state == "ACTIVE" { &now } else { "NULL" };
    let disabled = if state == "DISABLED" { &now } else { "NULL" };
    format!(
        "({id}, '{name}', '{name}', {hash}, '{state}', 'default', {now}, {activated}, {disabled}, \
         '{name}@example.com', 'example.com', false, false)"
    )
}
