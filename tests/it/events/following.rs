//! Reading events, in one go and after a break: X20.

use tonic::Code;
use uuid::Uuid;
use vestibule::{
    domain::event_log::{LogId, Position},
    grpc::proto::{
        DeleteUserRequest, DeletionReason, DisableUserRequest, EventKind, ListEventsRequest, MailState,
        WatchEventsRequest,
    },
};

use super::{kinds, list, next, watch, watch_from_end};
use crate::{
    contract::{
        event_log::{append, number},
        people::{seconds, start as then},
        store::Store,
    },
    rules::start,
    support::server::{eventually, instant, refused},
};

pub async fn x20_events_are_listed_page_by_page_from_any_position(store: Store) {
    append(&store, 205, then()).await;
    number(&store).await;
    let (_server, client) = start(&store, "events.retention_days = 0").await;
    let mut users = Vec::new();
    let mut after = String::new();
    for (count, more) in [(100, true), (100, true), (5, false), (0, false)] {
        let page = list(&client, &after, 0).await;
        assert_eq!((page.events.len(), page.more), (count, more));
        if let Some(last) = page.events.last() {
            assert_eq!(page.position, last.position);
        }
        users.extend(page.events.iter().map(|event| event.user_id.parse::<Uuid>().unwrap()));
        after = page.position;
    }
    assert_eq!(users, (1..=205).map(Uuid::from_u128).collect::<Vec<_>>());
    let page = list(&client, "", 7).await;
    let following = list(&client, &page.events[2].position, 2).await;
    assert_eq!(following.events, page.events[3..5]);
    assert_eq!(list(&client, "", 1000).await.events.len(), 205);
}

pub async fn x20_an_event_tells_what_happened_and_nothing_else_of_the_user(store: Store) {
    let (server, client) = start(&store, "").await;
    let alice = client.register_by_mail("alice", "alice@example.com").await;
    client.wait_for_mail(&alice.id, 1, MailState::Delivered).await;
    let now = instant(alice.create_time);
    server.clock.advance(seconds(1));
    client.delete_user(DeleteUserRequest { user_id: alice.id.clone() }).await.unwrap();
    eventually("three events", || async { list(&client, "", 0).await.events.len() == 3 }).await;
    let page = list(&client, "", 0).await;
    let expected = [EventKind::UserRegistered, EventKind::ActivationMailSent, EventKind::UserDeleted];
    assert_eq!(kinds(&page.events), expected);
    let times: Vec<_> = page.events.iter().map(|event| instant(event.create_time)).collect();
    assert_eq!(times, [now, now, now + seconds(1)]);
    assert!(page.events.iter().all(|event| event.user_id == alice.id));
    let mailed: Vec<_> = page.events.iter().map(|event| event.mail_id.is_some()).collect();
    assert_eq!(mailed, [false, true, false]);
    let reasons: Vec<_> = page.events.iter().map(|event| event.deletion_reason).collect();
    assert_eq!(reasons, [None, None, Some(DeletionReason::Requested.into())]);
    assert!(!format!("{page:?}").contains("alice"));
}

pub async fn x20_a_watch_confirms_its_start_and_tells_what_happens_and_where_it_stands(store: Store) {
    let (_server, client) = start(&store, "events.heartbeat_seconds = 1").await;
    client.register("alice", "alice@example.com").await;
    eventually("an event", || async { list(&client, "", 0).await.events.len() == 1 }).await;
    let (mut watch, position) = watch_from_end(&client).await;
    assert_eq!(position, list(&client, "", 0).await.position);
    for _ in 0..2 {
        let idle = watch.message().await.unwrap().unwrap();
        assert_eq!((idle.position, idle.event), (position.clone(), None));
    }
    let bob = client.register("bob", "bob@example.com").await;
    let event = next(&mut watch).await;
    assert_eq!((event.kind(), &event.user_id), (EventKind::UserRegistered, &bob.id.to_string()));
    assert_eq!(list(&client, &position, 0).await.events, std::slice::from_ref(&event));
    client.use_key(&bob.key).await.unwrap();
    let activated = next(&mut watch).await;
    assert_eq!(activated.kind(), EventKind::UserActivated);
    let idle = watch.message().await.unwrap().unwrap();
    assert_eq!((idle.position, idle.event), (activated.position, None));
}

