//! Passwords over the wire: who is let in, what a guess costs, and which passwords nobody may choose.

use std::time::Duration as Span;

use chrono::Duration;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use uuid::Uuid;
use vestibule::{
    clock::Clock as _,
    grpc::proto::{
        ActivateRequest, ActivateUserRequest, CreateInactiveUserRequest, DisableUserRequest,
        EnableUserRequest, SetPasswordRequest, VerifyPasswordRequest, verify_password_request::User as By,
    },
};

use super::{start, tick};
use crate::{
    contract::store::Store,
    support::server::{Client, instant, reason, refused},
};

pub const PASSWORD: &str = "correct horse";
/// What our own hashes begin with.
const OURS: &str = "$argon2id$v=19$m=19456,t=2,p=1$";
/// Of "correct horse battery staple", made by Django 5.2.19.
const DJANGO: [&str; 2] = [
    "pbkdf2_sha256$1000$seasalt$3xmXbyk2QpiyNcnoBbzRPwEBsYPTbDlRdtmLyBvQltA=",
    "argon2$argon2id$v=19$m=102400,t=2,p=8$M2M4YVJmb1ZxSkZDM0N0TjdkMEZyUA\
     $P75y16KurQ7uH4ptLwhxETmUILfK1aFNAZ4vpaNA1ns",
];
const OF_DJANGO: &str = "correct horse battery staple";

pub fn named(username: &str) -> By {
    By::Username(username.to_owned())
}

/// Registers somebody with [`PASSWORD`]; the key and the id.
async fn register(client: &Client, username: &str) -> (String, String) {
    let request = CreateInactiveUserRequest {
        username: username.to_owned(),
        email: format!("{username}@example.com"),
        password: Some(PASSWORD.to_owned()),
        send_email: Some(false),
        ..Default::default()
    };
    let created = client.create_inactive_user(request).await.unwrap();
    (created.activation_key, created.user.unwrap().id)
}

/// Somebody active with [`PASSWORD`]; the id.
pub async fn active(client: &Client, username: &str) -> String {
    let (key, id) = register(client, username).await;
    client.use_key(&key).await.unwrap();
    id
}

pub async fn set_password(client: &Client, user_id: &str, password: &str) -> Result<(), Status> {
    let request = SetPasswordRequest { user_id: user_id.to_owned(), password: password.to_owned() };
    client.set_password(request).await.map(drop)
}

async fn store_hash(store: &Store, username: &str, hash: &str) {
    let statement = format!("UPDATE users SET password_hash = {hash} WHERE username = '{username}'");
    assert_eq!(store.execute(statement).await, 1);
}

async fn stored_hash(store: &Store, username: &str) -> String {
    store.texts(format!("SELECT password_hash FROM users WHERE username = '{username}'")).await.concat()
}

/// All that a caller sees of a refusal.
fn seen(refusal: &Status) -> (Code, String, Vec<u8>) {
    (refusal.code(), refusal.message().to_owned(), refusal.details().to_vec())
}

pub async fn whoever_is_not_let_in_is_answered_alike(store: Store) {
    let (_server, client) = start(&store, "").await;
    let id = active(&client, "active").await;
    register(&client, "pending").await;
    let disabled = active(&client, "disabled").await;
    client.disable_user(DisableUserRequest { user_id: disabled.clone() }).await.unwrap();
    let bare = client.register("bare", "bare@example.com").await;
    client.use_key(&bare.key).await.unwrap();
    active(&client, "broken").await;
    store_hash(&store, "broken", "'correct horse'").await;
    let email = |name: &str| By::Email(format!("{name}@example.com"));
    let mut refusals = Vec::new();
    for (number, (by, password)) in [
        (named("active"), "wrong horse"),
        (By::UserId(id.clone()), "wrong horse"),
        (email("active"), "wrong horse"),
        (named("nobody"), PASSWORD),
        (By::UserId(Uuid::nil().to_string()), PASSWORD),
        (email("nobody"), PASSWORD),
        (named("pending"), PASSWORD),
        (email("pending"), PASSWORD),
        (named("disabled"), PASSWORD),
        (By::UserId(disabled), PASSWORD),
        (named("bare"), PASSWORD),
        (named("broken"), PASSWORD),
    ]
    .into_iter()
    .enumerate()
    {
        let refusal = client.log_in(by, password).await.unwrap_err();
        assert_eq!(reason(&refusal), "INVALID_CREDENTIALS", "{number}");
        refusals.push(seen(&refusal));
        assert_eq!(refusals.first(), refusals.last(), "{number}");
    }
    assert_eq!(refusals[0].0, Code::Unauthenticated);
    assert_eq!(store.count("users WHERE last_login_time IS NOT NULL").await, 0);
    client.log_in(By::UserId(id), PASSWORD).await.unwrap();
}

