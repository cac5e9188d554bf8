//! What a key answers: R8 to R12, X11, X13.

use chrono::Duration;
use tonic::{Code, Status};
use vestibule::{
    clock::Clock as _,
    domain::Timestamp,
    grpc::proto::{ActivateRequest, DisableUserRequest, InspectActivationKeyRequest},
};

use super::start;
use crate::{
    contract::store::Store,
    support::server::{Client, Registered, refused},
};

/// All that a caller sees of a refusal but for the request's id.
fn seen<T>(outcome: Result<T, Status>) -> (Code, String, Vec<u8>) {
    let Err(status) = outcome else { panic!("not refused") };
    (status.code(), status.message().to_owned(), status.details().to_vec())
}

pub async fn r8_x11_a_malformed_key_is_answered_like_an_unknown_one(store: Store) {
    let (_server, client) = start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    let before = store.contents().await;
    let unknown = client.use_key(&"0".repeat(40)).await;
    let unknown = seen(unknown);
    assert_eq!(unknown.0, Code::NotFound);
    let key = alice.key.as_str();
    let malformed = [
        String::new(),
        key[..39].to_owned(),
        format!("{key}0"),
        key.to_uppercase(),
        format!(" {key}"),
        format!("{key} "),
        format!("{key}\n"),
        format!("\0{key}"),
        key.replace(|c: char| c.is_ascii_digit(), "\u{ff11}"),
        "ALREADY_ACTIVATED".to_owned(),
        "already_activated".to_owned(),
        "%".repeat(40),
        "g".repeat(40),
    ];
    for activation_key in malformed {
        // A hash would be made only after the key was found good (X9).
        for password in [None, Some("correct horse".to_owned())] {
            let request =
                ActivateRequest { activation_key: activation_key.clone(), password, ..Default::default() };
            let outcome = client.activate(request).await;
            assert_eq!(seen(outcome), unknown, "{activation_key:?}");
        }
        let inspected = client
            .inspect_activation_key(InspectActivationKeyRequest { activation_key: activation_key.clone() })
            .await;
        assert_eq!(seen(inspected), unknown, "{activation_key:?}");
    }
    let outcome = client.use_key(&"1".repeat(40)).await;
    refused(outcome, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
    assert_eq!(store.contents().await, before);
    client.use_key(key).await.unwrap();
}

pub async fn r9_an_expired_key_changes_nothing(store: Store) {
    let (server, client) = start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    server.clock.set(alice.expire_time + Duration::days(1));
    let before = store.contents().await;
    let password = Some("correct horse".to_owned());
    let refusal =
        client.activate(ActivateRequest { activation_key: alice.key, password, ..Default::default() }).await;
    refused(refusal, Code::FailedPrecondition, "ACTIVATION_KEY_EXPIRED");
    assert_eq!(store.contents().await, before);
}

async fn disable(client: &Client, user: &Registered) {
    client.disable_user(DisableUserRequest { user_id: user.id.to_string() }).await.unwrap();
}

pub async fn r11_the_answers_come_in_order(store: Store) {
    let (server, client) = start(&store, "").await;
    let claimant = |name: &'static str| {
        let client = client.clone();
        async move { client.register(name, "shared@example.com").await }
    };
    let (owner, expired, disabled) =
        (claimant("owner").await, claimant("expired").await, claimant("off").await);
    server.clock.advance(Duration::seconds(1));
    let taken = claimant("taken").await;
    client.use_key(&owner.key).await.unwrap();
    disable(&client, &disabled).await;
    server.clock.set(expired.expire_time);
    // Each speaks for itself though all that comes after it would be true as well.
    for (user, answer) in [
        (&disabled, "USER_DISABLED"),
        (&owner, "ALREADY_ACTIVATED"),
        (&expired, "ACTIVATION_KEY_EXPIRED"),
        (&taken, "EMAIL_TAKEN"),
    ] {
        refused(client.use_key(&user.key).await, Code::FailedPrecondition, answer);
    }
    disable(&client, &owner).await;
    refused(client.use_key(&owner.key).await, Code::FailedPrecondition, "USER_DISABLED");
    refused(client.use_key(&"0".repeat(40)).await, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
}

pub async fn r11_a_user_made_active_by_hand_is_activated_already(store: Store) {
    let (server, client) = start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    let now = server.clock.now() + Duration::microseconds(123_456);
    let (id, at) = (store.id(alice.id), store.at(now));
    store.execute(format!("UPDATE users SET state = 'ACTIVE', activate_time = {at} WHERE id = {id}")).await;
    assert_activated(client.use_key(&alice.key).await, &alice, now);
}

pub async fn r12_of_two_activations_the_second_is_refused_with_who_and_when(store: Store) {
    let (server, client) = start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    server.clock.advance(Duration::microseconds(1_234_567));
    let activate_time = server.clock.now();
    client.use_key(&alice.key).await.unwrap();
    let before = store.contents().await;
    server.clock.advance(Duration::days(30));
    assert_activated(client.use_key(&alice.key).await, &alice, activate_time);
    assert_eq!(store.contents().await, before);
    assert_eq!(store.events(alice.id).await, ["user_registered", "user_activated"]);
}

/// X13: the refusal says who is active, and since when.
fn assert_activated<T>(outcome: Result<T, Status>, user: &Registered, activate_time: Timestamp) {
    let details = refused(outcome, Code::FailedPrecondition, "ALREADY_ACTIVATED");
    let metadata = details.error_info().unwrap().metadata.clone();
    assert_eq!(metadata["user_id"], user.id.to_string());
    assert_eq!(metadata["activate_time"].parse::<Timestamp>().unwrap(), activate_time);
}
