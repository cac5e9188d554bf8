//! Further keys, and looking at keys.

use std::collections::BTreeSet;

use chrono::Duration;
use tonic::Code;
use vestibule::{
    clock::Clock as _,
    grpc::proto::{
        ActivationKeyState, DisableUserRequest, MailState, ReissueActivationKeyRequest, UserState,
    },
};

use super::{Journey, key_in};
use crate::{
    contract::store::Store,
    support::server::{instant, refused, wire},
};

pub use vestibule::grpc::proto::send_activation_email_request::User as By;

pub async fn r14_a_further_key_is_mailed_and_moves_no_expiry(store: Store) {
    let journey = Journey::start(&store, "").await;
    let client = &journey.client;
    let alice = client.register("Alice", "alice@example.com").await;
    let id = alice.id.to_string();
    let mut keys = vec![alice.key];
    let by = [By::UserId(id.clone()), By::Username("aLICE".into()), By::Email("alice@EXAMPLE.com".into())];
    for (number, by) in (1..).zip(by) {
        journey.server.clock.advance(Duration::days(1));
        client.mail_to(by).await.unwrap();
        keys.push(key_in(&journey.next_mail().await));
        client.wait_for_mail(&id, number, MailState::Delivered).await;
    }
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 4);
    for key in &keys {
        let inspected = client.inspect(key).await.unwrap();
        assert_eq!(inspected.state(), ActivationKeyState::Pending);
        assert_eq!(instant(inspected.expire_time), alice.expire_time);
    }
    client.use_key(&keys[2]).await.unwrap();
    for key in &keys {
        refused(client.use_key(key).await, Code::FailedPrecondition, "ALREADY_ACTIVATED");
    }
    let refusal = client.mail_to(By::UserId(id)).await;
    refused(refusal, Code::FailedPrecondition, "ALREADY_ACTIVATED");
}

pub async fn r14_a_reissued_key_is_returned_and_not_mailed(store: Store) {
    let journey = Journey::start(&store, "").await;
    let alice = journey.client.register("alice", "alice@example.com").await;
    journey.server.clock.advance(Duration::days(2));
    let request = ReissueActivationKeyRequest { user_id: alice.id.to_string() };
    let reissued = journey.client.reissue_activation_key(request.clone()).await.unwrap();
    assert_eq!(instant(reissued.expire_time), alice.expire_time);
    assert_ne!(reissued.activation_key, alice.key);
    assert_eq!(store.count("mails").await, 0);
    journey.client.use_key(&reissued.activation_key).await.unwrap();
    let again = journey.client.reissue_activation_key(request).await;
    refused(again, Code::FailedPrecondition, "ALREADY_ACTIVATED");
}

