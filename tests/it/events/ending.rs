//! How a watch ends, and what it leaves behind: X20.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::Response;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;
use vestibule::{
    clock::SystemClock,
    domain::{event_log::Start, page::PageSize, user::UserFilter},
    grpc::{
        Calls, Watches,
        proto::{WatchEventsRequest, WatchEventsResponse},
    },
};

use super::{list, next, service, watch, watch_from_end};
use crate::{
    contract::{
        event_log::{append, number},
        people::start as then,
        store::{Store, on_postgres},
    },
    rules::start,
    support::{
        server::{Client, TestServer, eventually, reason, refused},
        wire::{Wire, message, read_to_end},
    },
};

const WATCH_EVENTS: &str = "/vestibule.v1.EventService/WatchEvents";
/// More than fits into what a connection holds for a reader that takes nothing.
const MANY: u32 = 3000;

/// A watch by a client that takes nothing before it is asked to, and sets this deadline.
async fn watch_by_hand(
    server: &TestServer,
    request: WatchEventsRequest,
    headers: &[(&str, &str)],
) -> (Wire, Response<h2::RecvStream>) {
    let mut wire = Wire::connect(server.address).await;
    let (answer, mut body) = wire.begin(WATCH_EVENTS, headers).await;
    body.send_data(message(&request), true).unwrap();
    let answer = answer.await.unwrap();
    (wire, answer)
}

/// Whether there is room for one more watch, which is given up again at once.
async fn has_room(client: &Client) -> bool {
    match client.watch_events(WatchEventsRequest::default()).await {
        Ok(_) => true,
        Err(status) => {
            assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "OVERLOADED"));
            assert!(status.get_error_details().retry_info().is_some());
            false
        }
    }
}

pub async fn x20_there_are_so_many_watches_and_a_reader_that_goes_makes_room(store: Store) {
    let (server, client) = start(&store, "events.max_watches = 2").await;
    for _ in 0..20 {
        let (first, _) = watch(&client, "").await;
        // Of two, one goes with its stream and one with its connection.
        let other = server.client().await;
        let (second, _) = watch(&other, "").await;
        assert!(!has_room(&client).await);
        drop(first);
        let third = eventually_watch(&client).await;
        drop((second, other));
        eventually_watch(&client).await;
        drop(third);
        eventually("room for one and another", || async {
            let one = client.watch_events(WatchEventsRequest::default()).await;
            one.is_ok() && has_room(&client).await
        })
        .await;
        eventually("room", || has_room(&client)).await;
    }
}

