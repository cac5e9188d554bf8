//! How events get their numbers on Postgres, where transactions commit out of order: X20.

use std::{future::Future, time::Duration};

use tokio::{task::JoinSet, time::timeout};
use uuid::Uuid;
use vestibule::{
    domain::{
        delivery::Settlement,
        mail::MailFilter,
        page::PageSize,
        unverified::{PurgeSelection, UnverifiedFilter},
    },
    repository::{Numbered, StorageError, Verification},
};

use super::{
    addresses::{add, change},
    event_log::{append, number, read},
    people::{activation, register, register_active, registration_at, seconds, start, unique_id, window},
    reminding::{anybody, reminder},
    store::Store,
};

/// Longer than anything here takes that does not wait.
const PATIENCE: Duration = Duration::from_secs(10);

async fn users(store: &Store) -> Vec<Uuid> {
    read(store).await.events.iter().map(|event| event.user_id.0).collect()
}

pub async fn x20_what_has_no_number_is_neither_read_nor_trimmed(store: Store) {
    append(&store, 3, start()).await;
    assert_eq!(users(&store).await.len(), 0);
    assert_eq!(store.trim_events(start() + seconds(1), 10).await.unwrap(), 0);
    assert_eq!(store.number_events(2).await.unwrap(), Numbered { last_number: 2, more: true });
    assert_eq!(users(&store).await, [1, 2].map(Uuid::from_u128));
    assert_eq!(store.trim_events(start() + seconds(1), 10).await.unwrap(), 2);
    assert_eq!(store.count("events").await, 1);
    assert_eq!(store.number_events(2).await.unwrap(), Numbered { last_number: 3, more: true });
    assert_eq!(users(&store).await, [Uuid::from_u128(3)]);
    assert_eq!(store.number_events(2).await.unwrap(), Numbered { last_number: 3, more: false });
}

pub async fn x20_what_commits_late_is_read_behind_what_was_read_before(store: Store) {
    let mut late = store.postgres().begin().await.unwrap();
    let insert = "INSERT INTO events (kind, create_time, user_id) VALUES ('user_registered', now(), $1)";
    sqlx::query(insert).bind(Uuid::from_u128(9)).execute(&mut *late).await.unwrap();
    append(&store, 2, start()).await;
    number(&store).await;
    assert_eq!(users(&store).await, [1, 2].map(Uuid::from_u128));
    late.commit().await.unwrap();
    assert_eq!(users(&store).await, [1, 2].map(Uuid::from_u128));
    number(&store).await;
    assert_eq!(users(&store).await, [1, 2, 9].map(Uuid::from_u128));
    // What is rolled back leaves no gap.
    let mut never = store.postgres().begin().await.unwrap();
    sqlx::query(insert).bind(Uuid::from_u128(8)).execute(&mut *never).await.unwrap();
    never.rollback().await.unwrap();
    append(&store, 1, start()).await;
    number(&store).await;
    assert_eq!(read(&store).await.extent.last_number, 4);
}

pub async fn x20_no_act_waits_for_whoever_numbers_and_nobody_waits_to_number(store: Store) {
    append(&store, 1, start()).await;
    let mut holder = store.postgres().begin().await.unwrap();
    sqlx::query("SELECT FROM event_log FOR UPDATE").execute(&mut *holder).await.unwrap();
    let acts = async {
        register(&store, "alice", "alice@example.com").await;
        assert_eq!(store.number_events(10).await.unwrap(), Numbered { last_number: 0, more: true });
        assert_eq!(store.trim_events(start() + seconds(1), 10).await.unwrap(), 0);
        assert_eq!(users(&store).await.len(), 0);
    };
    timeout(PATIENCE, acts).await.expect("nobody waits");
    holder.rollback().await.unwrap();
    number(&store).await;
    assert_eq!(users(&store).await.len(), 2);
}

/// The id that was drawn last, be it by a transaction that has not committed.
async fn last_id(store: &Store) -> i64 {
    let drawn = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END::text FROM events_id_seq";
    store.texts(drawn).await[0].parse().unwrap()
}

/// Holds a user as the weakest of acts does, and expects that this act waits before it draws an id.
async fn waits<F>(store: &Store, user: Uuid, what: &str, act: impl FnOnce(Store) -> F)
where
    F: Future<Output = Result<bool, StorageError>> + Send + 'static,
{
    let before = last_id(store).await;
    let mut holder = store.postgres().begin().await.unwrap();
    let lock = sqlx::query("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE").bind(user);
    lock.execute(&mut *holder).await.unwrap();
    let mut task = JoinSet::new();
    task.spawn(act(store.clone()));
    timeout(PATIENCE, store.wait_for_a_lock()).await.unwrap_or_else(|_| panic!("{what} does not wait"));
    assert_eq!(last_id(store).await, before, "{what} draws an id before it holds the user");
    holder.commit().await.unwrap();
    assert!(task.join_next().await.unwrap().unwrap().unwrap(), "{what} was refused");
    assert!(last_id(store).await > before, "{what} appends no event");
}

