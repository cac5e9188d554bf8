//! The event log: X20.

use std::time::Duration;

use tokio::{task::JoinSet, time::sleep};
use uuid::Uuid;
use vestibule::{
    domain::{
        Timestamp,
        delivery::Settlement,
        event::{DeletionReason, EventKind},
        event_log::{Event, Extent, LogId},
        mail::MailId,
        user::UserId,
    },
    repository::EventBatch,
};

use super::{
    people::{activation, register, registration, seconds, start, unique_id},
    store::Store,
};

/// More than any case has.
const ALL: u32 = 10_000;

/// Numbers what is committed.
pub async fn number(store: &Store) {
    while store.number_events(ALL).await.unwrap().more {}
}

/// What has a number.
pub async fn read(store: &Store) -> EventBatch {
    store.read_events(0, ALL).await.unwrap()
}

/// Appends events of users 1 to `count`.
pub async fn append(store: &Store, count: u32, now: Timestamp) {
    let (id, now) = (store.id_of("i"), store.at(now));
    store
        .execute(format!(
            "INSERT INTO events (kind, create_time, user_id)
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             SELECT 'user_registered', {now}, {id} FROM n ORDER BY i"
        ))
        .await;
}

fn numbers(events: &[Event]) -> Vec<i64> {
    events.iter().map(|event| event.number).collect()
}

pub async fn x20_every_kind_of_event_is_read_whole(store: Store) {
    let reasons = [DeletionReason::Expired, DeletionReason::Unverified, DeletionReason::Requested];
    let mut written = Vec::new();
    for kind in EventKind::ALL {
        let mailed = matches!(kind, EventKind::ActivationMailSent | EventKind::ActivationMailFailed);
        let deleted = kind == EventKind::UserDeleted;
        for reason in if deleted { reasons.map(Some).to_vec() } else { vec![None] } {
            let event = Event {
                number: i64::try_from(written.len()).unwrap() + 1,
                kind,
                create_time: start(),
                user_id: UserId(unique_id()),
                mail_id: mailed.then(|| MailId(unique_id())),
                deletion_reason: reason,
            };
            let mail_id = event.mail_id.map_or("NULL".to_owned(), |id| store.id(id.0));
            let reason = reason.map_or("NULL".to_owned(), |reason| format!("'{}'", reason.as_str()));
            store
                .execute(format!(
                    "INSERT INTO events (kind, create_time, user_id, mail_id, deletion_reason)
                     VALUES ('{}', {}, {}, {mail_id}, {reason})",
                    kind.as_str(),
                    store.at(event.create_time),
                    store.id(event.user_id.0)
                ))
                .await;
            written.push(event);
        }
    }
    number(&store).await;
    assert_eq!(read(&store).await.events, written);
}

pub async fn x20_what_happened_to_a_user_is_read_in_its_order(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let (bob, key) = register(&store, "bob", "bob@example.com").await;
    let at = |second| start() + seconds(second);
    let claim = store.claim_mails(at(1), at(60), unique_id(), 2).await.unwrap();
    for (mail, settlement) in
        claim.mails.iter().zip([Settlement::Delivered, Settlement::Discarded { error: "550".into() }])
    {
        assert!(store.settle_mail(mail.id, mail.claim_token, &settlement, at(2)).await.unwrap());
    }
    store.disable_user(alice.id, at(3)).await.unwrap().unwrap();
    store.activate(&activation(key, at(4))).await.unwrap().unwrap();
    store.enable_user(alice.id, at(5)).await.unwrap().unwrap();
    store.activate_user(alice.id, at(6)).await.unwrap().unwrap();
    store.delete_user(alice.id, at(7)).await.unwrap().unwrap();
    number(&store).await;
    let events = read(&store).await.events;
    let told = |user: UserId| {
        let of = events.iter().filter(|event| event.user_id == user);
        of.map(|event| (event.kind, event.create_time)).collect::<Vec<_>>()
    };
    let sent = |id| {
        let failed = claim.mails.iter().position(|mail| mail.user_id == id) == Some(1);
        if failed { EventKind::ActivationMailFailed } else { EventKind::ActivationMailSent }
    };
    let expected = [
        (EventKind::UserRegistered, at(0)),
        (sent(alice.id), at(2)),
        (EventKind::UserDisabled, at(3)),
        (EventKind::UserEnabled, at(5)),
        (EventKind::UserActivated, at(6)),
        (EventKind::UserDeleted, at(7)),
    ];
    assert_eq!(told(alice.id), expected);
    let expected =
        [(EventKind::UserRegistered, at(0)), (sent(bob.id), at(2)), (EventKind::UserActivated, at(4))];
    assert_eq!(told(bob.id), expected);
    assert_eq!(events.last().unwrap().deletion_reason, Some(DeletionReason::Requested));
    let mail = events.iter().find(|event| event.mail_id == Some(claim.mails[0].id)).unwrap();
    assert_eq!(mail.user_id, claim.mails[0].user_id);
}

