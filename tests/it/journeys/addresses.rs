//! Further addresses from end to end: U8, X12, X15, X23.

use chrono::Duration;
use tonic::Code;
use uuid::Uuid;
use vestibule::{
    clock::Clock as _,
    grpc::proto::{
        ActivateUserRequest, DisableUserRequest, EmailAddress, EnableUserRequest, UserState,
        get_user_request::User as By,
    },
};

use super::{Journey, key_in, keys};
use crate::{
    contract::store::Store,
    support::{
        server::{Registered, instant, refused, wait_for_rows},
        smtp::{Action, Step},
    },
};

/// The addresses in order: a star for the primary one, a tick for a verified one.
fn shown(addresses: &[EmailAddress]) -> Vec<String> {
    let show = |address: &EmailAddress| {
        assert_eq!(address.verified, address.verify_time.is_some());
        let star = if address.primary { "*" } else { "" };
        let tick = if address.verified { "+" } else { "" };
        format!("{star}{tick}{}", address.email)
    };
    addresses.iter().map(show).collect()
}

/// Registers somebody who activates.
async fn register_active(journey: &Journey, name: &str) -> Registered {
    let user = journey.client.register(name, &format!("{name}@example.com")).await;
    journey.client.use_key(&user.key).await.unwrap();
    user
}

pub async fn u8_an_address_is_added_verified_made_primary_and_the_old_one_is_told_and_removed(store: Store) {
    let journey = Journey::start(&store, "").await;
    let client = &journey.client;
    let alice = register_active(&journey, "alice").await;
    let id = alice.id.to_string();
    journey.server.clock.advance(Duration::seconds(1));
    let added = client.add(&id, "New@B\u{fc}cher.example").await.unwrap();
    let new = "New@xn--bcher-kva.example";
    assert_eq!(shown(&added), ["*+alice@example.com", new]);
    assert_eq!(instant(added[1].create_time), journey.server.clock.now());
    let mail = journey.next_mail().await;
    assert_eq!(mail.recipient, new);
    assert_eq!(mail.subject, "Confirm your email address at Vestibule");
    assert!(mail.body.contains("Hello alice,") && mail.body.contains(new), "{}", mail.body);
    refused(client.user(By::Email(new.into())).await, Code::NotFound, "USER_NOT_FOUND");
    refused(client.set_primary(&id, new).await, Code::FailedPrecondition, "EMAIL_NOT_VERIFIED");

    journey.server.clock.advance(Duration::seconds(1));
    let verified = client.verify(&key_in(&mail)).await.unwrap();
    assert_eq!((verified.user_id.as_str(), verified.email.as_str()), (id.as_str(), new));
    assert_eq!(shown(&verified.email_addresses), ["*+alice@example.com".to_owned(), format!("+{new}")]);
    assert_eq!(instant(verified.email_addresses[1].verify_time), journey.server.clock.now());
    // X23: by email the user is found by either.
    assert_eq!(client.user(By::Email(new.into())).await.unwrap().email, "alice@example.com");

    let changed = client.set_primary(&id, new).await.unwrap();
    assert_eq!(shown(&changed), [format!("*+{new}"), "+alice@example.com".to_owned()]);
    let told = journey.next_mail().await;
    assert_eq!(told.recipient, "alice@example.com");
    assert!(told.body.contains(&format!("is now {new}.")), "{}", told.body);
    assert_eq!(client.set_primary(&id, new).await.unwrap(), changed);
    assert_eq!(client.addresses(&id).await.unwrap(), changed);
    refused(client.remove(&id, new).await, Code::FailedPrecondition, "PRIMARY_EMAIL_ADDRESS");

    let left = client.remove(&id, "alice@EXAMPLE.com").await.unwrap();
    assert_eq!(shown(&left), [format!("*+{new}")]);
    let gone = client.remove(&id, "alice@example.com").await;
    let details = refused(gone, Code::NotFound, "EMAIL_ADDRESS_NOT_FOUND");
    let resource = details.resource_info().unwrap();
    assert_eq!(resource.resource_type, "vestibule.v1.EmailAddress");
    assert_eq!(resource.resource_name, "alice@example.com");
    let user = client.user(By::UserId(id)).await.unwrap();
    assert_eq!((user.email.as_str(), user.state()), (new, UserState::Active));
    refused(client.user(By::Email("alice@example.com".into())).await, Code::NotFound, "USER_NOT_FOUND");
    let events = store.events(alice.id).await;
    assert_eq!(events[2..], ["email_address_verified", "primary_email_address_changed"]);
    // Nobody was mailed but the two, and the address is free for the next.
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 2).await;
    let bob = client.register("bob", "alice@example.com").await;
    client.use_key(&bob.key).await.unwrap();
}

