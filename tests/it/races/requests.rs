//! The same request, made by a crowd at the same instant: X10.

use vestibule::{
    grpc::proto::{
        CreateInactiveUserRequest, SendActivationEmailRequest, send_activation_email_request::User as By,
    },
    random::{SystemRandom, uuid_v4},
};

use super::{CROWD, Servers, crowd};
use crate::{
    contract::store::{Store, on_postgres, on_sqlite},
    support::server::wait_for_rows,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x10_of_a_thousand_calls_with_one_id_one_is_done_by_two_processes_on_postgres() {
    on_postgres(|store| one_is_done(store, 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x10_of_a_thousand_calls_with_one_id_one_is_done_on_sqlite() {
    on_sqlite(|store| one_is_done(store, 1)).await;
}

async fn one_is_done(store: Store, processes: usize) {
    let servers = Servers::start(&store, processes).await;
    let request_id = uuid_v4(&SystemRandom).to_string();
    let told = crowd(&servers.clients, move |client, _| {
        let request = CreateInactiveUserRequest {
            username: "alice".into(),
            email: "alice@example.com".into(),
            request_id: request_id.clone(),
            ..Default::default()
        };
        async move { client.create_inactive_user(request).await }
    })
    .await;
    let told: Vec<_> = told.into_iter().map(|answer| answer.unwrap()).collect();
    assert_eq!(told.len(), CROWD);
    assert!(told.iter().all(|answer| *answer == told[0]), "everybody is told the same");
    for table in [
        "users",
        "email_addresses",
        "activation_keys",
        "mails",
        "requests",
        "events WHERE kind = 'user_registered'",
    ] {
        assert_eq!(store.count(table).await, 1, "{table}");
    }

    let request_id = uuid_v4(&SystemRandom).to_string();
    let told = crowd(&servers.clients, move |client, _| {
        let user = Some(By::Email("alice@example.com".into()));
        let request = SendActivationEmailRequest { user, request_id: request_id.clone() };
        async move { client.send_activation_email(request).await }
    })
    .await;
    assert_eq!(told.into_iter().filter(Result::is_ok).count(), CROWD);
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 2).await;
    assert_eq!(store.count("mails").await, 2);
    servers.stop();
}
