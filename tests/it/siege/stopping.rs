//! A server that is told to stop ends in time, whatever its peers do, and what it has acknowledged is there.

use std::{
    any::Any,
    collections::BTreeSet,
    io::Cursor,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    sync::mpsc,
    task::{JoinSet, spawn_blocking},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use vestibule::grpc::proto::{CreateInactiveUserRequest, WatchEventsRequest};

use crate::{
    access::connect,
    contract::store::{Store, on_postgres},
    support::{
        process::{Process, serve},
        server::{Client, make_keyring},
        smtp::{Action, SmtpSink, Step},
        wire::{PREFACE, Wire, message},
    },
};

const DRAIN_SECONDS: &str = "2";
/// Until when a server has to have ended: a second after its drain, and as long again as both for a machine that is
/// busy with other tests. Whatever would hold it up would do so for longer.
const END: Duration = Duration::from_secs(6);
const ROUNDS: usize = 20;
/// How many servers are under siege at the same time.
const AT_ONCE: usize = 3;
/// How many callers have a password hashed, which for all of them takes longer than the drain.
const HASHES: usize = 300;
/// How many of them have been answered when the server is told to stop.
const ANSWERED: usize = 10;
/// Who is acknowledged and has a mail that waits.
const STORED: &str =
    "SELECT username FROM users JOIN mails ON mails.user_id = users.id AND mails.state = 'QUEUED'";

/// Peers that hold a connection, each in a way of its own, until this is dropped: one that says nothing, one that
/// says no more than that it speaks HTTP/2, one that watches health, one that
/// watches events and takes none, and one that has sent half a request.
async fn hold(address: SocketAddr) -> Vec<Box<dyn Any + Send>> {
    let silent = TcpStream::connect(address).await.unwrap();
    let mut begun = TcpStream::connect(address).await.unwrap();
    begun.write_all(PREFACE).await.unwrap();
    let mut watch = Wire::connect(address).await;
    let (answer, mut body) = watch.begin("/grpc.health.v1.Health/Watch", &[]).await;
    body.send_data(message(&HealthCheckRequest::default()), true).unwrap();
    let watched = answer.await.unwrap();
    let mut events = Wire::connect(address).await;
    let (answer, mut body) = events.begin("/vestibule.v1.EventService/WatchEvents", &[]).await;
    body.send_data(message(&WatchEventsRequest::default()), true).unwrap();
    let told = answer.await.unwrap();
    let mut half = Wire::connect(address).await;
    let (answer, mut body) = half.begin("/vestibule.v1.UserService/GetUser", &[]).await;
    body.send_data(Cursor::new(vec![0, 0, 0]), false).unwrap();
    // The others were accepted before this one, which is answered.
    let mut health = HealthClient::new(connect(address).await);
    health.check(HealthCheckRequest::default()).await.unwrap();
    vec![
        Box::new(silent),
        Box::new(begun),
        Box::new((watch, watched)),
        Box::new((events, told)),
        Box::new((half, answer, body)),
        Box::new(health),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_only_hold_a_connection_keep_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = super::start(folder.path(), &[("VESTIBULE__GRPC__DRAIN_SECONDS", "60")]);
    let _held = hold(process.address).await;
    let start = Instant::now();
    process.signal(Signal::SIGTERM);
    let (status, log) = process.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(!log.contains("the drain's time is over"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x6_a_server_under_siege_ends_in_time_and_keeps_what_it_acknowledged() {
    let mut running = JoinSet::new();
    for _ in 0..ROUNDS {
        if running.len() >= AT_ONCE {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(round());
    }
    running.join_all().await;
}

/// A server with every kind of peer, a mail server that says nothing, and a queue of passwords to be hashed.
async fn round() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vestibule.db");
    let url = format!("sqlite:{}", file.display());
    let sink = SmtpSink::start().await;
    sink.at(Step::Greeting, Action::Stall);
    let process = start(folder.path(), &url, &sink).await;
    let _held = hold(process.address).await;
    let mut client = Client::connect(process.address).await;
    let mut acknowledged = BTreeSet::new();
    for number in 0..3 {
        let username = format!("mailed{number}");
        client.register_by_mail(&username, &format!("{username}@example.com")).await;
        acknowledged.insert(username);
    }
    sink.steps(Step::Greeting, 3).await;

    let (answered, mut answers) = mpsc::unbounded_channel();
    let mut callers = JoinSet::new();
    for number in 0..HASHES {
        if number == HASHES / 2 {
            // A connection carries no more calls than that at once.
            client = Client::connect(process.address).await;
        }
        let (client, answered) = (client.clone(), answered.clone());
        callers.spawn(async move {
            let username = format!("hashed{number}");
            let request = CreateInactiveUserRequest {
                username: username.clone(),
                email: format!("{username}@example.com"),
                password: Some("correct horse battery staple".into()),
                ..Default::default()
            };
            if client.create_inactive_user(request).await.is_ok() {
                answered.send(username).unwrap();
            }
        });
    }
    drop(answered);
    for _ in 0..ANSWERED {
        acknowledged.insert(answers.recv().await.unwrap());
    }
    stop_in_time(process).await;
    while let Some(username) = answers.recv().await {
        acknowledged.insert(username);
    }
    let mut database = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
    let stored: Vec<String> = sqlx::query_scalar(STORED).fetch_all(&mut database).await.unwrap();
    assert_kept(&acknowledged, stored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x6_a_server_whose_database_and_mail_server_are_stuck_ends_in_time() {
    on_postgres(stuck).await;
}

async fn stuck(store: Store) {
    let folder = tempfile::tempdir().unwrap();
    let sink = SmtpSink::start().await;
    sink.at(Step::Greeting, Action::Stall);
    let process = start(folder.path(), store.url(), &sink).await;
    let _held = hold(process.address).await;
    let client = Client::connect(process.address).await;
    client.register_by_mail("mailed", "mailed@example.com").await;
    sink.steps(Step::Greeting, 1).await;
    let mut lock = store.postgres().begin().await.unwrap();
    sqlx::query("LOCK TABLE mails IN SHARE MODE").execute(&mut *lock).await.unwrap();
    let mut callers = JoinSet::new();
    for number in 0..30 {
        let (client, name) = (client.clone(), format!("stuck{number}"));
        let request = CreateInactiveUserRequest {
            email: format!("{name}@example.com"),
            username: name,
            ..Default::default()
        };
        callers.spawn(async move { client.create_inactive_user(request).await });
    }
    store.wait_for_a_lock().await;
    stop_in_time(process).await;
    assert!(callers.join_all().await.iter().all(Result::is_err));
    lock.rollback().await.unwrap();
    assert_kept(&BTreeSet::from(["mailed".to_owned()]), store.texts(STORED).await);
}

/// A server whose mails go to `sink`.
async fn start(folder: &Path, url: &str, sink: &SmtpSink) -> Process {
    make_keyring(folder);
    let environment = [
        ("VESTIBULE__GRPC__DRAIN_SECONDS", DRAIN_SECONDS),
        ("VESTIBULE__PASSWORDS__QUEUE_SECONDS", "60"),
        ("VESTIBULE__MAIL__SMTP__URL", &sink.url()),
    ];
    let mut command = serve(folder, url, &environment);
    spawn_blocking(move || Process::start(&mut command)).await.unwrap()
}

/// Tells a server to stop, and expects that it does so in time and without complaint.
async fn stop_in_time(mut process: Process) {
    let start = Instant::now();
    process.signal(Signal::SIGTERM);
    let (status, log) = spawn_blocking(move || process.end()).await.unwrap();
    let took = start.elapsed();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(took < END, "{took:?}");
    assert!(!log.contains("panicked"), "{log}");
}

fn assert_kept(acknowledged: &BTreeSet<String>, stored: Vec<String>) {
    let stored = stored.into_iter().collect();
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "{lost:?}");
}