/// Holds a user, and expects that an act which waits for nobody draws no id for them until it can have them.
async fn passes_over<F>(store: &Store, user: Uuid, what: &str, act: impl Fn(Store) -> F)
where
    F: Future<Output = Result<usize, StorageError>>,
{
    let before = last_id(store).await;
    let mut holder = store.postgres().begin().await.unwrap();
    let lock = sqlx::query("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE").bind(user);
    lock.execute(&mut *holder).await.unwrap();
    let done = timeout(PATIENCE, act(store.clone())).await.unwrap_or_else(|_| panic!("{what} waits"));
    assert_eq!(done.unwrap(), 0, "{what}");
    assert_eq!(last_id(store).await, before, "{what} draws an id before it holds the user");
    holder.commit().await.unwrap();
    assert_eq!(act(store.clone()).await.unwrap(), 1, "{what}");
    assert!(last_id(store).await > before, "{what} appends no event");
}

pub async fn x20_no_act_appends_an_event_before_it_holds_the_user(store: Store) {
    let now = start() + seconds(1);
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    let (id, claim_token) = (bob.id, unique_id());
    for settlement in [Settlement::Delivered, Settlement::Discarded { error: "550".into() }] {
        let mail = store.claim_mails(now, now + seconds(60), claim_token, 1).await.unwrap().mails.remove(0);
        waits(&store, mail.user_id.0, "settling a mail", |store| async move {
            store.settle_mail(mail.id, claim_token, &settlement, now).await
        })
        .await;
    }
    waits(&store, alice.id.0, "activating", |store| async move {
        Ok(store.activate(&activation(key, now)).await?.is_ok())
    })
    .await;
    waits(&store, id.0, "disabling", |store| async move { Ok(store.disable_user(id, now).await?.is_some()) })
        .await;
    waits(&store, id.0, "enabling", |store| async move { Ok(store.enable_user(id, now).await?.is_some()) })
        .await;
    waits(&store, id.0, "activating by hand", |store| async move {
        Ok(store.activate_user(id, now).await?.is_ok())
    })
    .await;
    waits(&store, id.0, "deleting", |store| async move { Ok(store.delete_user(id, now).await?.is_some()) })
        .await;
    let (carol, _) = register(&store, "carol", "carol@example.com").await;
    waits(&store, carol.id.0, "giving way", |store| async move {
        let late = registration_at("carol", "new@example.com", start() + window());
        Ok(store.register(&late).await?.is_ok())
    })
    .await;
}

pub async fn x20_no_act_on_an_address_or_a_mail_appends_an_event_before_it_holds_the_user(store: Store) {
    let now = start() + seconds(2);
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let digest = add(&store, &alice, "second@example.com").await;
    waits(&store, alice.id.0, "verifying an address", |store| async move {
        Ok(store.verify_email_address(&Verification { digest, now }).await?.is_ok())
    })
    .await;
    let change = change(&alice, "second@example.com", now);
    waits(&store, alice.id.0, "changing the primary address", |store| async move {
        Ok(store.set_primary_email_address(&change).await?.is_ok())
    })
    .await;
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    let of_bob = MailFilter { user_id: Some(bob.id), ..MailFilter::default() };
    let mail_id = store.list_mails(&of_bob, PageSize::at_most(1), None).await.unwrap().items[0].id;
    waits(&store, bob.id.0, "discarding a mail", |store| async move {
        Ok(store.discard_mail(mail_id, now).await?.is_ok())
    })
    .await;
}

pub async fn x20_no_act_on_a_selection_appends_an_event_before_it_holds_the_user(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let now = start() + window();
    passes_over(&store, alice.id.0, "reminding", |store| {
        let reminders = [reminder(&alice, now)];
        async move { Ok(store.remind(&anybody(now), &reminders, &[]).await?.unwrap().len()) }
    })
    .await;
    let (id, filter) = (alice.id, UnverifiedFilter { created_after: Some(start()), ..Default::default() });
    passes_over(&store, id.0, "purging the selected", |store| {
        let selection = PurgeSelection { filter: filter.clone(), now };
        async move { Ok(store.purge_selected(&selection, &[id]).await?.len()) }
    })
    .await;
}
