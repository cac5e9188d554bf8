//! Calls that are made again with the same `request_id`: X10, X2.

use std::fs;

use chrono::Duration;
use tonic::Code;
use uuid::Uuid;
use vestibule::{
    clock::Clock as _,
    domain::Timestamp,
    grpc::proto::{
        ActivateUserRequest, AddEmailAddressRequest, CreateInactiveUserRequest,
        CreateRegistrationProfileRequest, DeleteRegistrationProfileRequest, DeleteUserRequest,
        RemindUnverifiedRequest, RemoveEmailAddressRequest, SendActivationEmailRequest,
        SendVerificationEmailRequest, UnverifiedFilter, send_activation_email_request::User as By,
    },
    random::{SystemRandom, uuid_v4},
    sealing::Keyring,
};

use super::{load, start, tick};
use crate::{
    contract::store::Store,
    support::server::{TestServer, refused, wait_for_rows},
};

fn id() -> String {
    uuid_v4(&SystemRandom).to_string()
}

/// Alice's registration, mailed and with a password.
fn alice(request_id: &str) -> CreateInactiveUserRequest {
    CreateInactiveUserRequest {
        username: "Alice".into(),
        email: "alice@EXAMPLE.com".into(),
        password: Some("correct horse".into()),
        request_id: request_id.into(),
        ..Default::default()
    }
}

fn to(user: By, request_id: &str) -> SendActivationEmailRequest {
    SendActivationEmailRequest { user: Some(user), request_id: request_id.into() }
}

pub async fn x10_a_registration_answers_as_it_did_whatever_became_of_the_user(store: Store) {
    let (server, client) = start(&store, "").await;
    let request_id = id();
    let first = client.create_inactive_user(alice(&request_id)).await.unwrap();
    let user_id = first.user.clone().unwrap().id;
    let again = async |what: &str| {
        let before = store.contents().await;
        let answer = client.create_inactive_user(alice(&request_id)).await.unwrap();
        assert_eq!(answer.user, first.user, "{what}");
        assert_eq!((answer.expire_time, &*answer.activation_key), (first.expire_time, ""), "{what}");
        assert_eq!(store.contents().await, before, "{what}");
    };
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 1).await;
    server.clock.advance(Duration::seconds(9));
    again("later").await;
    client.activate_user(ActivateUserRequest { user_id: user_id.clone() }).await.unwrap();
    again("activated").await;
    client.delete_user(DeleteUserRequest { user_id }).await.unwrap();
    again("deleted").await;
    assert_eq!(store.count("users").await, 0);
    // As the fields are after they were normalised, and without an id as ever.
    let spelt = CreateInactiveUserRequest { email: "alice@example.com".into(), ..alice(&request_id) };
    assert_eq!(client.create_inactive_user(spelt).await.unwrap().user, first.user);
    let other = client.create_inactive_user(alice("")).await.unwrap();
    assert_ne!(other.user, first.user);
    assert_eq!(store.count("users").await, 1);
}

pub async fn x10_a_repetition_costs_no_hash(store: Store) {
    let (_server, client) = start(&store, "passwords.queue_seconds = 0").await;
    let request_id = id();
    client.create_inactive_user(alice(&request_id)).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (client, request) = (client.clone(), alice(&request_id));
        calls.spawn(async move { client.create_inactive_user(request).await });
    }
    // Of so many at once that wait for no slot, some would be refused as OVERLOADED.
    for answer in calls.join_all().await {
        answer.unwrap();
    }
}