pub async fn what_can_be_no_password_is_refused_alike_and_is_no_guess(store: Store) {
    let (_server, client) = start(&store, "").await;
    active(&client, "active").await;
    for password in [String::new(), "a".repeat(1025), "a\u{7}".to_owned(), "\u{1f970}".to_owned()] {
        let known = client.log_in(named("active"), &password).await.unwrap_err();
        let unknown = client.log_in(named("nobody"), &password).await.unwrap_err();
        assert_eq!(seen(&known), seen(&unknown));
        let details = refused::<()>(Err(known), Code::InvalidArgument, "PASSWORD_REJECTED");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "password");
    }
    let nobody = VerifyPasswordRequest { user: None, password: String::new(), device: "short".into() };
    let details = refused(client.verify_password(nobody).await, Code::InvalidArgument, "INVALID_REQUEST");
    let named: Vec<_> =
        details.bad_request().unwrap().field_violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(named, ["user", "password", "device"]);
    assert_eq!(store.count("password_guesses").await, 0);
}

/// Guesses wrong once; how long the next guess has to wait if this one was not let in.
async fn guess(client: &Client, name: &str) -> Option<Span> {
    let refusal = client.log_in(named(name), "wrong horse").await.unwrap_err();
    if reason(&refusal) == "INVALID_CREDENTIALS" {
        return None;
    }
    let details = refused::<()>(Err(refusal), Code::ResourceExhausted, "RATE_LIMITED");
    assert_eq!(details.quota_failure().unwrap().violations.len(), 1);
    Some(details.retry_info().unwrap().retry_delay.unwrap())
}

pub async fn guesses_in_a_row_are_slowed_down_alike_for_known_and_unknown_and_never_locked_out(store: Store) {
    let (server, client) = start(&store, "").await;
    active(&client, "active").await;
    for failures in 0..4 {
        for name in ["active", "nobody"] {
            assert_eq!(guess(&client, name).await, None, "{failures}");
        }
    }
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        for name in ["active", "nobody"] {
            assert_eq!(guess(&client, name).await, None, "{wait}");
            // What comes too soon prolongs nothing, and is not looked at: the right password waits as well.
            for _ in 0..3 {
                assert_eq!(guess(&client, name).await, Some(Span::from_secs(wait)));
            }
            let right = client.log_in(named(name), PASSWORD).await;
            refused(right, Code::ResourceExhausted, "RATE_LIMITED");
        }
        server.clock.advance(Duration::seconds(i64::try_from(wait).unwrap()) - tick());
        for name in ["active", "nobody"] {
            assert_eq!(guess(&client, name).await, Some(Span::from_micros(1)));
        }
        server.clock.advance(tick());
    }
    let user = client.log_in(named("active"), PASSWORD).await.unwrap();
    assert_eq!(instant(user.last_login_time), server.clock.now());
    // A success forgets.
    for _ in 0..5 {
        assert_eq!(guess(&client, "active").await, None);
    }
    assert_eq!(guess(&client, "active").await, Some(Span::from_secs(1)));
}

pub async fn of_a_hundred_guesses_at_once_five_are_checked(store: Store) {
    let (_server, client) = start(&store, "passwords.queue_seconds = 600").await;
    active(&client, "active").await;
    for name in ["active", "nobody"] {
        let mut guesses = JoinSet::new();
        for _ in 0..100 {
            let client = client.clone();
            guesses
                .spawn(async move { reason(&client.log_in(named(name), "wrong horse").await.unwrap_err()) });
        }
        let reasons = guesses.join_all().await;
        let count = |reason: &str| reasons.iter().filter(|one| *one == reason).count();
        assert_eq!((count("INVALID_CREDENTIALS"), count("RATE_LIMITED")), (5, 95), "{name}");
    }
}

pub async fn a_guess_that_found_no_slot_is_not_counted(store: Store) {
    let (_server, client) = start(&store, "passwords.queue_seconds = 0").await;
    let mut guesses = JoinSet::new();
    for number in 0..64 {
        let client = client.clone();
        let name = format!("user{number}");
        guesses.spawn(async move { reason(&client.log_in(named(&name), PASSWORD).await.unwrap_err()) });
    }
    let reasons = guesses.join_all().await;
    let checked = reasons.iter().filter(|reason| *reason == "INVALID_CREDENTIALS").count();
    assert!(checked > 0 && checked < 64, "{checked} of 64");
    assert!(
        reasons.iter().all(|reason| reason == "INVALID_CREDENTIALS" || reason == "OVERLOADED"),
        "{reasons:?}"
    );
    let counted = store.count("password_guesses WHERE failure_count = 1").await;
    assert_eq!(counted, i64::try_from(checked).unwrap());
    assert_eq!(store.count("password_guesses").await, counted);
}

