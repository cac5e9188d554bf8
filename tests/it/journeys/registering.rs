//! From registering to being active.

use std::fs;

use argon2::{Argon2, PasswordVerifier as _, password_hash::phc};
use chrono::Duration;
use prost::Message as _;
use tonic::Code;
use vestibule::{
    clock::Clock as _,
    grpc::proto::{
        ActivateRequest, CreateInactiveUserRequest, ListUnverifiedRequest, MailState, PurgeExpiredRequest,
        User, UserState, get_user_request::User as By,
    },
};

use super::{Journey, key_in};
use crate::{
    contract::store::Store,
    support::server::{instant, refused, wire},
};

pub async fn r1_whoever_registers_is_mailed_a_key_that_activates(store: Store) {
    let Journey { sink, server, client } = Journey::start(&store, "").await;
    let alice = client.register_by_mail("Alice", "Alice@EXAMPLE.com").await;
    let pending = User {
        id: alice.id.clone(),
        username: "Alice".into(),
        email: "Alice@example.com".into(),
        state: UserState::Pending.into(),
        create_time: Some(wire(server.clock.now())),
        site: "default".into(),
        ..Default::default()
    };
    assert_eq!(alice, pending);

    let received = sink.next_mail().await;
    let mail = received.parse();
    assert_eq!(
        (mail.recipient.as_str(), received.from.as_str()),
        ("Alice@example.com", "vestibule@localhost")
    );
    assert_eq!(mail.subject, "Activate your account at Vestibule");
    assert!(mail.message_id.ends_with("@localhost"), "{}", mail.message_id);
    let headers = String::from_utf8(received.data).unwrap();
    assert!(headers.contains("Auto-Submitted: auto-generated\r\n"), "{headers}");
    client.wait_for_mail(&alice.id, 1, MailState::Delivered).await;
    let by_email = || By::Email("Alice@example.com".into());
    refused(client.user(by_email()).await, Code::NotFound, "USER_NOT_FOUND");

    server.clock.advance(Duration::seconds(90));
    let active = client.use_key(&key_in(&mail)).await.unwrap();
    let now = Some(wire(server.clock.now()));
    assert_eq!(active, User { state: UserState::Active.into(), active: true, activate_time: now, ..pending });
    for by in [by_email(), By::UserId(alice.id.clone()), By::Username("ALICE".into())] {
        assert_eq!(client.user(by).await.unwrap(), active);
    }
    let events = store.events(alice.id.parse().unwrap()).await;
    assert_eq!(events, ["user_registered", "activation_mail_sent", "user_activated"]);
}

pub async fn r2_x2_without_a_mail_that_response_alone_carries_the_key(store: Store) {
    let Journey { client, .. } = Journey::start(&store, "").await;
    let mailed = CreateInactiveUserRequest {
        username: "bob".into(),
        email: "bob@example.com".into(),
        ..Default::default()
    };
    assert_eq!(client.create_inactive_user(mailed).await.unwrap().activation_key, "");
    assert_eq!(store.count("mails").await, 1);
    let alice = client.register("alice", "alice@example.com").await;
    assert_eq!(store.count("mails").await, 1);
    let id = alice.id.to_string();
    let preview = PurgeExpiredRequest { validate_only: true, ..Default::default() };
    let responses = [
        client.inspect(&alice.key).await.unwrap().encode_to_vec(),
        client.profile(&id).await.unwrap().encode_to_vec(),
        client.user(By::UserId(id.clone())).await.unwrap().encode_to_vec(),
        client.list_unverified(ListUnverifiedRequest::default()).await.unwrap().encode_to_vec(),
        client.purge_expired(preview).await.unwrap().encode_to_vec(),
        client.use_key(&alice.key).await.unwrap().encode_to_vec(),
        client.use_key(&alice.key).await.unwrap_err().details().to_vec(),
    ];
    for response in responses {
        assert!(!response.windows(40).any(|bytes| bytes == alice.key.as_bytes()));
    }
}

pub async fn x9_the_password_may_come_with_the_activation(store: Store) {
    let Journey { client, .. } = Journey::start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    assert_eq!(store.texts(HASHES).await, ["none"]);
    let request = ActivateRequest {
        activation_key: alice.key,
        password: Some("caf\u{e9} au lait".into()),
        ..Default::default()
    };
    client.activate(request).await.unwrap();
    // RFC 8265 OpaqueString: the accent may come as a character of its own.
    assert_password(&store, "caf\u{e9} au lait").await;
}