pub async fn x20_a_watch_from_a_position_tells_what_was_missed_and_goes_on(store: Store) {
    let (_server, client) = start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    let (mut first, beginning) = watch(&client, "").await;
    let registered = next(&mut first).await;
    drop(first);
    client.disable_user(DisableUserRequest { user_id: alice.id.to_string() }).await.unwrap();
    let (mut second, position) = watch(&client, &registered.position).await;
    assert_eq!(position, registered.position);
    assert_eq!(next(&mut second).await.kind(), EventKind::UserDisabled);
    client.delete_user(DeleteUserRequest { user_id: alice.id.to_string() }).await.unwrap();
    assert_eq!(next(&mut second).await.kind(), EventKind::UserDeleted);
    let (mut again, position) = watch(&client, &beginning).await;
    assert_eq!(position, beginning);
    for kind in [EventKind::UserRegistered, EventKind::UserDisabled, EventKind::UserDeleted] {
        assert_eq!(next(&mut again).await.kind(), kind);
    }
}

pub async fn x20_a_position_holds_after_a_restart(store: Store) {
    let (server, client) = start(&store, "").await;
    client.register("alice", "alice@example.com").await;
    let (mut watched, _) = watch(&client, "").await;
    let position = next(&mut watched).await.position;
    drop((watched, client));
    server.stop().await;
    let (_server, client) = start(&store, "").await;
    let bob = client.register("bob", "bob@example.com").await;
    let (mut watched, _) = watch(&client, &position).await;
    assert_eq!(next(&mut watched).await.user_id, bob.id.to_string());
}

pub async fn x20_a_position_that_the_log_does_not_hold_is_told_with_the_oldest(store: Store) {
    append(&store, 5, then()).await;
    number(&store).await;
    let (_server, client) = start(&store, "events.retention_days = 0").await;
    let events = list(&client, "", 0).await.events;
    store.trim_events(then() + seconds(1), 3).await.unwrap();
    let log = store.read_events(0, 0).await.unwrap().extent.log;
    let beyond = Position { log, number: 6 }.to_string();
    let elsewhere = Position { log: LogId(Uuid::nil()), number: 4 }.to_string();
    for after in [events[1].position.clone(), beyond, elsewhere] {
        let listed = client.list_events(ListEventsRequest { after: after.clone(), page_size: 0 }).await;
        let watched = client.watch_events(WatchEventsRequest { after, from_end: false }).await;
        for details in [
            refused(listed, Code::OutOfRange, "EVENTS_TRIMMED"),
            refused(watched, Code::OutOfRange, "EVENTS_TRIMMED"),
        ] {
            let oldest = &details.error_info().unwrap().metadata["oldest"];
            assert_eq!(list(&client, oldest, 0).await.events, events[3..]);
        }
    }
    // Behind the last that is gone nothing is missing.
    assert_eq!(list(&client, &events[2].position, 0).await.events, events[3..]);
    assert_eq!(list(&client, "", 0).await.events, events[3..]);
    // Who watches while the log is renewed is told with the next event, and nobody takes one log for the other.
    let (mut watched, _) = watch(&client, &events[4].position).await;
    store.renew_event_log(LogId(Uuid::from_u128(1))).await.unwrap();
    client.register("alice", "alice@example.com").await;
    refused(watched.message().await, Code::OutOfRange, "EVENTS_TRIMMED");
    let listed = ListEventsRequest { after: events[4].position.clone(), page_size: 0 };
    refused(client.list_events(listed).await, Code::OutOfRange, "EVENTS_TRIMMED");
    assert_eq!(list(&client, "", 0).await.events.len(), 3);
}

pub async fn x20_what_is_no_position_is_refused_by_the_name_of_its_field(store: Store) {
    let (_server, client) = start(&store, "").await;
    let position = list(&client, "", 0).await.position;
    for after in ["0", &position[1..], &format!("{position}0"), &position.replace('0', "g"), "latest"] {
        let listed = client.list_events(ListEventsRequest { after: after.to_owned(), page_size: -1 }).await;
        let details = refused(listed, Code::InvalidArgument, "INVALID_REQUEST");
        let fields: Vec<_> = details
            .bad_request()
            .unwrap()
            .field_violations
            .iter()
            .map(|wrong| wrong.field.as_str())
            .collect();
        assert_eq!(fields, ["after", "page_size"], "{after}");
        let watched = client.watch_events(WatchEventsRequest { after: after.to_owned(), from_end: false });
        let details = refused(watched.await, Code::InvalidArgument, "INVALID_REQUEST");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "after");
    }
    let both = client.watch_events(WatchEventsRequest { after: position, from_end: true }).await;
    let details = refused(both, Code::InvalidArgument, "INVALID_REQUEST");
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "after");
}
