//! Rows that somebody's transaction holds, which there are on Postgres alone: X7, X17, X18.

use std::time::Duration;

use sqlx::{Postgres, Transaction};
use tokio::{task::JoinSet, time::timeout};
use vestibule::{
    domain::{
        unverified::{PurgeSelection, UnverifiedFilter},
        user::{User, UserState},
    },
    repository::RegisterRefusal,
};

use super::{
    people::{find, register, registration_at, start, window},
    purging::scope,
    reminding::{anybody, reminder},
    store::Store,
};

/// Longer than anything here takes that does not wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// Begins a transaction that holds a user.
async fn hold(store: &Store, user: &User) -> Transaction<'static, Postgres> {
    let mut holder = store.postgres().begin().await.unwrap();
    let lock = sqlx::query("SELECT FROM users WHERE id = $1 FOR UPDATE").bind(user.id.0);
    lock.execute(&mut *holder).await.unwrap();
    holder
}

/// Activates the user in the transaction that holds it.
async fn activate(holder: &mut Transaction<'static, Postgres>, user: &User) {
    sqlx::query("UPDATE users SET state = 'ACTIVE', activate_time = create_time WHERE id = $1")
        .bind(user.id.0)
        .execute(&mut **holder)
        .await
        .unwrap();
}

/// A purge that must not wait.
async fn purge(store: &Store) -> Vec<User> {
    let purge = store.purge(scope(start() + window()), 10);
    timeout(PATIENCE, purge).await.expect("a purge does not wait").unwrap()
}

pub async fn x18_a_purge_takes_others_and_never_waits_for_whom_somebody_holds(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    let holder = hold(&store, &alice).await;
    assert_eq!(purge(&store).await, [bob]);
    assert_eq!(purge(&store).await, []);
    holder.rollback().await.unwrap();
    assert_eq!(purge(&store).await, [alice]);
}

pub async fn x18_a_purge_of_the_selected_and_reminders_never_wait_for_whom_somebody_holds(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    let now = start() + window();
    let holder = hold(&store, &alice).await;
    let reminders = [reminder(&alice, now), reminder(&bob, now)];
    let selection = anybody(now);
    let remind = timeout(PATIENCE, store.remind(&selection, &reminders, &[]));
    let reminded = remind.await.expect("a reminder does not wait").unwrap().unwrap();
    assert_eq!(reminded.into_iter().map(|user| user.id).collect::<Vec<_>>(), [bob.id]);
    let filter = UnverifiedFilter { created_after: Some(start()), ..UnverifiedFilter::default() };
    let (selection, ids) = (PurgeSelection { filter, now }, [alice.id, bob.id]);
    let purge = timeout(PATIENCE, store.purge_selected(&selection, &ids));
    let gone = purge.await.expect("a purge does not wait").unwrap();
    assert_eq!(gone.into_iter().map(|user| user.id).collect::<Vec<_>>(), [bob.id]);
    holder.rollback().await.unwrap();
    assert_eq!(store.purge_selected(&selection, &ids).await.unwrap(), [alice]);
}

pub async fn x17_who_logs_in_while_a_purge_of_the_idle_runs_is_spared(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let idle = UnverifiedFilter { idle_since: Some(start()), ..UnverifiedFilter::default() };
    let selection = PurgeSelection { filter: idle, now: start() + window() };
    let mut login = store.postgres().begin().await.unwrap();
    sqlx::query("UPDATE users SET last_login_time = create_time").execute(&mut *login).await.unwrap();
    assert_eq!(store.purge_selected(&selection, &[alice.id]).await.unwrap(), []);
    login.commit().await.unwrap();
    assert_eq!(store.purge_selected(&selection, &[alice.id]).await.unwrap(), []);
    assert!(find(&store, &alice).await.is_some());
}

pub async fn x17_who_is_being_activated_while_a_purge_runs_is_spared(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let mut holder = hold(&store, &alice).await;
    activate(&mut holder, &alice).await;
    assert_eq!(purge(&store).await, []);
    holder.commit().await.unwrap();
    assert_eq!(purge(&store).await, []);
    assert_eq!(find(&store, &alice).await.unwrap().state, UserState::Active);
    assert_eq!(store.events(alice.id.0).await, ["user_registered"]);
}

pub async fn x7_who_was_activated_while_a_registration_waited_keeps_the_username(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let mut holder = hold(&store, &alice).await;
    let (registering, mut task) = (store.clone(), JoinSet::new());
    let late = registration_at("alice", "new@example.com", start() + window());
    task.spawn(async move { registering.register(&late).await.unwrap() });
    // It has seen that the user can give way, and waits to delete it.
    store.wait_for_a_lock().await;
    activate(&mut holder, &alice).await;
    holder.commit().await.unwrap();
    let refusal = timeout(PATIENCE, task.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(refusal.unwrap_err(), RegisterRefusal::UsernameTaken);
    assert_eq!(store.events(alice.id.0).await, ["user_registered"]);
    assert_eq!(store.count("users").await, 1);
}