pub async fn x10_other_fields_or_another_call_are_refused(store: Store) {
    let (_server, client) = start(&store, "").await;
    let request_id = id();
    client.create_inactive_user(alice(&request_id)).await.unwrap();
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 1).await;
    let before = store.contents().await;
    for other in [
        CreateInactiveUserRequest { username: "alice".into(), ..alice(&request_id) },
        CreateInactiveUserRequest { email: "bob@example.com".into(), ..alice(&request_id) },
        CreateInactiveUserRequest { password: Some("correct house".into()), ..alice(&request_id) },
        CreateInactiveUserRequest { password: None, ..alice(&request_id) },
        CreateInactiveUserRequest { send_email: Some(false), ..alice(&request_id) },
        CreateInactiveUserRequest { site: "default".into(), ..alice(&request_id) },
    ] {
        let refusal = client.create_inactive_user(other).await;
        let details = refused(refusal, Code::InvalidArgument, "REQUEST_ID_REUSED");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "request_id");
    }
    let mailing = to(By::Username("alice".into()), &request_id);
    refused(client.send_activation_email(mailing).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    let user_id = Uuid::nil().to_string();
    let profile = CreateRegistrationProfileRequest { user_id, request_id, send_email: None };
    refused(client.create_registration_profile(profile).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    assert_eq!(store.contents().await, before);
}

pub async fn x10_a_failure_is_not_remembered(store: Store) {
    let (_server, client) = start(&store, "").await;
    let holder = client.register("alice", "holder@example.com").await;
    let request_id = id();
    let taken = client.create_inactive_user(alice(&request_id)).await;
    refused(taken, Code::AlreadyExists, "USERNAME_TAKEN");
    let nobody = client.send_activation_email(to(By::Username("bob".into()), &request_id)).await;
    refused(nobody, Code::NotFound, "USER_NOT_FOUND");
    assert_eq!(store.count("requests").await, 0);
    client.delete_user(DeleteUserRequest { user_id: holder.id.to_string() }).await.unwrap();
    client.create_inactive_user(alice(&request_id)).await.unwrap();
    assert_eq!(store.count("requests").await, 1);
}

pub async fn x2_x10_no_key_is_returned_twice(store: Store) {
    let (_server, client) = start(&store, "").await;
    let request = CreateInactiveUserRequest { send_email: Some(false), ..alice(&id()) };
    let first = client.create_inactive_user(request.clone()).await.unwrap();
    assert_eq!(first.activation_key.len(), 40);
    let again = client.create_inactive_user(request).await.unwrap();
    assert_eq!((again.user, again.expire_time), (first.user.clone(), first.expire_time));
    assert_eq!(again.activation_key, "");
    let user_id = first.user.unwrap().id;
    let deletion = DeleteRegistrationProfileRequest { user_id: user_id.clone() };
    client.delete_registration_profile(deletion).await.unwrap();
    let request = CreateRegistrationProfileRequest { user_id, send_email: Some(false), request_id: id() };
    let first = client.create_registration_profile(request.clone()).await.unwrap();
    assert_eq!(first.activation_key.len(), 40);
    let again = client.create_registration_profile(request).await.unwrap();
    assert_eq!((again.registration_profile, &*again.activation_key), (first.registration_profile, ""));
    assert_eq!(store.count("activation_keys").await, 1);
}

pub async fn x10_a_mail_is_sent_once_to_a_user_and_to_every_claim(store: Store) {
    let (server, client) = start(&store, "").await;
    for name in ["alice", "bob"] {
        client.register(name, "shared@example.com").await;
    }
    let calls = [By::Email("shared@example.com".into()), By::Username("alice".into())];
    for (by, mails) in calls.into_iter().zip([2, 3]) {
        let request = to(by, &id());
        for _ in 0..3 {
            client.send_activation_email(request.clone()).await.unwrap();
            server.clock.advance(Duration::seconds(1));
            assert_eq!(store.count("mails").await, mails);
        }
    }
    // Nobody claims it: the answer is the same, and remembered as well.
    let request = to(By::Email("nobody@example.com".into()), &id());
    client.send_activation_email(request.clone()).await.unwrap();
    let user_id = client.register("newcomer", "nobody@example.com").await.id.to_string();
    client.send_activation_email(request).await.unwrap();
    assert_eq!(store.count("mails").await, 3);
    let deletion = DeleteRegistrationProfileRequest { user_id: user_id.clone() };
    client.delete_registration_profile(deletion).await.unwrap();
    let profile = CreateRegistrationProfileRequest { user_id, request_id: id(), send_email: None };
    let first = client.create_registration_profile(profile.clone()).await.unwrap();
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 4).await;
    assert_eq!(client.create_registration_profile(profile).await.unwrap(), first);
    assert_eq!(store.count("mails").await, 4);
}

