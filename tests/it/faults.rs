//! What happens when the database fails, fault by fault, and when callers do: the real server, the real client.
//!
//! Each time the caller is told by code and reason, nothing is half-written, and once the fault is gone everything
//! works again without a restart.

mod failover;
mod impatience;
mod network;
mod sessions;
mod statements;

use std::time::Duration;

use tonic::{Code, Status};
use vestibule::grpc::{
    probe,
    proto::{CreateInactiveUserRequest, CreateInactiveUserResponse, ListUnverifiedRequest},
};

use crate::{
    contract::store::Store,
    support::server::{Client, TestServer, eventually, on_each_store, refused},
};

on_each_store! {
    statements: [
        what_can_not_be_counted_is_not_done,
        readiness_needs_no_free_connection,
    ]
    impatience: [
        callers_who_go_away_leave_nothing_half_written,
        callers_with_deadlines_leave_nothing_half_written,
    ]
}

/// What the sessions of servers look like from the database.
const SESSIONS: &str =
    "pg_stat_activity WHERE datname = current_database() AND application_name = 'vestibule'";

fn registration(username: &str) -> CreateInactiveUserRequest {
    let email = format!("{username}@example.com");
    CreateInactiveUserRequest { username: username.into(), email, ..Default::default() }
}

async fn create(client: &Client, username: &str) -> Result<CreateInactiveUserResponse, Status> {
    client.create_inactive_user(registration(username)).await
}

/// The database is in the way, for now.
fn unavailable<T>(outcome: Result<T, Status>) {
    let details = refused(outcome, Code::Unavailable, "STORAGE_UNAVAILABLE");
    assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(1)));
}

/// Returns once the server's health says so.
async fn wait_until_serving(server: &TestServer, serving: bool) {
    let what = if serving { "serving" } else { "not serving" };
    let address = server.address;
    eventually(
        what,
        move || async move { probe(address, Duration::from_secs(10)).await.unwrap() == serving },
    )
    .await;
}

/// Reading and writing work.
async fn assert_works(client: &Client, username: &str) {
    create(client, username).await.unwrap();
    client.list_unverified(ListUnverifiedRequest::default()).await.unwrap();
}

/// There is nobody, and nothing of anybody.
async fn assert_nothing_is_written(store: &Store) {
    assert_eq!(store.counts().await, [0; 6]);
}
