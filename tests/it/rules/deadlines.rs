//! Callers who stop listening: what they have begun is carried out, wholly.

use std::{
    io::Cursor,
    net::SocketAddr,
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, SqliteConnection, postgres::PgConnectOptions,
    sqlite::SqliteConnectOptions,
};
use tokio::task::JoinSet;
use tonic::{Code, IntoRequest as _, Status};
use vestibule::grpc::proto::{
    CreateInactiveUserRequest, ListUnverifiedRequest, get_user_request::User as By,
};

use super::start;
use crate::{
    contract::store::Store,
    support::{
        server::{reason, refused, wait_for_rows},
        wire::{Wire, message, refusal},
    },
};

const CREATE_INACTIVE_USER: &str = "/vestibule.v1.RegistrationService/CreateInactiveUser";

/// A session that keeps everybody else from writing.
pub enum Held {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

/// Keeps everybody else from writing until it is released.
pub async fn hold_writes(store: &Store) -> Held {
    if store.url().starts_with("sqlite:") {
        let options: SqliteConnectOptions = store.url().parse().unwrap();
        let mut session = options.connect().await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut session).await.unwrap();
        Held::Sqlite(session)
    } else {
        let options: PgConnectOptions = store.url().parse().unwrap();
        let mut session = options.connect().await.unwrap();
        sqlx::query("BEGIN").execute(&mut session).await.unwrap();
        sqlx::query("LOCK TABLE users, mails IN SHARE MODE").execute(&mut session).await.unwrap();
        Held::Postgres(session)
    }
}

impl Held {
    /// Lets the others go on.
    pub async fn release(self) {
        match self {
            Self::Postgres(session) => session.close().await,
            Self::Sqlite(session) => session.close().await,
        }
        .unwrap();
    }
}

fn registration(username: &str) -> CreateInactiveUserRequest {
    let email = format!("{username}@example.com");
    CreateInactiveUserRequest { username: username.into(), email, ..Default::default() }
}

/// What the server says to a call with this deadline. The client that comes with tonic would speak for it.
async fn call_with_deadline(address: SocketAddr, grpc_timeout: &str, username: &str) -> Status {
    let mut wire = Wire::connect(address).await;
    let (answer, mut body) = wire.begin(CREATE_INACTIVE_USER, &[("grpc-timeout", grpc_timeout)]).await;
    body.send_data(message(&registration(username)), true).unwrap();
    refusal(answer).await
}

pub async fn a_deadline_that_passes_is_told_and_the_call_carried_out(store: Store) {
    let (server, client) = start(&store, "").await;
    let held = hold_writes(&store).await;
    // What has passed before the work begins is refused; what has begun is carried out.
    for (grpc_timeout, username) in [("1n", "bob"), ("500m", "alice")] {
        let status = call_with_deadline(server.address, grpc_timeout, username).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    }
    assert_eq!(store.count("users").await, 0);
    held.release().await;
    wait_for_rows(&store, "events WHERE kind = 'user_registered'", 1).await;
    assert_whole(&store).await;
    client.create_inactive_user(registration("bob")).await.unwrap();
    let taken = client.create_inactive_user(registration("alice")).await;
    refused(taken, Code::AlreadyExists, "USERNAME_TAKEN");
}

pub async fn a_caller_who_sets_no_deadline_or_a_later_one_gets_ours(store: Store) {
    let (server, client) = start(&store, "[grpc]\ncall_seconds = 1").await;
    let held = hold_writes(&store).await;
    let start = Instant::now();
    let without = client.create_inactive_user(registration("alice"));
    let later = call_with_deadline(server.address, "60S", "bob");
    let (without, later) = tokio::join!(without, later);
    assert!(start.elapsed() >= Duration::from_secs(1));
    for refusal in [without.map(drop), Err(later)] {
        refused(refusal, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    }
    held.release().await;
    wait_for_rows(&store, "events WHERE kind = 'user_registered'", 2).await;
    assert_whole(&store).await;
}

pub async fn a_request_that_never_ends_is_answered_and_nothing_done(store: Store) {
    let (server, client) = start(&store, "[grpc]\ncall_seconds = 1").await;
    let mut wire = Wire::connect(server.address).await;
    let whole = message(&registration("alice")).into_inner();
    let mut bodies = Vec::new();
    let mut answers = Vec::new();
    for length in [0, 3, whole.len() - 1, whole.len()] {
        let (answer, mut body) = wire.begin(CREATE_INACTIVE_USER, &[]).await;
        body.send_data(Cursor::new(whole[..length].to_vec()), false).unwrap();
        answers.push(answer);
        bodies.push(body);
    }
    for answer in answers {
        refused::<()>(Err(refusal(answer).await), Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    }
    assert_eq!(store.count("users").await, 0);
    client.register("alice", "alice@example.com").await;
}

pub async fn a_malformed_deadline_is_refused(store: Store) {
    let (_server, client) = start(&store, "").await;
    for malformed in ["", "1", "S", "123456789S", "-1S", "1.5S", "1s", "1 S", "soon"] {
        let mut request = registration("alice").into_request();
        request.metadata_mut().insert("grpc-timeout", malformed.parse().unwrap());
        let refusal = client.create_inactive_user(request).await;
        let details = refused(refusal, Code::InvalidArgument, "INVALID_REQUEST");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "grpc-timeout");
    }
    assert_eq!(store.count("users").await, 0);
    let mut request = registration("alice").into_request();
    request.metadata_mut().insert("grpc-timeout", "99999999H".parse().unwrap());
    client.create_inactive_user(request).await.unwrap();
}

pub async fn a_call_whose_caller_goes_away_is_carried_out(store: Store) {
    let (_server, client) = start(&store, "").await;
    let held = hold_writes(&store).await;
    let mut call = JoinSet::new();
    let caller = client.clone();
    call.spawn(async move { caller.create_inactive_user(registration("alice")).await });
    if matches!(held, Held::Postgres(_)) {
        store.wait_for_a_lock().await;
    }
    // Later calls of the same connection have been answered: this one has begun.
    for _ in 0..10 {
        client.list_unverified(ListUnverifiedRequest::default()).await.unwrap();
    }
    call.shutdown().await;
    client.list_unverified(ListUnverifiedRequest::default()).await.unwrap();
    held.release().await;
    wait_for_rows(&store, "events WHERE kind = 'user_registered'", 1).await;
    assert_whole(&store).await;
    client.user(By::Username("alice".into())).await.unwrap();
}

/// Every user has an address, a key, a mail unless the key was returned, and an event, and there is nothing else.
async fn assert_whole(store: &Store) {
    let users = store.count("users").await;
    for part in [
        "users JOIN email_addresses a ON a.user_id = users.id AND a.email = users.email",
        "users WHERE EXISTS (SELECT 1 FROM activation_keys k WHERE k.user_id = users.id)",
        "users WHERE username = 'known' OR EXISTS (SELECT 1 FROM mails m WHERE m.user_id = users.id)",
        "users JOIN events e ON e.user_id = users.id AND e.kind = 'user_registered'",
        "email_addresses",
        "events WHERE kind = 'user_registered'",
    ] {
        assert_eq!(store.count(part).await, users, "{part}");
    }
}
