//! Activating the same user, or the same address, at the same instant: R12, X8.

use tokio::task::JoinSet;
use tonic::Code;

use super::{CONNECTIONS, Servers, crowd};
use crate::{
    contract::store::{Store, on_postgres},
    support::server::{Client, Registered, TestServer, refused},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r12_of_a_thousand_activations_over_two_processes_exactly_one_succeeds() {
    on_postgres(|store: Store| async move {
        let servers = Servers::start(&store, 2).await;
        for round in 0..20 {
            let user = servers.clients[0]
                .register(&format!("user{round}"), &format!("user{round}@example.com"))
                .await;
            let key = user.key.clone();
            let told = crowd(&servers.clients, move |client, _| {
                let key = key.clone();
                async move { client.use_key(&key).await }
            })
            .await;
            let (active, refusals): (Vec<_>, Vec<_>) = told.into_iter().partition(Result::is_ok);
            assert_eq!(active.len(), 1, "round {round}");
            for refusal in refusals {
                let details = refused(refusal, Code::FailedPrecondition, "ALREADY_ACTIVATED");
                assert_eq!(details.error_info().unwrap().metadata["user_id"], user.id.to_string());
            }
            assert_eq!(store.events(user.id).await, ["user_registered", "user_activated"]);
        }
        servers.stop();
    })
    .await;
}

/// How many addresses are fought for, and how many at a time.
const PAIRS: usize = 500;
const AT_ONCE: usize = CONNECTIONS;

pub async fn x8_of_two_claims_activated_at_once_one_keeps_the_address(store: Store) {
    let server = TestServer::start_configured(store.url(), "").await;
    let mut fights = JoinSet::new();
    for fight in 0..AT_ONCE {
        let (left, right) = (server.client().await, server.client().await);
        fights.spawn(async move {
            for pair in (fight..PAIRS).step_by(AT_ONCE) {
                fight_for(&format!("shared{pair}@example.com"), pair, &left, &right).await;
            }
        });
    }
    fights.join_all().await;
    let pairs = i64::try_from(PAIRS).unwrap();
    for rows in [
        "users WHERE state = 'ACTIVE' AND email_verified",
        "users WHERE state = 'PENDING' AND NOT email_verified",
        "verified_email_addresses",
        "events WHERE kind = 'user_activated'",
    ] {
        assert_eq!(store.count(rows).await, pairs, "{rows}");
    }
}

/// Two users who claim one address use their keys at once.
async fn fight_for(email: &str, pair: usize, left: &Client, right: &Client) {
    let names = [format!("left{pair}"), format!("right{pair}")];
    let (one, other) = tokio::join!(left.register(&names[0], email), right.register(&names[1], email));
    let mut calls = JoinSet::new();
    for (Registered { key, .. }, client) in [(one, left.clone()), (other, right.clone())] {
        calls.spawn(async move { client.use_key(&key).await });
    }
    let (active, mut refusals): (Vec<_>, Vec<_>) =
        calls.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(active.len(), 1, "{email}: {refusals:?}");
    refused(refusals.remove(0), Code::FailedPrecondition, "EMAIL_TAKEN");
}