pub async fn x20_events_are_read_from_any_number_on_and_so_many_at_once(store: Store) {
    let nothing = read(&store).await;
    assert_eq!((nothing.events.len(), nothing.extent.trimmed_number, nothing.extent.last_number), (0, 0, 0));
    append(&store, 5, start()).await;
    number(&store).await;
    let of = async |after, limit| numbers(&store.read_events(after, limit).await.unwrap().events);
    assert_eq!(of(0, 10).await, [1, 2, 3, 4, 5]);
    assert_eq!(of(0, 2).await, [1, 2]);
    assert_eq!(of(2, 2).await, [3, 4]);
    assert_eq!(of(4, 2).await, [5]);
    assert_eq!(of(5, 2).await, [0; 0]);
    assert_eq!(of(i64::MAX, 0).await, [0; 0]);
    let events = read(&store).await.events;
    let users: Vec<_> = events.iter().map(|event| event.user_id.0).collect();
    assert_eq!(users, [1, 2, 3, 4, 5].map(Uuid::from_u128));
    for after in [0, 5, i64::MAX] {
        let extent = store.read_events(after, 1).await.unwrap().extent;
        assert_eq!((extent.trimmed_number, extent.last_number), (0, 5), "after {after}");
    }
    assert_eq!(store.number_events(ALL).await.unwrap().last_number, 5);
}

pub async fn x20_the_oldest_events_are_trimmed_up_to_the_first_that_is_too_young(store: Store) {
    for second in [1, 0, 2, 9, 1] {
        append(&store, 1, start() + seconds(second)).await;
    }
    number(&store).await;
    let log = read(&store).await.extent.log;
    let left = async || {
        let batch = read(&store).await;
        assert_eq!((batch.extent.log, batch.extent.last_number), (log, 5));
        (batch.extent.trimmed_number, numbers(&batch.events))
    };
    // An event that happened at that instant is too young.
    assert_eq!(store.trim_events(start() + seconds(1), 10).await.unwrap(), 0);
    assert_eq!(left().await, (0, vec![1, 2, 3, 4, 5]));
    assert_eq!(store.trim_events(start() + seconds(3), 2).await.unwrap(), 2);
    assert_eq!(left().await, (2, vec![3, 4, 5]));
    assert_eq!(store.trim_events(start() + seconds(3), 2).await.unwrap(), 1);
    assert_eq!(left().await, (3, vec![4, 5]));
    assert_eq!(store.trim_events(start() + seconds(3), 2).await.unwrap(), 0);
    assert_eq!(left().await, (3, vec![4, 5]));
    assert_eq!(store.count("events").await, 2);
}

pub async fn x20_numbers_go_on_when_every_event_was_trimmed_away(store: Store) {
    append(&store, 3, start()).await;
    number(&store).await;
    assert_eq!(store.trim_events(start() + seconds(1), 10).await.unwrap(), 3);
    let empty = read(&store).await;
    assert_eq!((empty.extent.trimmed_number, empty.extent.last_number, empty.events.len()), (3, 3, 0));
    assert_eq!(store.number_events(ALL).await.unwrap().last_number, 3);
    append(&store, 1, start()).await;
    number(&store).await;
    let batch = read(&store).await;
    assert_eq!((numbers(&batch.events), batch.extent.last_number), (vec![4], 4));
}

pub async fn x20_a_renewed_log_has_another_id_and_the_same_events(store: Store) {
    append(&store, 3, start()).await;
    number(&store).await;
    store.trim_events(start() + seconds(1), 1).await.unwrap();
    let before = read(&store).await;
    let log = LogId(unique_id());
    let renewed = store.renew_event_log(log).await.unwrap();
    assert_eq!(renewed, Extent { log, ..before.extent });
    let after = read(&store).await;
    assert_eq!((after.extent, after.events), (renewed, before.events));
}

pub async fn x20_of_several_who_number_and_trim_none_does_harm(store: Store) {
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            for round in 0..10 {
                let name = format!("user{writer}of{round}");
                store.register(&registration(&name, "alice@example.com")).await.unwrap().unwrap();
            }
        });
    }
    let mut workers = JoinSet::new();
    for worker in 0..4 {
        let replica = store.another(2);
        workers.spawn(async move {
            loop {
                let numbered = replica.number_events(3).await.unwrap();
                // Everything is too young.
                assert_eq!(replica.trim_events(start(), 10).await.unwrap(), 0);
                if numbered.last_number == 80 {
                    break replica.close().await;
                }
                assert!(numbered.last_number < 80, "{worker}: {numbered:?}");
                // On SQLite the others have to write, too.
                sleep(Duration::from_millis(5)).await;
            }
        });
    }
    let mut seen: Vec<Event> = Vec::new();
    while seen.len() < 80 {
        let after = seen.last().map_or(0, |event| event.number);
        seen.extend(store.read_events(after, 7).await.unwrap().events);
    }
    writers.join_all().await;
    workers.join_all().await;
    assert_eq!(numbers(&seen), (1..=80).collect::<Vec<_>>());
    assert_eq!(read(&store).await.events, seen);
    let mut users: Vec<_> = seen.iter().map(|event| event.user_id.0).collect();
    users.sort();
    users.dedup();
    assert_eq!(users.len(), 80);
}
