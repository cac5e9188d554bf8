//! Ways to the database that are closed, or silent.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use vestibule::grpc::proto::ReissueActivationKeyRequest;

use super::{SESSIONS, assert_nothing_is_written, assert_works, create, unavailable, wait_until_serving};
use crate::{
    contract::store::{Store, on_postgres},
    support::{
        proxy::{Proxy, Way},
        server::{Client, TestServer, eventually},
    },
};

/// Acts are given up after a second, and there are two sessions for them.
const SETTINGS: &str = "database.max_connections = 2\ndatabase.timeout_seconds = 1";

async fn start(store: &Store) -> (Proxy, TestServer, Client) {
    let way = Proxy::to(store.url()).await;
    let server = TestServer::start_configured(&way.url, SETTINGS).await;
    let client = server.client().await;
    (way, server, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_refuses_connections_is_unavailable_until_it_takes_them() {
    on_postgres(|store: Store| async move {
        let (way, server, client) = start(&store).await;
        wait_until_serving(&server, true).await;
        way.set(Way::Closed);
        wait_until_serving(&server, false).await;
        unavailable(create(&client, "alice").await);
        assert_nothing_is_written(&store).await;
        way.set(Way::Open);
        wait_until_serving(&server, true).await;
        assert_works(&client, "alice").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_takes_no_session_for_good() {
    on_postgres(|store: Store| async move {
        let (way, server, client) = start(&store).await;
        wait_until_serving(&server, true).await;
        way.set(Way::Silent);
        let mut calls = JoinSet::new();
        for number in 0..8 {
            let client = client.clone();
            calls.spawn(async move { create(&client, &format!("user{number}")).await });
        }
        let answers = timeout(Duration::from_secs(15), calls.join_all()).await.expect("no call hangs");
        answers.into_iter().for_each(unavailable);
        wait_until_serving(&server, false).await;
        assert_nothing_is_written(&store).await;
        way.set(Way::Open);
        wait_until_serving(&server, true).await;
        for number in 0..8 {
            assert_works(&client, &format!("user{number}")).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_falls_silent_keeps_its_locks_for_a_moment_only() {
    on_postgres(|store: Store| async move {
        let (way, _server, client) = start(&store).await;
        let alice = client.register("alice", "alice@example.com").await;
        let request = ReissueActivationKeyRequest { user_id: alice.id.to_string() };
        let mut held = store.postgres().begin().await.unwrap();
        sqlx::query("LOCK TABLE activation_keys IN SHARE MODE").execute(&mut *held).await.unwrap();
        let mut call = JoinSet::new();
        let (caller, asked) = (client.clone(), request.clone());
        call.spawn(async move { caller.reissue_activation_key(asked).await });
        store.wait_for_a_lock().await;
        // What the transaction has locked it keeps, and its client can't be heard any more.
        way.set(Way::Silent);
        held.rollback().await.unwrap();
        unavailable(call.join_next().await.unwrap().unwrap());
        way.set(Way::Open);
        let silent = Instant::now();
        let open = format!("{SESSIONS} AND state LIKE 'idle in transaction%'");
        eventually("no open transaction", || async { store.count(&open).await == 0 }).await;
        assert!(silent.elapsed() < Duration::from_secs(10));
        client.reissue_activation_key(request).await.unwrap();
    })
    .await;
}