pub async fn x9_a_password_of_the_activation_replaces_the_first(store: Store) {
    let Journey { client, .. } = Journey::start(&store, "").await;
    for (username, password, holds) in
        [("alice", Some("second thoughts"), "second thoughts"), ("bob", None, "first idea")]
    {
        let request = CreateInactiveUserRequest {
            username: username.into(),
            email: format!("{username}@example.com"),
            password: Some("first idea".into()),
            send_email: Some(false),
            ..Default::default()
        };
        let activation_key = client.create_inactive_user(request).await.unwrap().activation_key;
        assert_password(&store, "first idea").await;
        client
            .activate(ActivateRequest {
                activation_key,
                password: password.map(Into::into),
                ..Default::default()
            })
            .await
            .unwrap();
        assert_password(&store, holds).await;
        store.execute("DELETE FROM users").await;
    }
}

pub async fn r4_r5_the_templates_of_a_folder_make_the_mail(store: Store) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("activation")).unwrap();
    let write =
        |name: &str, text: &str| fs::write(folder.path().join("activation").join(name), text).unwrap();
    write(
        "subject.txt",
        "Willkommen, {{ user.username }},\r\n  bei {{ site.name }}\nauf {{ site.domain }}\n",
    );
    write("body.txt", "{{ activation_key }}\n.\n{{ expiration_days }} Tage, bis {{ expire_time }}\n");
    let settings = format!(
        "templates.directory = '{}'\n[[sites]]\nid = 'b'\nname = 'Bücher'\ndomain = 'books.example'",
        folder.path().display()
    );
    let journey = Journey::start(&store, &settings).await;
    journey.client.register_by_mail("Ålice", "alice@example.com").await;
    let mail = journey.next_mail().await;
    assert_eq!(mail.subject, "Willkommen, Ålice,  bei Bücherauf books.example");
    let key = key_in(&mail);
    assert_eq!(mail.body.trim_end(), format!("{key}\n.\n7 Tage, bis 2027-01-22 08:00 UTC"));
    journey.client.use_key(&key).await.unwrap();
}

pub async fn each_site_mails_in_its_own_name_and_has_its_own_window(store: Store) {
    let journey = Journey::start(&store, SITES).await;
    let now = journey.server.clock.now();
    for (site, registered_on, from, subject, days) in [
        ("", "shop", "hello@shop.example", "Activate your account at The Shop", 3),
        ("forum", "forum", "vestibule@localhost", "Activate your account at Forum", 7),
        ("shop", "shop", "hello@shop.example", "Activate your account at The Shop", 3),
    ] {
        let request = CreateInactiveUserRequest {
            username: format!("alice{site}"),
            email: "alice@example.com".into(),
            site: site.into(),
            ..Default::default()
        };
        let created = journey.client.create_inactive_user(request).await.unwrap();
        assert_eq!(created.user.unwrap().site, registered_on);
        assert_eq!(instant(created.expire_time), now + Duration::days(days));
        let received = journey.sink.next_mail().await;
        let mail = received.parse();
        assert_eq!((received.from.as_str(), mail.subject.as_str()), (from, subject));
        let link = format!("https://shop.example/activate?key={}", key_in(&mail));
        assert_eq!(mail.body.contains(&link), registered_on == "shop", "{}", mail.body);
        assert_eq!(journey.client.inspect(&key_in(&mail)).await.unwrap().site, registered_on);
    }
    let request = CreateInactiveUserRequest {
        username: "bob".into(),
        email: "bob@example.com".into(),
        site: "shops".into(),
        ..Default::default()
    };
    let refusal = journey.client.create_inactive_user(request).await;
    let details = refused(refusal, Code::InvalidArgument, "INVALID_REQUEST");
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "site");
}

const SITES: &str = "
[[sites]]
id = 'shop'
name = 'The Shop'
domain = 'shop.example'
from = 'The Shop <hello@shop.example>'
activation_url = 'https://shop.example/activate?key={key}'
activation_days = 3

[[sites]]
id = 'forum'
name = 'Forum'
domain = 'forum.example'
";

const HASHES: &str = "SELECT coalesce(password_hash, 'none') FROM users";

/// The one user there is has this password, and its hash is argon2id in the PHC form.
async fn assert_password(store: &Store, password: &str) {
    let hashes = store.texts(HASHES).await;
    assert!(hashes[0].starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashes:?}");
    let hash = phc::PasswordHash::new(&hashes[0]).unwrap();
    assert!(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
    assert!(Argon2::default().verify_password(b"another", &hash).is_err());
}