pub async fn x10_an_address_is_added_and_a_key_mailed_once(store: Store) {
    let (_server, client) = start(&store, "").await;
    let user_id = client.register("alice", "alice@example.com").await.id.to_string();
    let adding = |email: &str, request_id: &str| AddEmailAddressRequest {
        user_id: user_id.clone(),
        email: email.into(),
        request_id: request_id.into(),
    };
    let sending = |email: &str, request_id: &str| SendVerificationEmailRequest {
        user_id: user_id.clone(),
        email: email.into(),
        request_id: request_id.into(),
    };
    let (first, second) = (id(), id());
    let added = client.add_email_address(adding("new@EXAMPLE.com", &first)).await.unwrap();
    assert_eq!(added.email_addresses.len(), 2);
    let sent = client.send_verification_email(sending("new@example.com", &second)).await.unwrap();
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 2).await;
    let before = store.contents().await;
    assert_eq!(client.add_email_address(adding("new@example.com", &first)).await.unwrap(), added);
    assert_eq!(client.send_verification_email(sending("new@example.com", &second)).await.unwrap(), sent);
    for (email, request_id) in [("other@example.com", &first), ("new@example.com", &second)] {
        let refusal = client.add_email_address(adding(email, request_id)).await;
        refused(refusal, Code::InvalidArgument, "REQUEST_ID_REUSED");
    }
    for (email, request_id) in [("alice@example.com", &second), ("new@example.com", &first)] {
        let refusal = client.send_verification_email(sending(email, request_id)).await;
        refused(refusal, Code::InvalidArgument, "REQUEST_ID_REUSED");
    }
    assert_eq!(store.contents().await, before);
    // The addresses are told as they are now.
    let removal = RemoveEmailAddressRequest { user_id: user_id.clone(), email: "new@example.com".into() };
    client.remove_email_address(removal).await.unwrap();
    let again = client.add_email_address(adding("new@example.com", &first)).await.unwrap();
    assert_eq!(again.email_addresses.len(), 1);
    client.delete_user(DeleteUserRequest { user_id: user_id.clone() }).await.unwrap();
    let again = client.add_email_address(adding("new@example.com", &first)).await.unwrap();
    assert_eq!(again.email_addresses, []);
    let again = client.send_verification_email(sending("new@example.com", &second)).await.unwrap();
    assert_eq!(again.email_addresses, []);
}

/// Reminders of a request of that id.
fn remind(request_id: &str) -> RemindUnverifiedRequest {
    RemindUnverifiedRequest { force: true, limit: 10, request_id: request_id.into(), ..Default::default() }
}

pub async fn x10_reminders_are_sent_once_and_answered_again_without_a_sample(store: Store) {
    let (server, client) = start(&store, "").await;
    let now = server.clock.now();
    load(&store, 30, now, now + Duration::days(7)).await;
    let request_id = id();
    let first = client.remind_unverified(remind(&request_id)).await.unwrap();
    assert_eq!((first.remind_count, first.sample.len(), first.more), (10, 10, true));
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED' AND kind = 'reminder'", 10).await;
    let before = store.contents().await;
    let again = client.remind_unverified(remind(&request_id)).await.unwrap();
    assert_eq!((again.remind_count, again.sample.len(), again.more), (10, 0, true));
    let filter = UnverifiedFilter { expired: Some(false), ..Default::default() };
    for other in [
        RemindUnverifiedRequest { force: false, ..remind(&request_id) },
        RemindUnverifiedRequest { limit: 9, ..remind(&request_id) },
        RemindUnverifiedRequest { filter: Some(filter), ..remind(&request_id) },
    ] {
        let refusal = client.remind_unverified(other).await;
        refused(refusal, Code::InvalidArgument, "REQUEST_ID_REUSED");
    }
    // What only counts and shows is not remembered.
    let preview = RemindUnverifiedRequest { force: false, ..remind(&id()) };
    for _ in 0..2 {
        assert_eq!(client.remind_unverified(preview.clone()).await.unwrap().sample.len(), 10);
    }
    assert_eq!(store.contents().await, before);
    let next = client.remind_unverified(remind(&preview.request_id)).await.unwrap();
    assert_eq!((next.remind_count, next.more), (10, true));
}

