//! What a caller is told when the database is in the way; each store gets there in a way of its own.

use std::time::Duration;

use tokio::task::JoinSet;
use tonic::Code;
use vestibule::grpc::proto::CreateInactiveUserRequest;

use super::{deadlines::hold_writes, start};
use crate::{
    contract::store::{Store, on_postgres, on_sqlite},
    support::server::{reason, refused},
};

fn registration(username: &str) -> CreateInactiveUserRequest {
    let email = format!("{username}@example.com");
    CreateInactiveUserRequest { username: username.into(), email, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_not_had_is_a_concurrent_update() {
    on_postgres(|store: Store| async move {
        store.set("lock_timeout = '50ms'").await;
        let (_server, client) = start(&store, "").await;
        let held = hold_writes(&store).await;
        let refusal = client.create_inactive_user(registration("alice")).await;
        let details = refused(refusal, Code::Aborted, "CONCURRENT_UPDATE");
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::ZERO));
        held.release().await;
        client.create_inactive_user(registration("alice")).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_another_process_writes_is_a_conflict_and_the_queue_for_it_unavailable() {
    on_sqlite(|store: Store| async move {
        let (_server, client) = start(&store, "").await;
        let held = hold_writes(&store).await;
        let mut calls = JoinSet::new();
        for number in 0..4 {
            let client = client.clone();
            calls.spawn(
                async move { client.create_inactive_user(registration(&format!("user{number}"))).await },
            );
        }
        let mut answers: Vec<_> = calls
            .join_all()
            .await
            .into_iter()
            .map(|outcome| {
                let status = outcome.unwrap_err();
                (status.code(), reason(&status))
            })
            .collect();
        answers.sort_by_key(|(code, _)| i32::from(*code));
        answers.dedup();
        let unavailable = (Code::Unavailable, "STORAGE_UNAVAILABLE".to_owned());
        assert_eq!(answers, [(Code::Aborted, "CONCURRENT_UPDATE".to_owned()), unavailable]);
        held.release().await;
        client.create_inactive_user(registration("user0")).await.unwrap();
        assert_eq!(store.count("users").await, 1);
    })
    .await;
}