pub async fn x23_by_email_only_who_has_verified_it_logs_in(store: Store) {
    let (_server, client) = start(&store, "").await;
    let (_, id) = register(&client, "alice").await;
    client.activate_user(ActivateUserRequest { user_id: id.clone() }).await.unwrap();
    let by_email = || By::Email("alice@example.com".into());
    let unverified = client.log_in(by_email(), PASSWORD).await;
    refused(unverified, Code::Unauthenticated, "INVALID_CREDENTIALS");
    client.log_in(By::UserId(id), PASSWORD).await.unwrap();
    let request = CreateInactiveUserRequest {
        username: "bob".into(),
        email: "alice@example.com".into(),
        password: Some(PASSWORD.into()),
        send_email: Some(false),
        ..Default::default()
    };
    let key = client.create_inactive_user(request).await.unwrap().activation_key;
    client.use_key(&key).await.unwrap();
    assert_eq!(client.log_in(by_email(), PASSWORD).await.unwrap().username, "bob");
}

pub async fn a_password_that_may_not_be_chosen_is_refused_wherever_one_is_set(store: Store) {
    let sites = "[[sites]]\nid = 'shop'\nname = 'The Shop'\ndomain = 'shop.example'\n";
    let (_server, client) = start(&store, sites).await;
    let alice = client.register("alexandra", "alexa.stone@example.com").await;
    let before = store.contents().await;
    for (password, rule) in [
        ("", "must not be empty"),
        ("seven77", "must have at least 8 characters"),
        ("trustno1", "must not be one of the passwords that people choose most"),
        ("TrustNo1", "must not be one of the passwords that people choose most"),
        ("Alexandra", "must not be the username or the email address"),
        ("alexandra2026", "must not be the username or the email address"),
        ("Alexa.Stone", "must not be the username or the email address"),
        ("alexa.stone@EXAMPLE.com", "must not be the username or the email address"),
        ("the shop 99", "must not be a name or a domain of the site"),
        ("SHOP.example", "must not be a name or a domain of the site"),
    ] {
        let registered = client.create_inactive_user(CreateInactiveUserRequest {
            username: "Alexandra".into(),
            email: "alexa.stone@example.com".into(),
            password: Some(password.to_owned()),
            ..Default::default()
        });
        let activation = ActivateRequest {
            activation_key: alice.key.clone(),
            password: Some(password.to_owned()),
            ..Default::default()
        };
        for refusal in [
            registered.await.map(drop),
            client.activate(activation).await.map(drop),
            set_password(&client, &alice.id.to_string(), password).await,
        ] {
            let details = refused(refusal, Code::InvalidArgument, "PASSWORD_REJECTED");
            let violations = &details.bad_request().unwrap().field_violations;
            assert_eq!((violations.len(), violations[0].field.as_str()), (1, "password"), "{password}");
            assert!(violations[0].description.starts_with(rule), "{password}: {violations:?}");
        }
    }
    // It is named beside everything else that is wrong, and nobody without a key learns what it is held against.
    let wrong = CreateInactiveUserRequest { password: Some("trustno1".into()), ..Default::default() };
    let details = refused(client.create_inactive_user(wrong).await, Code::InvalidArgument, "INVALID_REQUEST");
    let named: Vec<_> =
        details.bad_request().unwrap().field_violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(named, ["username", "email", "password"]);
    let unknown = ActivateRequest {
        activation_key: "1".repeat(40),
        password: Some("trustno1".into()),
        ..Default::default()
    };
    refused(client.activate(unknown).await, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
    assert_eq!(store.contents().await, before);
    let good = ActivateRequest {
        activation_key: alice.key,
        password: Some("nobody's 8".into()),
        ..Default::default()
    };
    client.activate(good).await.unwrap();
    client.log_in(By::Username("alexandra".into()), "nobody's 8").await.unwrap();
}

pub async fn a_strict_profile_asks_for_fifteen_characters(store: Store) {
    let (_server, client) = start(&store, "passwords.profile = 'strict'").await;
    let alice = client.register("alice", "alice@example.com").await;
    let id = alice.id.to_string();
    let details = refused(
        set_password(&client, &id, "fourteen chars").await,
        Code::InvalidArgument,
        "PASSWORD_REJECTED",
    );
    let said = &details.bad_request().unwrap().field_violations[0].description;
    assert_eq!(said, "must have at least 15 characters");
    set_password(&client, &id, "fifteen \u{e7}haracs").await.unwrap();
}

pub async fn x9_set_password_gives_or_replaces_a_password_in_every_state(store: Store) {
    let (_server, client) = start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    let id = alice.id.to_string();
    set_password(&client, &id, "of a pending user").await.unwrap();
    client.use_key(&alice.key).await.unwrap();
    client.log_in(named("alice"), "of a pending user").await.unwrap();
    set_password(&client, &id, "of an active user").await.unwrap();
    client.log_in(named("alice"), "of an active user").await.unwrap();
    client.disable_user(DisableUserRequest { user_id: id.clone() }).await.unwrap();
    set_password(&client, &id, "of a disabled user").await.unwrap();
    let disabled = client.log_in(named("alice"), "of a disabled user").await;
    refused(disabled, Code::Unauthenticated, "INVALID_CREDENTIALS");
    client.enable_user(EnableUserRequest { user_id: id.clone() }).await.unwrap();
    client.log_in(named("alice"), "of a disabled user").await.unwrap();
    let old = client.log_in(named("alice"), "of an active user").await;
    refused(old, Code::Unauthenticated, "INVALID_CREDENTIALS");
    let nobody = set_password(&client, &Uuid::nil().to_string(), PASSWORD).await;
    refused(nobody, Code::NotFound, "USER_NOT_FOUND");
}

pub async fn hashes_of_django_log_in_and_are_ours_from_then_on(store: Store) {
    let (_server, client) = start(&store, "").await;
    for (number, hash) in DJANGO.iter().enumerate() {
        let name = format!("user{number}");
        active(&client, &name).await;
        store_hash(&store, &name, &format!("'{hash}'")).await;
        let wrong = client.log_in(named(&name), "wrong horse").await;
        refused(wrong, Code::Unauthenticated, "INVALID_CREDENTIALS");
        assert_eq!(stored_hash(&store, &name).await, *hash);
        client.log_in(named(&name), OF_DJANGO).await.unwrap();
        assert!(stored_hash(&store, &name).await.starts_with(OURS), "{hash}");
        client.log_in(named(&name), OF_DJANGO).await.unwrap();
    }
}

pub async fn a_hash_whose_parameters_have_risen_is_replaced_and_one_of_ours_is_not(store: Store) {
    let (_server, client) = start(&store, "").await;
    active(&client, "alice").await;
    let ours = stored_hash(&store, "alice").await;
    assert!(ours.starts_with(OURS), "{ours}");
    client.log_in(named("alice"), PASSWORD).await.unwrap();
    assert_eq!(stored_hash(&store, "alice").await, ours);
    // Made by argon2-cffi 25.1.0.
    let weak = "$argon2id$v=19$m=64,t=3,p=2$aZ0pR+rvaonF7QAWxmYg5Q$2u1xqmoUy3mESPYE3GECZXvBcUn5vMkm";
    store_hash(&store, "alice", &format!("'{weak}'")).await;
    client.log_in(named("alice"), OF_DJANGO).await.unwrap();
    assert!(stored_hash(&store, "alice").await.starts_with(OURS));
    client.log_in(named("alice"), OF_DJANGO).await.unwrap();
}

pub async fn x17_logins_at_once_that_replace_one_hash_all_succeed(store: Store) {
    let (_server, client) = start(&store, "passwords.queue_seconds = 600").await;
    active(&client, "alice").await;
    for _ in 0..5 {
        store_hash(&store, "alice", &format!("'{}'", DJANGO[0])).await;
        let mut logins = JoinSet::new();
        for _ in 0..4 {
            let client = client.clone();
            logins.spawn(async move { client.log_in(named("alice"), OF_DJANGO).await.map(drop) });
        }
        for login in logins.join_all().await {
            login.unwrap();
        }
        assert!(stored_hash(&store, "alice").await.starts_with(OURS));
    }
}

pub async fn a_stored_hash_that_asks_for_too_much_lets_nobody_in(store: Store) {
    let (_server, client) = start(&store, "").await;
    active(&client, "alice").await;
    for hash in [
        "pbkdf2_sha256$4294967295$seasalt$3xmXbyk2QpiyNcnoBbzRPwEBsYPTbDlRdtmLyBvQltA=",
        "$argon2id$v=19$m=4294967295,t=4294967295,p=1$aZ0pR+rvaonF7QAWxmYg5Q$2u1xqmoUy3mESPYE3GECZXvBcUn5vMkm",
    ] {
        store_hash(&store, "alice", &format!("'{hash}'")).await;
        let refusal = client.log_in(named("alice"), OF_DJANGO).await;
        refused(refusal, Code::Unauthenticated, "INVALID_CREDENTIALS");
        assert_eq!(stored_hash(&store, "alice").await, hash);
    }
}
