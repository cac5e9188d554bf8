//! Sessions that end, are refused, or are not what they should be.

use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinSet;
use vestibule::grpc::proto::ListUnverifiedRequest;

use super::{SESSIONS, assert_nothing_is_written, assert_works, create, unavailable, wait_until_serving};
use crate::{
    contract::store::{Store, on_postgres, on_sqlite},
    rules::{deadlines::hold_writes, start},
    support::{
        proxy::Proxy,
        server::{TestServer, eventually},
    },
};

/// How many sessions were ended.
async fn terminate_all(store: &Store) -> usize {
    store.texts(format!("SELECT pg_terminate_backend(pid)::text FROM {SESSIONS}")).await.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_writes_is_left_alone_until_it_does() {
    on_postgres(|store: Store| async move {
        store.set("default_transaction_read_only = on").await;
        let (server, client) = start(&store, "").await;
        unavailable(create(&client, "alice").await);
        // It may be a primary of yesterday, and what it says out of date.
        unavailable(client.list_unverified(ListUnverifiedRequest::default()).await);
        wait_until_serving(&server, false).await;
        // Another session than those that take no writes may say so.
        let admin = "SET default_transaction_read_only = off";
        let mut session = store.postgres().acquire().await.unwrap();
        sqlx::query(admin).execute(&mut *session).await.unwrap();
        let database = store.texts("SELECT current_database()::text").await.concat();
        let reset = format!("ALTER DATABASE {database} RESET default_transaction_read_only");
        sqlx::query(sqlx::AssertSqlSafe(reset)).execute(&mut *session).await.unwrap();
        wait_until_serving(&server, true).await;
        assert_works(&client, "alice").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_left_in_a_transaction_is_not_handed_on() {
    on_postgres(|store: Store| async move {
        let way = Proxy::to(store.url()).await;
        let server = TestServer::start_configured(&way.url, "database.max_connections = 1").await;
        let client = server.client().await;
        assert_works(&client, "alice").await;
        way.meddle().await;
        create(&client, "bob").await.unwrap();
        // Others see it: it was not written into a transaction that nobody commits.
        assert_eq!(store.count("users").await, 2);
        let open = format!("{SESSIONS} AND state LIKE 'idle in transaction%'");
        eventually("no open transaction", || async { store.count(&open).await == 0 }).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_were_ended_while_idle_are_replaced_and_nobody_notices() {
    on_postgres(|store: Store| async move {
        let (server, client) = start(&store, "").await;
        wait_until_serving(&server, true).await;
        for round in 0..5 {
            assert_works(&client, &format!("user{round}")).await;
            assert!(terminate_all(&store).await > 0);
        }
        assert_works(&client, "alice").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_ended_in_the_middle_is_told_of_and_nothing_is_half_written() {
    on_postgres(|store: Store| async move {
        let (_server, client) = start(&store, "").await;
        let held = hold_writes(&store).await;
        let mut call = JoinSet::new();
        let caller = client.clone();
        call.spawn(async move { create(&caller, "alice").await });
        store.wait_for_a_lock().await;
        terminate_all(&store).await;
        unavailable(call.join_next().await.unwrap().unwrap());
        held.release().await;
        assert_nothing_is_written(&store).await;
        assert_works(&client, "alice").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_without_room_for_a_session_is_unavailable_until_there_is() {
    on_postgres(|store: Store| async move {
        let role = store.texts("SELECT current_database()::text").await.concat();
        // Limits don't bind superusers.
        store.execute(format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2' CONNECTION LIMIT 0")).await;
        store.execute(format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")).await;
        let options: PgConnectOptions = store.url().parse().unwrap();
        let url = sqlx::ConnectOptions::to_url_lossy(&options.username(&role).password("hunter2"));
        let server = TestServer::start_configured(url.as_str(), "").await;
        let client = server.client().await;
        unavailable(create(&client, "alice").await);
        wait_until_serving(&server, false).await;
        store.execute(format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await;
        wait_until_serving(&server, true).await;
        assert_works(&client, "alice").await;
        server.stop().await;
        store.execute(format!("DROP OWNED BY {role}")).await;
        store.execute(format!("DROP ROLE {role}")).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_gone_is_told_by_health_until_it_is_back() {
    on_sqlite(|store: Store| async move {
        let (server, client) = start(&store, "").await;
        wait_until_serving(&server, true).await;
        let path = store.url().trim_start_matches("sqlite:").to_owned();
        let elsewhere = format!("{path}.elsewhere");
        std::fs::rename(&path, &elsewhere).unwrap();
        wait_until_serving(&server, false).await;
        std::fs::rename(&elsewhere, &path).unwrap();
        wait_until_serving(&server, true).await;
        assert_works(&client, "alice").await;
    })
    .await;
}
