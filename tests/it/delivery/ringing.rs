//! The mail bell between servers on one Postgres database.

use tokio::{sync::mpsc, time};

use crate::contract::store::{Store, on_postgres};

/// Longer than a ring takes, and much shorter than a test.
const PATIENCE: time::Duration = time::Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_is_heard_by_other_servers_also_after_their_session_was_lost() {
    on_postgres(ring).await;
}

async fn ring(store: Store) {
    let (heard, mut rings) = mpsc::unbounded_channel();
    let listener = store.another(2);
    let listening = tokio::spawn(async move {
        listener.hear_mail_bell(&mut || heard.send(()).unwrap()).await.unwrap();
    });
    let mut next = async || time::timeout(PATIENCE, rings.recv()).await.expect("a ring").unwrap();
    // It may have been rung before anybody listened.
    next().await;
    for _ in 0..3 {
        store.ring_mail_bell().await.unwrap();
        next().await;
    }
    let listeners = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(store.texts(&format!("SELECT pg_terminate_backend(pid)::text {listeners}")).await, ["true"]);
    // A ring may have been lost with it.
    next().await;
    store.ring_mail_bell().await.unwrap();
    next().await;
    listening.abort();
}