/// A watch as soon as there is room.
async fn eventually_watch(client: &Client) -> tonic::Streaming<WatchEventsResponse> {
    loop {
        if let Ok(watch) = client.watch_events(WatchEventsRequest::default()).await {
            return watch;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub async fn x20_a_watch_outlasts_the_time_for_calls_and_keeps_its_callers(store: Store) {
    let (server, client) = start(&store, "grpc.call_seconds = 1\nevents.heartbeat_seconds = 1").await;
    let (mut lasting, position) = watch(&client, "").await;
    let begun = Instant::now();
    let request = WatchEventsRequest::default();
    let (_wire, answer) = watch_by_hand(&server, request, &[("grpc-timeout", "1500m")]).await;
    let (messages, status) = read_to_end::<WatchEventsResponse>(answer).await;
    assert!((1500..10_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert_eq!((status.code(), &*reason(&status)), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert!(messages.len() >= 2, "its start, and a sign of life: {messages:?}");
    for _ in 0..2 {
        assert_eq!(lasting.message().await.unwrap().unwrap().position, position);
    }
    client.register("alice", "alice@example.com").await;
    next(&mut lasting).await;
}

pub async fn x20_a_slow_reader_is_cut_off_with_its_position(store: Store) {
    append(&store, MANY, then()).await;
    number(&store).await;
    let settings = "events.reader_seconds = 1\nevents.max_watches = 1\nevents.retention_days = 0";
    let (server, client) = start(&store, settings).await;
    let (_wire, slow) = watch_by_hand(&server, WatchEventsRequest::default(), &[]).await;
    assert!(!has_room(&client).await);
    eventually("room, though the slow reader is still there", || has_room(&client)).await;
    let (messages, status) = read_to_end::<WatchEventsResponse>(slow).await;
    assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(messages.len() < MANY as usize / 2, "{} messages were kept for it", messages.len());
    let details = status.get_error_details();
    let position = &details.error_info().unwrap().metadata["position"];
    assert_eq!(*position, messages.last().unwrap().position);
    let users: Vec<_> = messages.iter().filter_map(|message| message.event.as_ref()).collect();
    let users: Vec<Uuid> = users.iter().map(|event| event.user_id.parse().unwrap()).collect();
    assert_eq!(users, (1..=users.len() as u128).map(Uuid::from_u128).collect::<Vec<_>>());
    let following = list(&client, position, 1).await.events.remove(0);
    assert_eq!(following.user_id, Uuid::from_u128(users.len() as u128 + 1).to_string());
}

pub async fn x20_a_drain_ends_every_watch_at_once(store: Store) {
    append(&store, MANY, then()).await;
    number(&store).await;
    let (server, client) = start(&store, "grpc.drain_seconds = 60\nevents.retention_days = 0").await;
    let (mut idle, _) = watch_from_end(&client).await;
    // One that takes nothing can't be told, and is cut.
    let _slow = watch_by_hand(&server, WatchEventsRequest::default(), &[]).await;
    let begun = Instant::now();
    let stopping = tokio::spawn(server.stop());
    let ended: Result<_, Status> = idle.message().await;
    let details = refused(ended, Code::Unavailable, "DRAINING");
    assert!(details.retry_info().is_some());
    stopping.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

pub async fn x20_a_watch_whose_database_fails_is_told_so(store: Store) {
    let (_server, client) = start(&store, "").await;
    client.register("alice", "alice@example.com").await;
    let (mut watched, _) = watch(&client, "").await;
    let position = next(&mut watched).await.position;
    store.execute("ALTER TABLE events RENAME COLUMN deletion_reason TO elsewhere").await;
    let bob = client.register("bob", "bob@example.com").await;
    let details = refused(watched.message().await, Code::Internal, "INTERNAL");
    assert!(!details.request_info().unwrap().request_id.is_empty(), "the log has it under that id");
    store.execute("ALTER TABLE events RENAME COLUMN elsewhere TO deletion_reason").await;
    let (mut watched, _) = watch(&client, &position).await;
    assert_eq!(next(&mut watched).await.user_id, bob.id.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x20_however_many_watches_wait_for_the_database_calls_are_answered() {
    on_postgres(|store| async move {
        let vestibule = service(&store, Arc::new(SystemClock::default())).await;
        let calls = Calls::new(Arc::clone(&vestibule));
        let hour = Duration::from_secs(3600);
        let watches = Watches::new(100, hour, hour, CancellationToken::new());
        let mut begun = Vec::new();
        for _ in 0..20 {
            begun.push(vestibule.watch_events(Start::Oldest).await.unwrap());
        }
        let mut lock = store.postgres().begin().await.unwrap();
        sqlx::query("LOCK TABLE events").execute(&mut *lock).await.unwrap();
        let follow = |watch| watches.follow(&calls, watches.take_place().unwrap(), watch, None);
        let streams: Vec<_> = begun.into_iter().map(follow).collect();
        let waiting = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        eventually("two wait", || async { store.count(waiting).await == 2 }).await;
        for _ in 0..50 {
            vestibule.list_users(&UserFilter::default(), PageSize::parse(1).unwrap(), None).await.unwrap();
        }
        assert_eq!(store.count(waiting).await, 2);
        drop(streams);
        lock.rollback().await.unwrap();
        calls.wait().await;
        vestibule.repository.close().await;
    })
    .await;
}
