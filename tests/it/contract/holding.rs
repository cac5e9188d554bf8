//! Rows that somebody holds, which there are on Postgres alone: X17, X18.

use std::time::Duration;

use tokio::{task::JoinSet, time::timeout};
use vestibule::domain::user::{User, UserState};

use super::{
    people::{find, register, start, window},
    purging::scope,
    store::Store,
};

/// Longer than anything here takes that does not wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// A purge that waits in a task of its own.
fn purging(store: &Store) -> JoinSet<Vec<User>> {
    let (store, mut task) = (store.clone(), JoinSet::new());
    task.spawn(async move { store.purge(scope(start() + window()), 10).await.unwrap() });
    task
}

pub async fn x18_a_purge_takes_others_at_once_and_waits_for_whom_somebody_holds(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    let mut holder = store.postgres().begin().await.unwrap();
    sqlx::query("SELECT FROM users WHERE id = $1 FOR UPDATE")
        .bind(alice.id.0)
        .execute(&mut *holder)
        .await
        .unwrap();
    let gone = timeout(PATIENCE, store.purge(scope(start() + window()), 10)).await.unwrap().unwrap();
    assert_eq!(gone, [bob]);
    let mut waiting = purging(&store);
    store.wait_for_a_lock().await;
    holder.rollback().await.unwrap();
    let gone = timeout(PATIENCE, waiting.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(gone, [alice]);
}

pub async fn x17_who_was_activated_while_a_purge_waited_is_spared(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let mut holder = store.postgres().begin().await.unwrap();
    sqlx::query("UPDATE users SET state = 'ACTIVE', activate_time = create_time WHERE id = $1")
        .bind(alice.id.0)
        .execute(&mut *holder)
        .await
        .unwrap();
    let mut waiting = purging(&store);
    store.wait_for_a_lock().await;
    holder.commit().await.unwrap();
    let gone = timeout(PATIENCE, waiting.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(gone, []);
    assert_eq!(find(&store, &alice).await.unwrap().state, UserState::Active);
    assert_eq!(store.events(alice.id.0).await, ["user_registered"]);
}
