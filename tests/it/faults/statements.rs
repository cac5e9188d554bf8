//! Statements that fail, and what must not depend on them.

use std::time::Duration;

use tokio::task::JoinSet;
use tonic::Code;
use vestibule::grpc::proto::{
    CreateRegistrationProfileRequest, DeleteRegistrationProfileRequest, DeleteUserRequest,
    RecordLoginRequest, ReissueActivationKeyRequest,
};

use super::{SESSIONS, assert_nothing_is_written, create, unavailable};
use crate::{
    contract::{
        people,
        store::{Store, on_postgres},
    },
    rules::{deadlines::hold_writes, start},
    support::server::{eventually, refused},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_the_database_becomes_a_code_and_leaves_nothing_behind() {
    on_postgres(|store: Store| async move {
        let (_server, client) = start(&store, "").await;
        let conflict = (Code::Aborted, "CONCURRENT_UPDATE", Some(Duration::ZERO));
        let unavailable = (Code::Unavailable, "STORAGE_UNAVAILABLE", Some(Duration::from_secs(1)));
        let internal = (Code::Internal, "INTERNAL", None);
        for (state, (code, reason, delay)) in [
            ("40001", conflict),    // serialization_failure
            ("40P01", conflict),    // deadlock_detected
            ("55P03", conflict),    // lock_not_available
            ("40003", unavailable), // statement_completion_unknown
            ("25006", unavailable), // read_only_sql_transaction
            ("25P03", unavailable), // idle_in_transaction_session_timeout
            ("08006", unavailable), // connection_failure
            ("28P01", unavailable), // invalid_password
            ("3D000", unavailable), // invalid_catalog_name
            ("53100", unavailable), // disk_full
            ("53200", unavailable), // out_of_memory
            ("57014", unavailable), // query_canceled
            ("57P01", unavailable), // admin_shutdown
            ("58030", unavailable), // io_error
            ("42501", internal),    // insufficient_privilege
            ("XX001", internal),    // data_corrupted
        ] {
            // The last thing that a registration writes.
            store
                .execute(format!(
                    "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
                     $$ BEGIN RAISE 'hunter2' USING ERRCODE = '{state}'; END $$"
                ))
                .await;
            store.execute("CREATE TRIGGER fail BEFORE INSERT ON events EXECUTE FUNCTION fail()").await;
            let refusal = create(&client, "alice").await;
            let message = refusal.as_ref().unwrap_err().message().to_owned();
            assert!(!message.contains("hunter2"), "{state}: {message}");
            let details = refused(refusal, code, reason);
            assert_eq!(details.retry_info().and_then(|info| info.retry_delay), delay, "{state}");
            store.execute("DROP TRIGGER fail ON events").await;
            assert_nothing_is_written(&store).await;
        }
        create(&client, "alice").await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_takes_too_long_is_given_up_and_the_next_is_not() {
    on_postgres(|store: Store| async move {
        let (_server, client) = start(&store, "database.timeout_seconds = 1").await;
        let alice = client.register("alice", "alice@example.com").await;
        let request = || ReissueActivationKeyRequest { user_id: alice.id.to_string() };
        let mut held = store.postgres().begin().await.unwrap();
        sqlx::query("LOCK TABLE users, activation_keys IN SHARE MODE").execute(&mut *held).await.unwrap();
        unavailable(create(&client, "bob").await);
        unavailable(client.reissue_activation_key(request()).await);
        // What was in a transaction the server ends by itself, lock or no lock.
        let waiting =
            format!("{SESSIONS} AND wait_event_type = 'Lock' AND query LIKE '%activation_keys WHERE%'");
        eventually("nobody waits", || async { store.count(&waiting).await == 0 }).await;
        held.rollback().await.unwrap();
        client.reissue_activation_key(request()).await.unwrap();
        create(&client, "carol").await.unwrap();
    })
    .await;
}

/// What was told to have failed isn't done later, when nobody expects it any more, and the database isn't left with a
/// growing number of sessions that wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_held_row_keeps_waiting_is_given_up_on_both_sides() {
    on_postgres(|store: Store| async move {
        let settings = "database.timeout_seconds = 1\ndatabase.max_connections = 2";
        let (_server, client) = start(&store, settings).await;
        let alice = client.register("alice", "alice@example.com").await;
        let user_id = alice.id.to_string();
        let mut held = store.postgres().begin().await.unwrap();
        sqlx::query("SELECT FROM users FOR UPDATE").execute(&mut *held).await.unwrap();
        for _ in 0..4 {
            let login = RecordLoginRequest { user_id: user_id.clone(), login_time: None };
            let deletion = DeleteUserRequest { user_id: user_id.clone() };
            let outcomes = tokio::join!(client.record_login(login), client.delete_user(deletion));
            assert!(outcomes.0.is_err() && outcomes.1.is_err());
            assert!(store.count(SESSIONS).await <= 3, "two, and one for readiness");
        }
        let waiting = format!("{SESSIONS} AND wait_event_type = 'Lock'");
        eventually("nobody waits", || async { store.count(&waiting).await == 0 }).await;
        let before = store.contents().await;
        held.rollback().await.unwrap();
        create(&client, "bob").await.unwrap();
        assert_eq!(store.count("users").await, 2);
        assert!(before.iter().all(|row| !row.contains("user_deleted")));
        assert_eq!(store.count("users WHERE last_login_time IS NOT NULL").await, 0);
    })
    .await;
}

/// Nothing that can fail stands between a commit and the answer: a key that was returned to nobody is lost.
pub async fn what_can_not_be_counted_is_not_done(store: Store) {
    let (_server, client) = start(&store, "").await;
    let user_id = client.register("alice", "alice@example.com").await.id.to_string();
    let create = || CreateRegistrationProfileRequest {
        user_id: user_id.clone(),
        send_email: Some(false),
        ..Default::default()
    };
    let delete = || DeleteRegistrationProfileRequest { user_id: user_id.clone() };
    let profiles = "users WHERE profile_issue_time IS NOT NULL";
    for there in [1, 0] {
        store.execute("ALTER TABLE mails RENAME TO elsewhere").await;
        let code = match there {
            1 => client.delete_registration_profile(delete()).await.unwrap_err().code(),
            _ => client.create_registration_profile(create()).await.unwrap_err().code(),
        };
        assert_eq!((code, store.count(profiles).await), (Code::Internal, there));
        store.execute("ALTER TABLE elsewhere RENAME TO mails").await;
        match there {
            1 => drop(client.delete_registration_profile(delete()).await.unwrap()),
            _ => {
                let created = client.create_registration_profile(create()).await.unwrap();
                client.use_key(&created.activation_key).await.unwrap();
            }
        }
    }
}

pub async fn readiness_needs_no_free_connection(store: Store) {
    let held = hold_writes(&store).await;
    let busy = store.another(1);
    let mut acts = JoinSet::new();
    for number in 0..3 {
        let busy = busy.clone();
        let registration = people::registration("alice", &format!("a{number}@example.com"));
        acts.spawn(async move { busy.register(&registration).await });
    }
    if store.url().starts_with("postgres:") {
        store.wait_for_a_lock().await;
    }
    assert!(busy.is_ready().await.unwrap());
    held.release().await;
    // Those who could not wait so long are refused, and at most one registered.
    let registered = acts.join_all().await.into_iter().filter(|act| matches!(act, Ok(Ok(_)))).count();
    assert!(registered <= 1);
    busy.close().await;
}
