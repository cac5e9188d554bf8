//! Events as their readers meet them: X20.

mod ending;
mod following;
mod order;
mod trimming;

use std::{fs, sync::Arc};

use tonic::Streaming;
use vestibule::{
    clock::Clock,
    config::Settings,
    grpc::proto::{
        Event, EventKind, ListEventsRequest, ListEventsResponse, WatchEventsRequest, WatchEventsResponse,
    },
    operations::Vestibule,
    random::SystemRandom,
    server::{self, Outside},
};

use crate::{
    contract::store::Store,
    support::server::{Client, make_keyring, on_each_store},
};

on_each_store! {
    following: [
        x20_events_are_listed_page_by_page_from_any_position,
        x20_an_event_tells_what_happened_and_nothing_else_of_the_user,
        x20_a_watch_confirms_its_start_and_tells_what_happens_and_where_it_stands,
        x20_a_watch_from_a_position_tells_what_was_missed_and_goes_on,
        x20_a_position_holds_after_a_restart,
        x20_a_position_that_the_log_does_not_hold_is_told_with_the_oldest,
        x20_what_is_no_position_is_refused_by_the_name_of_its_field,
    ]
    ending: [
        x20_there_are_so_many_watches_and_a_reader_that_goes_makes_room,
        x20_a_watch_outlasts_the_time_for_calls_and_keeps_its_callers,
        x20_a_slow_reader_is_cut_off_with_its_position,
        x20_a_drain_ends_every_watch_at_once,
        x20_a_watch_whose_database_fails_is_told_so,
    ]
    trimming: [
        x20_a_server_trims_what_is_old_enough_unless_events_are_kept_for_ever,
        x20_x22_nothing_is_trimmed_by_a_clock_that_jumped,
    ]
}

/// The service without its server.
async fn service(store: &Store, clock: Arc<dyn Clock>) -> Arc<Vestibule> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    let text = format!(
        "database.url = '{}'\ndatabase.max_connections = 4\nsecrets.keyring_file = '{}'",
        store.url(),
        make_keyring(folder.path()).display()
    );
    fs::write(&file, text).unwrap();
    let settings = Settings::load(&[file], &[]).unwrap();
    let outside = Outside { clock, random: Arc::new(SystemRandom), sender: None };
    let repository = server::open_repository(&settings).await.unwrap();
    Arc::new(server::vestibule(&settings, repository, &outside).unwrap())
}

/// A page of events behind a position.
async fn list(client: &Client, after: &str, page_size: i32) -> ListEventsResponse {
    client.list_events(ListEventsRequest { after: after.to_owned(), page_size }).await.unwrap()
}

/// A watch, and the position that it confirms.
async fn watch(client: &Client, after: &str) -> (Streaming<WatchEventsResponse>, String) {
    begin(client, WatchEventsRequest { after: after.to_owned(), from_end: false }).await
}

/// A watch of what happens from now on.
async fn watch_from_end(client: &Client) -> (Streaming<WatchEventsResponse>, String) {
    begin(client, WatchEventsRequest { after: String::new(), from_end: true }).await
}

async fn begin(client: &Client, request: WatchEventsRequest) -> (Streaming<WatchEventsResponse>, String) {
    let mut watch = client.watch_events(request).await.unwrap();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.event, None, "the first message is no event");
    (watch, first.position)
}

/// The next event of a watch, past what it sends while nothing happens.
async fn next(watch: &mut Streaming<WatchEventsResponse>) -> Event {
    loop {
        let message = watch.message().await.unwrap().unwrap();
        if let Some(event) = message.event {
            assert_eq!(event.position, message.position);
            return event;
        }
    }
}

fn kinds(events: &[Event]) -> Vec<EventKind> {
    events.iter().map(Event::kind).collect()
}
