//! What a caller is told when the database is in the way; each store gets there in a way of its own.

use std::{collections::HashSet, time::Duration};

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
        // Whoever is first in the queue meets the file, and may be one of the server's own workers: then all the calls
        // only meet the queue, and the next ones have another chance.
        let conflict = (Code::Aborted, "CONCURRENT_UPDATE".to_owned());
        let unavailable = (Code::Unavailable, "STORAGE_UNAVAILABLE".to_owned());
        let mut answers = HashSet::new();
        while !(answers.contains(&conflict) && answers.contains(&unavailable)) {
            let mut calls = JoinSet::new();
            for number in 0..4 {
                let client = client.clone();
                calls.spawn(async move {
                    client.create_inactive_user(registration(&format!("user{number}"))).await
                });
            }
            for outcome in calls.join_all().await {
                let status = outcome.unwrap_err();
                answers.insert((status.code(), reason(&status)));
            }
            assert!(answers.iter().all(|answer| [&conflict, &unavailable].contains(&answer)), "{answers:?}");
        }
        held.release().await;
        client.create_inactive_user(registration("user0")).await.unwrap();
        assert_eq!(store.count("users").await, 1);
    })
    .await;
}