pub async fn u8_a_key_works_in_its_own_window_and_for_its_own_purpose(store: Store) {
    let verification_url = "https://shop.example/confirm?key={key}";
    let site = format!(
        "[[sites]]\nid = 'shop'\nname = 'The Shop'\ndomain = 'shop.example'\nactivation_days = 2\n\
         verification_url = '{verification_url}'\n"
    );
    let journey = Journey::start(&store, &site).await;
    let client = &journey.client;
    let alice = client.register("alice", "alice@example.com").await;
    let id = alice.id.to_string();
    client.add(&id, "second@example.com").await.unwrap();
    let mail = journey.next_mail().await;
    let first = key_in(&mail);
    assert!(mail.body.contains(&verification_url.replace("{key}", &first)), "{}", mail.body);
    journey.server.clock.advance(Duration::days(1));
    client.send_verification(&id, "second@example.com").await.unwrap();
    let further = key_in(&journey.next_mail().await);
    // A key is unknown to all but its own purpose.
    refused(client.use_key(&first).await, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
    refused(client.inspect(&first).await, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
    refused(client.verify(&alice.key).await, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
    for malformed in ["", "ALREADY_ACTIVATED", &first[1..], &first.to_uppercase()] {
        refused(client.verify(malformed).await, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
    }
    // X12: each key has a window of its own.
    journey.server.clock.set(alice.expire_time);
    let details = refused(client.verify(&first).await, Code::FailedPrecondition, "ACTIVATION_KEY_EXPIRED");
    let expire_time = alice.expire_time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    assert_eq!(details.error_info().unwrap().metadata["expire_time"], expire_time);
    client.verify(&further).await.unwrap();
    let verify_time = journey.server.clock.now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    journey.server.clock.advance(Duration::days(30));
    for spent in [first, further] {
        // X13: whoever clicks twice is told so.
        let details =
            refused(client.verify(&spent).await, Code::FailedPrecondition, "EMAIL_ALREADY_VERIFIED");
        let metadata = &details.error_info().unwrap().metadata;
        assert_eq!((&metadata["user_id"], &metadata["verify_time"]), (&id, &verify_time));
    }
    let again = client.send_verification(&id, "second@example.com").await;
    refused(again, Code::FailedPrecondition, "EMAIL_ALREADY_VERIFIED");
}

pub async fn u8_a_pending_user_verifies_others_but_activates_its_primary_address(store: Store) {
    let journey = Journey::start(&store, "").await;
    let client = &journey.client;
    let alice = client.register("alice", "alice@example.com").await;
    let id = alice.id.to_string();
    client.add(&id, "second@example.com").await.unwrap();
    let user = client.verify(&key_in(&journey.next_mail().await)).await.unwrap();
    assert_eq!(shown(&user.email_addresses), ["*alice@example.com", "+second@example.com"]);
    for refusal in [
        client.send_verification(&id, "alice@example.com").await,
        client.set_primary(&id, "second@example.com").await,
    ] {
        assert!(refusal.as_ref().unwrap_err().message().contains("SendActivationEmail"), "{refusal:?}");
        refused(refusal, Code::FailedPrecondition, "USER_PENDING");
    }
    // X16: it is spared by every purge, and can activate as ever.
    journey.server.clock.advance(Duration::days(6));
    client.mail_to(keys::By::UserId(id.clone())).await.unwrap();
    let mail = journey.next_mail().await;
    assert_eq!(mail.recipient, "alice@example.com");
    let user = client.use_key(&key_in(&mail)).await.unwrap();
    assert_eq!(user.state(), UserState::Active);
    let addresses = client.set_primary(&id, "second@example.com").await.unwrap();
    assert_eq!(shown(&addresses), ["*+second@example.com", "+alice@example.com"]);
    // X15: the keys of the address that was replaced are dead.
    refused(client.use_key(&alice.key).await, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
}

pub async fn u8_who_was_made_active_by_hand_verifies_the_primary_address(store: Store) {
    let journey = Journey::start(&store, "").await;
    let client = &journey.client;
    let alice = client.register("alice", "alice@example.com").await;
    let id = alice.id.to_string();
    client.activate_user(ActivateUserRequest { user_id: id.clone() }).await.unwrap();
    client.send_verification(&id, "alice@example.com").await.unwrap();
    let mail = journey.next_mail().await;
    assert_eq!(mail.recipient, "alice@example.com");
    let verified = client.verify(&key_in(&mail)).await.unwrap();
    assert_eq!(shown(&verified.email_addresses), ["*+alice@example.com"]);
    assert_eq!(client.user(By::Email("alice@example.com".into())).await.unwrap().id, id);
    let events = store.events(alice.id).await;
    assert_eq!(events, ["user_registered", "user_activated", "email_address_verified"]);
}

pub async fn u8_a_mail_to_a_removed_address_is_not_sent(store: Store) {
    let journey = Journey::start(&store, "").await;
    let client = &journey.client;
    let alice = register_active(&journey, "alice").await;
    let id = alice.id.to_string();
    journey.sink.at(Step::Rcpt, Action::Reply("451 4.3.0 try again later".into()));
    client.add(&id, "wrong@example.com").await.unwrap();
    wait_for_rows(&store, "mails WHERE last_error IS NOT NULL AND claim_token IS NULL", 1).await;
    client.remove(&id, "wrong@example.com").await.unwrap();
    assert_eq!(store.count("mails WHERE state = 'DISCARDED' AND sealed_text IS NULL").await, 1);
    journey.sink.behave();
    journey.server.clock.advance(Duration::minutes(1));
    client.add(&id, "right@example.com").await.unwrap();
    let mail = journey.next_mail().await;
    assert_eq!(mail.recipient, "right@example.com");
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 1).await;
    assert_eq!(journey.sink.mails(1).await.len(), 1);
    client.verify(&key_in(&mail)).await.unwrap();
}

pub async fn u8_every_refusal_is_told_by_its_reason(store: Store) {
    let journey = Journey::start(&store, "registration.max_email_addresses = 2").await;
    let client = &journey.client;
    let (alice, bob) = (register_active(&journey, "alice").await, register_active(&journey, "bob").await);
    let [alice, bob] = [alice.id, bob.id].map(|id| id.to_string());
    let nobody = Uuid::nil().to_string();
    for user in [&alice, &bob] {
        client.add(user, "shared@example.com").await.unwrap();
    }
    let (first, second) = (journey.next_mail().await, journey.next_mail().await);
    let mut keys = [key_in(&first), key_in(&second)];
    if second.body.contains("Hello alice,") {
        keys.reverse();
    }
    let [alices, bobs] = keys;
    let shared = "shared@example.com";
    let details = refused(client.add(&alice, shared).await, Code::AlreadyExists, "EMAIL_ADDRESS_EXISTS");
    assert_eq!(details.resource_info().unwrap().resource_name, shared);
    let full = client.add(&alice, "third@example.com").await;
    refused(full, Code::FailedPrecondition, "TOO_MANY_EMAIL_ADDRESSES");
    client.verify(&bobs).await.unwrap();
    refused(client.verify(&alices).await, Code::FailedPrecondition, "EMAIL_TAKEN");
    refused(client.send_verification(&alice, shared).await, Code::FailedPrecondition, "EMAIL_TAKEN");
    client.remove(&alice, shared).await.unwrap();
    refused(client.add(&alice, shared).await, Code::AlreadyExists, "EMAIL_TAKEN");
    for missing in [
        client.send_verification(&alice, shared).await,
        client.set_primary(&alice, shared).await,
        client.remove(&alice, shared).await,
    ] {
        refused(missing, Code::NotFound, "EMAIL_ADDRESS_NOT_FOUND");
    }
    for of_nobody in [
        client.addresses(&nobody).await,
        client.add(&nobody, "third@example.com").await,
        client.send_verification(&nobody, shared).await,
        client.set_primary(&nobody, shared).await,
        client.remove(&nobody, shared).await,
    ] {
        let details = refused(of_nobody, Code::NotFound, "USER_NOT_FOUND");
        assert_eq!(details.resource_info().unwrap().resource_name, nobody);
    }
    client.add(&alice, "third@example.com").await.unwrap();
    let third = key_in(&journey.next_mail().await);
    client.disable_user(DisableUserRequest { user_id: alice.clone() }).await.unwrap();
    for of_disabled in [
        client.add(&alice, "fourth@example.com").await,
        client.send_verification(&alice, "third@example.com").await,
        client.set_primary(&alice, "third@example.com").await,
        client.remove(&alice, "third@example.com").await,
        client.verify(&third).await.map(|verified| verified.email_addresses),
    ] {
        refused(of_disabled, Code::FailedPrecondition, "USER_DISABLED");
    }
    assert_eq!(shown(&client.addresses(&alice).await.unwrap()), ["*+alice@example.com", "third@example.com"]);
    // X15: what died with the disabling stays dead.
    client.enable_user(EnableUserRequest { user_id: alice.clone() }).await.unwrap();
    refused(client.verify(&third).await, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
    let both = client.add("nobody", "nowhere").await;
    let details = refused(both, Code::InvalidArgument, "INVALID_REQUEST");
    let fields: Vec<_> =
        details.bad_request().unwrap().field_violations.iter().map(|one| &one.field).collect();
    assert_eq!(fields, ["user_id", "email"]);
}