pub async fn x10_reminders_asked_for_at_once_by_one_id_reach_everybody_once(store: Store) {
    let (server, client) = start(&store, "").await;
    let now = server.clock.now();
    load(&store, 120, now, now + Duration::days(7)).await;
    let request = RemindUnverifiedRequest { limit: 0, ..remind(&id()) };
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (client, request) = (client.clone(), request.clone());
        calls.spawn(async move { client.remind_unverified(request).await.unwrap() });
    }
    let told: Vec<_> =
        calls.join_all().await.iter().map(|answer| (answer.remind_count, answer.more)).collect();
    assert!(told.iter().all(|answer| *answer == told[0]), "{told:?}");
    assert_eq!(store.count("users WHERE reminder_count = 1").await, 120);
    assert_eq!(store.count("mails WHERE kind = 'reminder'").await, 120);
    assert_eq!(store.count("requests").await, 1);
}

pub async fn x10_a_request_is_remembered_for_a_day(store: Store) {
    let (server, client) = start(&store, "").await;
    let (kept, forgotten) = (id(), id());
    let bob = |request_id: &str| CreateInactiveUserRequest { username: "bob".into(), ..alice(request_id) };
    let first = client.create_inactive_user(alice(&kept)).await.unwrap();
    client.create_inactive_user(bob(&forgotten)).await.unwrap();
    let day_ago: Timestamp = server.clock.now() - Duration::hours(24);
    let of = |request_id: &str| format!("request_id = {}", store.id(request_id.parse().unwrap()));
    for (request_id, time) in [(&kept, day_ago + tick()), (&forgotten, day_ago)] {
        let (at, which) = (store.at(time), of(request_id));
        store.execute(format!("UPDATE requests SET create_time = {at} WHERE {which}")).await;
    }
    // A server forgets as soon as it starts.
    let (_other, client) = start(&store, "").await;
    wait_for_rows(&store, "requests", 1).await;
    let again = client.create_inactive_user(alice(&kept)).await;
    // It has another keyring: not even it can tell what the fields were.
    refused(again, Code::InvalidArgument, "REQUEST_ID_REUSED");
    refused(client.create_inactive_user(bob(&forgotten)).await, Code::AlreadyExists, "USERNAME_TAKEN");
    assert_eq!(first.user.unwrap().username, "Alice");
}

pub async fn x10_a_repetition_is_known_while_the_keyring_is_rotated(store: Store) {
    let folder = tempfile::tempdir().unwrap();
    let keys = [Keyring::generate(&SystemRandom), Keyring::generate(&SystemRandom)];
    let server = async |keys: &[&str]| {
        let file = folder.path().join(id());
        fs::write(&file, keys.concat()).unwrap();
        let settings = format!("secrets.keyring_file = '{}'", file.display());
        TestServer::start_configured(store.url(), &settings).await
    };
    let [old, new] = keys.each_ref().map(|key| key.as_str());
    let (old_first, new_first) = (server(&[old, new]).await, server(&[new, old]).await);
    for (number, (first, second)) in [(&old_first, &new_first), (&new_first, &old_first)].iter().enumerate() {
        let request = CreateInactiveUserRequest { username: format!("user{number}"), ..alice(&id()) };
        let answer = first.client().await.create_inactive_user(request.clone()).await.unwrap();
        assert_eq!(second.client().await.create_inactive_user(request).await.unwrap(), answer);
    }
}
