//! A server that is asked to stop: what is under way is finished, what is new goes elsewhere, and nothing holds it up.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use sqlx::{Postgres, Transaction};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;
use vestibule::grpc::proto::{DisableUserRequest, GetUserRequest, UserState, get_user_request::User};

use crate::{
    contract::store::{Store, on_postgres},
    support::{
        process::{Process, serve},
        server::{Client, Registered, make_keyring},
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_under_way_is_finished_while_new_ones_are_turned_away() {
    on_postgres(|store| async move {
        let folder = tempfile::tempdir().unwrap();
        make_keyring(folder.path());
        let mut server = start(&store, folder.path(), "5");
        let client = Client::connect(server.address).await;
        let alice = client.register("alice", "alice@example.com").await;
        let _idle = TcpStream::connect(server.address).unwrap();
        let mut health = HealthClient::new(super::connect(server.address).await);
        let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);

        let lock = lock(&store, &alice).await;
        let call = tokio::spawn(disable(client.clone(), alice.id.to_string()));
        store.wait_for_a_lock().await;
        let start = Instant::now();
        server.signal(Signal::SIGTERM);
        server.wait_for("\"message\":\"draining\"");
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
        let refused = client.get_user(GetUserRequest { user: Some(User::Username("alice".into())) }).await;
        // Either the server says so, or the connection takes no more streams, for which clients have codes of their own.
        let refused = refused.unwrap_err();
        if let Some(info) = refused.get_error_details().error_info() {
            assert_eq!((refused.code(), info.reason.as_str()), (Code::Unavailable, "DRAINING"));
        }
        assert!(!call.is_finished());

        lock.rollback().await.unwrap();
        assert_eq!(call.await.unwrap().unwrap().user.unwrap().state(), UserState::Disabled);
        let (status, log) = server.end();
        assert_eq!(status.code(), Some(0), "{log}");
        let took = start.elapsed();
        assert!(
            took < Duration::from_secs(15),
            "neither a silent peer nor a watch holds it up, but it took {took:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_outlasts_the_drain_is_cut_off() {
    on_postgres(|store| async move {
        let folder = tempfile::tempdir().unwrap();
        make_keyring(folder.path());
        let server = start(&store, folder.path(), "1");
        let client = Client::connect(server.address).await;
        let alice = client.register("alice", "alice@example.com").await;
        let lock = lock(&store, &alice).await;
        let call = tokio::spawn(disable(client.clone(), alice.id.to_string()));
        store.wait_for_a_lock().await;
        let (status, log) = server.stop(Signal::SIGTERM);
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("the drain's time is over"), "{log}");
        call.await.unwrap().unwrap_err();
        lock.rollback().await.unwrap();
    })
    .await;
}

fn start(store: &Store, folder: &std::path::Path, drain_seconds: &str) -> Process {
    Process::start(&mut serve(folder, store.url(), &[("VESTIBULE__GRPC__DRAIN_SECONDS", drain_seconds)]))
}

/// Holds the row that every act on a user waits for.
async fn lock(store: &Store, user: &Registered) -> Transaction<'static, Postgres> {
    let mut transaction = store.postgres().begin().await.unwrap();
    let locked = sqlx::query("SELECT FROM users WHERE id = $1 FOR UPDATE").bind(user.id);
    locked.fetch_one(&mut *transaction).await.unwrap();
    transaction
}

async fn disable(
    client: Client,
    user_id: String,
) -> Result<vestibule::grpc::proto::DisableUserResponse, tonic::Status> {
    client.disable_user(DisableUserRequest { user_id }).await
}
