//! Events that were kept for long enough: X20, X22.

use std::sync::Arc;

use chrono::Duration;
use vestibule::{
    clock::ManualClock, domain::Timestamp, operations::ClockError, workers::event_trimmer::EventTrimmer,
};

use super::{list, service};
use crate::{
    contract::{
        event_log::{append, number, read},
        store::Store,
    },
    rules::start,
    support::server::eventually,
};

/// What the clock of a server in a test shows.
fn now() -> Timestamp {
    Timestamp::from_timestamp(1_800_000_000, 0).unwrap()
}

pub async fn x20_a_server_trims_what_is_old_enough_unless_events_are_kept_for_ever(store: Store) {
    // More than one batch.
    append(&store, 1500, now() - Duration::days(3)).await;
    append(&store, 2, now() - Duration::days(1)).await;
    number(&store).await;
    let (server, client) = start(&store, "events.retention_days = 0").await;
    assert_eq!(list(&client, "", 1000).await.events.len(), 1000);
    drop(client);
    server.stop().await;
    assert_eq!(store.count("events").await, 1502);
    let (_server, client) = start(&store, "events.retention_days = 2").await;
    eventually("two events are left", || async { store.count("events").await == 2 }).await;
    let page = list(&client, "", 0).await;
    assert_eq!((page.events.len(), page.more), (2, false));
    assert_eq!(read(&store).await.extent.trimmed_number, 1500);
}

pub async fn x20_x22_nothing_is_trimmed_by_a_clock_that_jumped(store: Store) {
    append(&store, 2, now()).await;
    number(&store).await;
    let clock = Arc::new(ManualClock::new(now()));
    let vestibule = service(&store, clock.clone()).await;
    let trimmer = EventTrimmer { vestibule: Arc::clone(&vestibule), retention: Duration::days(30) };
    clock.go_wrong(Duration::days(31));
    let refused = trimmer.trim().await;
    assert!(matches!(refused, Err(ClockError::Suspect { .. })), "{refused:?}");
    assert_eq!(store.count("events").await, 2);
    // That it is later is another thing.
    clock.go_wrong(Duration::days(-31));
    clock.advance(Duration::days(31));
    assert_eq!(trimmer.trim().await.unwrap(), 2);
    vestibule.repository.close().await;
}
