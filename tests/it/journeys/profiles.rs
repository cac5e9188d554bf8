//! Registration profiles over the wire: R13.

use chrono::Duration;
use tonic::Code;
use vestibule::{
    clock::Clock as _,
    grpc::proto::{
        CreateRegistrationProfileRequest, DeleteRegistrationProfileRequest, MailState, RegistrationProfile,
        RegistrationProfileState, get_user_request::User as By,
    },
};

use super::{Journey, key_in};
use crate::{
    contract::store::Store,
    support::server::{instant, refused, wire},
};

pub async fn a_profile_tells_its_state_and_what_was_mailed_and_never_a_key(store: Store) {
    let journey = Journey::start(&store, "").await;
    let client = &journey.client;
    let now = journey.server.clock.now();
    let alice = client.register("alice", "alice@example.com").await;
    let id = alice.id.to_string();
    let fresh = RegistrationProfile {
        user_id: id.clone(),
        state: RegistrationProfileState::Pending.into(),
        issue_time: Some(wire(now)),
        expire_time: Some(wire(alice.expire_time)),
        ..Default::default()
    };
    assert_eq!(client.profile(&id).await.unwrap(), fresh);
    client.mail_to(super::keys::By::UserId(id.clone())).await.unwrap();
    client.wait_for_mail(&id, 1, MailState::Delivered).await;
    let mailed =
        RegistrationProfile { mails_sent: 1, last_mail_state: Some(MailState::Delivered.into()), ..fresh };
    assert_eq!(client.profile(&id).await.unwrap(), mailed);

    journey.server.clock.set(alice.expire_time);
    let expired = RegistrationProfile { state: RegistrationProfileState::Expired.into(), ..mailed.clone() };
    assert_eq!(client.profile(&id).await.unwrap(), expired);
    journey.server.clock.set(alice.expire_time - Duration::microseconds(1));
    assert_eq!(client.profile(&id).await.unwrap(), mailed);

    client.use_key(&alice.key).await.unwrap();
    let activated = RegistrationProfile {
        state: RegistrationProfileState::Activated.into(),
        activation_key: "ALREADY_ACTIVATED".into(),
        activate_time: Some(wire(journey.server.clock.now())),
        ..mailed
    };
    journey.server.clock.advance(Duration::days(100));
    assert_eq!(client.profile(&id).await.unwrap(), activated);
}

pub async fn r13_a_user_without_a_profile_is_never_purged_and_can_be_given_one(store: Store) {
    let journey = Journey::start(&store, "").await;
    let client = &journey.client;
    let alice = client.register("alice", "alice@example.com").await;
    let id = alice.id.to_string();
    let as_it_stood = client.profile(&id).await.unwrap();
    let delete = DeleteRegistrationProfileRequest { user_id: id.clone() };
    let deleted = client.delete_registration_profile(delete.clone()).await.unwrap();
    assert_eq!(deleted.registration_profile, Some(as_it_stood));
    let missing = "REGISTRATION_PROFILE_NOT_FOUND";
    refused(client.delete_registration_profile(delete).await, Code::NotFound, missing);
    refused(client.profile(&id).await, Code::NotFound, missing);
    refused(client.mail_to(super::keys::By::UserId(id.clone())).await, Code::NotFound, missing);
    refused(client.use_key(&alice.key).await, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");

    journey.server.clock.advance(Duration::days(3650));
    assert_eq!(client.purge().await.purge_count, 0);
    client.user(By::UserId(id.clone())).await.unwrap();

    let create = CreateRegistrationProfileRequest {
        user_id: id.clone(),
        send_email: Some(false),
        ..Default::default()
    };
    let created = client.create_registration_profile(create.clone()).await.unwrap();
    let profile = created.registration_profile.unwrap();
    let now = journey.server.clock.now();
    assert_eq!(instant(profile.issue_time), now);
    assert_eq!(instant(profile.expire_time), now + Duration::days(7));
    let again = client.create_registration_profile(create).await;
    refused(again, Code::AlreadyExists, "REGISTRATION_PROFILE_EXISTS");
    client.use_key(&created.activation_key).await.unwrap();
}

pub async fn r13_a_new_profile_mails_its_key_or_returns_it(store: Store) {
    let journey = Journey::start(&store, "").await;
    let client = &journey.client;
    for (username, send_email) in [("alice", None), ("bob", Some(true)), ("carol", Some(false))] {
        let user = client.register(username, &format!("{username}@example.com")).await;
        let user_id = user.id.to_string();
        let delete = DeleteRegistrationProfileRequest { user_id: user_id.clone() };
        client.delete_registration_profile(delete).await.unwrap();
        let create =
            CreateRegistrationProfileRequest { user_id: user_id.clone(), send_email, ..Default::default() };
        let created = client.create_registration_profile(create).await.unwrap();
        let key = if send_email == Some(false) {
            created.activation_key
        } else {
            assert_eq!(created.activation_key, "");
            let mail = journey.next_mail().await;
            assert_eq!(mail.recipient, format!("{username}@example.com"));
            key_in(&mail)
        };
        client.use_key(&key).await.unwrap();
        let refusal = client
            .create_registration_profile(CreateRegistrationProfileRequest {
                user_id,
                send_email,
                ..Default::default()
            })
            .await;
        refused(refusal, Code::FailedPrecondition, "ALREADY_ACTIVATED");
    }
    assert_eq!(store.count("mails").await, 2);
}
