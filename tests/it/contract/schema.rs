//! Migrating, being ready, closing.

use vestibule::repository::StorageError;

use super::{
    people::{register, registration, start},
    store::Store,
};

pub async fn migrating_twice_changes_nothing(store: Store) {
    register(&store, "alice", "alice@example.com").await;
    let before = store.contents().await;
    store.migrate().await.unwrap();
    assert_eq!(store.contents().await, before);
    assert!(store.is_ready().await.unwrap());
}

pub async fn a_store_is_ready_once_it_is_migrated(store: Store) {
    store.drop_schema().await;
    let fresh = store.another(2);
    assert!(!fresh.is_ready().await.unwrap());
    fresh.migrate().await.unwrap();
    assert!(fresh.is_ready().await.unwrap());
    store.execute("DELETE FROM _sqlx_migrations").await;
    assert!(!fresh.is_ready().await.unwrap());
    fresh.close().await;
}

pub async fn processes_that_migrate_at_once_do_each_other_no_harm(store: Store) {
    store.drop_schema().await;
    let mut migrations = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let process = store.another(2);
        migrations.spawn(async move {
            process.migrate().await.unwrap();
            assert!(process.is_ready().await.unwrap());
            process.close().await;
        });
    }
    while let Some(migrated) = migrations.join_next().await {
        migrated.unwrap();
    }
    register(&store, "alice", "alice@example.com").await;
}

pub async fn a_closed_store_is_unavailable(store: Store) {
    let process = store.another(2);
    register(&store, "alice", "alice@example.com").await;
    assert!(process.is_ready().await.unwrap());
    process.close().await;
    let written = process.register(&registration("bob", "bob@example.com")).await.unwrap_err();
    assert!(matches!(written, StorageError::Unavailable(_)), "{written:?}");
    let read = process.list_pending_claims(&super::people::email("alice@example.com"), start(), 1).await;
    assert!(matches!(read, Err(StorageError::Unavailable(_))), "{read:?}");
}