pub async fn x15_the_newest_five_keys_live(store: Store) {
    let journey = Journey::start(&store, "").await;
    let alice = journey.client.register("alice", "alice@example.com").await;
    let mut keys = vec![alice.key];
    for _ in 0..6 {
        journey.server.clock.advance(Duration::seconds(1));
        journey.client.mail_to(By::UserId(alice.id.to_string())).await.unwrap();
        keys.push(key_in(&journey.next_mail().await));
    }
    for (index, key) in keys.iter().enumerate() {
        let inspected = journey.client.inspect(key).await;
        if index < keys.len() - 5 {
            refused(inspected, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
        } else {
            assert_eq!(inspected.unwrap().state(), ActivationKeyState::Pending);
        }
    }
    refused(journey.client.use_key(&keys[1]).await, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
    journey.client.use_key(&keys[2]).await.unwrap();
}

pub async fn x23_by_email_at_most_three_claims_are_mailed_each_by_its_name(store: Store) {
    let journey = Journey::start(&store, "").await;
    for username in ["first", "second", "third", "fourth"] {
        journey.client.register(username, "shared@example.com").await;
        journey.server.clock.advance(Duration::seconds(1));
    }
    journey.client.mail_to(By::Email("shared@example.com".into())).await.unwrap();
    let mut greeted = Vec::new();
    let mut last = None;
    for _ in 0..3 {
        let mail = journey.next_mail().await;
        assert_eq!(mail.recipient, "shared@example.com");
        greeted.push(mail.body.split_once(",\n").unwrap().0.to_owned());
        last = Some(mail);
    }
    greeted.sort();
    assert_eq!(greeted, ["Hello fourth", "Hello second", "Hello third"]);
    assert_eq!(store.count("mails").await, 3);
    let last = last.unwrap();
    let user = journey.client.use_key(&key_in(&last)).await.unwrap();
    assert!(last.body.starts_with(&format!("Hello {},", user.username)));
}

pub async fn x23_by_email_the_answer_is_the_same_whoever_claims_the_address(store: Store) {
    let journey = Journey::start(&store, "").await;
    let client = &journey.client;
    client.register("pending", "pending@example.com").await;
    let owner = client.register("owner", "owned@example.com").await;
    client.register("claimant", "owned@example.com").await;
    client.use_key(&owner.key).await.unwrap();
    client.register("late", "late@example.com").await;
    let disabled = client.register("disabled", "disabled@example.com").await;
    client.disable_user(DisableUserRequest { user_id: disabled.id.to_string() }).await.unwrap();
    for (email, mails) in [
        ("nobody@example.com", 0),
        ("owned@example.com", 0),
        ("disabled@example.com", 0),
        ("pending@example.com", 1),
    ] {
        client.mail_to(By::Email(email.into())).await.unwrap();
        assert_eq!(store.count("mails").await, mails, "{email}");
    }
    journey.server.clock.advance(Duration::days(7));
    client.mail_to(By::Email("late@example.com".into())).await.unwrap();
    assert_eq!(store.count("mails").await, 1);
}

pub async fn x14_inspecting_a_key_tells_its_state_and_changes_nothing(store: Store) {
    let journey = Journey::start(&store, "").await;
    let client = &journey.client;
    let pending = client.register("pending", "pending@example.com").await;
    let active = client.register("active", "shared@example.com").await;
    let taken = client.register("taken", "shared@example.com").await;
    let disabled = client.register("disabled", "disabled@example.com").await;
    client.use_key(&active.key).await.unwrap();
    client.disable_user(DisableUserRequest { user_id: disabled.id.to_string() }).await.unwrap();
    let before = store.contents().await;
    for (user, state, later) in [
        (&pending, ActivationKeyState::Pending, ActivationKeyState::Expired),
        (&active, ActivationKeyState::Activated, ActivationKeyState::Activated),
        (&taken, ActivationKeyState::EmailTaken, ActivationKeyState::Expired),
        (&disabled, ActivationKeyState::Disabled, ActivationKeyState::Disabled),
    ] {
        for (now, state) in [(user.expire_time - Duration::days(7), state), (user.expire_time, later)] {
            journey.server.clock.set(now);
            let inspected = client.inspect(&user.key).await.unwrap();
            assert_eq!((inspected.state(), instant(inspected.expire_time)), (state, user.expire_time));
            assert_eq!(inspected.site, "default");
        }
    }
    refused(client.inspect(&"0".repeat(40)).await, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
    assert_eq!(store.contents().await, before);
}

pub async fn x15_no_key_works_once_the_user_is_disabled(store: Store) {
    let journey = Journey::start(&store, "").await;
    let client = &journey.client;
    let alice = client.register("alice", "alice@example.com").await;
    let request = DisableUserRequest { user_id: alice.id.to_string() };
    let disabled = client.disable_user(request.clone()).await.unwrap().user.unwrap();
    assert_eq!((disabled.state(), disabled.active), (UserState::Disabled, false));
    assert_eq!(disabled.disable_time, Some(wire(journey.server.clock.now())));
    refused(client.use_key(&alice.key).await, Code::FailedPrecondition, "USER_DISABLED");
    let refusal = client.mail_to(By::UserId(alice.id.to_string())).await;
    refused(refusal, Code::FailedPrecondition, "USER_DISABLED");
    journey.server.clock.advance(Duration::seconds(1));
    assert_eq!(client.disable_user(request).await.unwrap().user, Some(disabled));
    assert_eq!(store.events(alice.id).await, ["user_registered", "user_disabled"]);
}
