//! X22: a clock that went wrong deletes nobody.

use chrono::Duration;
use tonic::{Code, Status};
use vestibule::{
    clock::Clock as _,
    grpc::proto::{CreateInactiveUserRequest, PurgeExpiredRequest, get_user_request::User as By},
};

use super::{start, tick};
use crate::{
    contract::store::{Store, on_postgres},
    support::server::{instant, refused},
};

fn registration(username: &str) -> CreateInactiveUserRequest {
    CreateInactiveUserRequest {
        username: username.to_owned(),
        email: "somebody@example.com".to_owned(),
        ..Default::default()
    }
}

fn refused_for_the_clock<T>(outcome: Result<T, Status>, reference: &str) {
    let details = refused(outcome, Code::FailedPrecondition, "CLOCK_SUSPECT");
    let metadata = &details.error_info().unwrap().metadata;
    assert_eq!(metadata["reference"], reference);
    assert!(metadata.contains_key("service_time") && metadata.contains_key("reference_time"));
}

pub async fn x22_a_clock_that_jumped_neither_purges_nor_makes_give_way_until_it_agrees_again(store: Store) {
    let (server, client) = start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    let jump = alice.expire_time - server.clock.now();
    let before = store.contents().await;
    for jump in [jump, Duration::days(-1)] {
        server.clock.go_wrong(jump);
        refused_for_the_clock(client.purge_expired(PurgeExpiredRequest::default()).await, "monotonic");
        if jump > Duration::zero() {
            refused_for_the_clock(client.create_inactive_user(registration("Alice")).await, "monotonic");
        }
        // A preview deletes nobody, and shows what the clock would do.
        let preview = PurgeExpiredRequest { validate_only: true, ..Default::default() };
        let count = client.purge_expired(preview).await.unwrap().purge_count;
        assert_eq!(count, i32::from(jump > Duration::zero()));
        server.clock.go_wrong(-jump);
    }
    assert_eq!(store.contents().await, before);
    // Whoever needs nobody to give way is registered all the same.
    server.clock.go_wrong(jump);
    client.create_inactive_user(registration("bob")).await.unwrap();
    server.clock.go_wrong(-jump);
    // A clock that is put forward on purpose is trusted.
    server.clock.set(alice.expire_time);
    let user = client.create_inactive_user(registration("Alice")).await.unwrap().user.unwrap();
    assert_ne!(user.id, alice.id.to_string());
    let bob = client.user(By::Username("bob".into())).await.unwrap();
    server.clock.set(instant(bob.create_time) + Duration::days(7));
    assert_eq!(client.purge().await.purge_count, 2);
}

pub async fn x22_a_minute_is_not_suspect_and_more_is(store: Store) {
    let (server, client) = start(&store, "").await;
    // Seconds pass while this runs, in which the standing clock falls behind by its own doing and not by a fault.
    for (fault, suspect) in [(55, false), (-55, false), (65, true), (-65, true)] {
        server.clock.go_wrong(Duration::seconds(fault));
        let outcome = client.purge_expired(PurgeExpiredRequest::default()).await;
        if suspect {
            refused_for_the_clock(outcome, "monotonic");
        } else {
            outcome.unwrap();
        }
        server.clock.go_wrong(Duration::seconds(-fault));
    }
    server.clock.advance(tick());
    client.purge().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x22_nobody_is_deleted_while_the_database_shows_another_time() {
    on_postgres(|store| async move {
        // The one way to a database whose clock is wrong: a function that is found before the real one.
        let database = store.texts("SELECT current_database()::text").await.remove(0);
        store.execute(format!("ALTER DATABASE {database} SET search_path = public, pg_catalog")).await;
        let differ = async |seconds: i32| {
            store
                .execute(format!(
                    "CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
                     $$ SELECT pg_catalog.clock_timestamp() + interval '{seconds} seconds' $$"
                ))
                .await;
        };
        differ(0).await;
        let (server, client) = start(&store, "").await;
        let alice = client.register("alice", "alice@example.com").await;
        server.clock.set(alice.expire_time);
        let before = store.contents().await;
        for seconds in [65, -65, 1_000_000] {
            differ(seconds).await;
            refused_for_the_clock(client.purge_expired(PurgeExpiredRequest::default()).await, "database");
            refused_for_the_clock(client.create_inactive_user(registration("Alice")).await, "database");
        }
        assert_eq!(store.contents().await, before);
        for (seconds, username) in [(55, "Alice"), (-55, "ALICE")] {
            differ(seconds).await;
            client.create_inactive_user(registration(username)).await.unwrap();
            server.clock.advance(Duration::days(7));
        }
        assert_eq!(client.purge().await.purge_count, 1);
    })
    .await;
}
