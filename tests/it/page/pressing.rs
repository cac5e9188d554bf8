//! Pressing the button.

use chrono::Duration;
use tokio::task::JoinSet;
use tonic::Code;
use vestibule::grpc::proto::{
    CreateInactiveUserRequest, DisableUserRequest, SetPasswordRequest, get_user_request::User as By,
    verify_password_request::User as Login,
};

use super::{SHOP, Site, UNKNOWN, has_button, heading};
use crate::{
    contract::store::Store,
    support::{
        http,
        server::{refused, wait_for_rows},
    },
};

pub async fn x13_pressing_the_button_twice_is_a_success_twice(store: Store) {
    let site = Site::start(&store).await;
    let alice = site.client.register("alice", "alice@example.com").await;
    let path = format!("/activate/{}", alice.key);
    let first = site.ask("POST", &path).await;
    assert_eq!((first.status, heading(&first)), (200, "Your account is active"));
    assert!(first.headers.get("location").is_none(), "the key goes nowhere");
    for method in ["POST", "GET"] {
        let again = site.ask(method, &path).await;
        assert_eq!((again.status, heading(&again)), (200, "Your account is already active"));
        assert!(!has_button(&again));
    }
    assert_eq!(store.events(alice.id).await, ["user_registered", "user_activated"]);
    let user = site.client.user(By::Email("alice@example.com".into())).await.unwrap();
    assert!(user.active);
}

pub async fn r12_of_many_who_press_at_once_one_activates(store: Store) {
    let site = Site::start(&store).await;
    let alice = site.client.register("alice", "alice@example.com").await;
    let path = format!("/activate/{}", alice.key);
    let mut presses = JoinSet::new();
    for _ in 0..20 {
        let (page, path) = (site.page, path.clone());
        presses.spawn(async move { http::ask(page, "POST", &path, &[SHOP]).await });
    }
    let answers = presses.join_all().await;
    let said = |text: &str| answers.iter().filter(|answer| heading(answer) == text).count();
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!((said("Your account is active"), said("Your account is already active")), (1, 19));
    assert_eq!(store.events(alice.id).await, ["user_registered", "user_activated"]);
}

pub async fn a_key_that_does_nothing_changes_nothing(store: Store) {
    let site = Site::start(&store).await;
    let client = &site.client;
    let expired = client.register("erin", "erin@example.com").await;
    site.server.clock.advance(Duration::days(7));
    let [owner, taken, disabled] = [
        client.register("bob", "bob@example.com").await,
        client.register("carol", "bob@example.com").await,
        client.register("dave", "dave@example.com").await,
    ];
    client.use_key(&owner.key).await.unwrap();
    client.use_key(&disabled.key).await.unwrap();
    client.disable_user(DisableUserRequest { user_id: disabled.id.to_string() }).await.unwrap();
    let before = store.contents().await;
    for (key, status, said) in [
        (&*expired.key, 410, "This link has expired"),
        (&*taken.key, 409, "This address belongs to another account"),
        (&*disabled.key, 403, "This account is switched off"),
        (UNKNOWN, 404, "This link does not work"),
        ("x", 404, "This link does not work"),
    ] {
        let answer = site.ask("POST", &format!("/activate/{key}")).await;
        assert_eq!((answer.status, heading(&answer)), (status, said));
        let answer = site.ask("POST", &format!("/verify/{key}")).await;
        assert_eq!((answer.status, heading(&answer)), (404, "This link does not work"));
    }
    assert_eq!(store.contents().await, before);
}

pub async fn a_key_of_another_site_is_answered_in_its_name(store: Store) {
    let site = Site::start(&store).await;
    let request = CreateInactiveUserRequest {
        username: "alice".into(),
        email: "alice@example.com".into(),
        site: "forum".into(),
        send_email: Some(false),
        ..Default::default()
    };
    let key = site.client.create_inactive_user(request).await.unwrap().activation_key;
    let path = format!("/activate/{key}");
    for (method, said) in [("GET", "Aktivieren Sie Ihr Konto"), ("POST", "Ihr Konto ist aktiv")] {
        let answer = site.ask(method, &path).await;
        assert_eq!((answer.status, heading(&answer)), (200, said));
        assert!(answer.body.contains("Das &lt;Forum&gt;") && !answer.body.contains("The Shop"));
    }
}

pub async fn x9_an_account_without_a_password_is_activated_without_one(store: Store) {
    let site = Site::start(&store).await;
    let alice = site.client.register("alice", "alice@example.com").await;
    site.ask("POST", &format!("/activate/{}", alice.key)).await;
    let login = || Login::Username("alice".into());
    let password = "correct-horse-battery-staple";
    refused(site.client.log_in(login(), password).await, Code::Unauthenticated, "INVALID_CREDENTIALS");
    let set = SetPasswordRequest { user_id: alice.id.to_string(), password: password.into() };
    site.client.set_password(set).await.unwrap();
    site.client.log_in(login(), password).await.unwrap();
}

pub async fn u8_a_further_address_is_verified_by_its_button(store: Store) {
    let site = Site::start(&store).await;
    let client = &site.client;
    let [alice, bob] = [
        client.register("alice", "alice@example.com").await,
        client.register("bob", "bob@example.com").await,
    ];
    client.use_key(&alice.key).await.unwrap();
    client.use_key(&bob.key).await.unwrap();
    for (count, (user, email)) in (1..).zip([
        (&alice, "second@example.com"),
        (&alice, "third@example.com"),
        (&bob, "third@example.com"),
    ]) {
        client.add(&user.id.to_string(), email).await.unwrap();
        wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", count).await;
    }
    let key = |to: &str, name: &str| {
        let mails = site.server.mails();
        let is_it = |mail: &&String| {
            mail.contains(&format!("To: {to}\r\n")) && mail.contains(&format!("Hello {name},"))
        };
        let mail = mails.iter().find(is_it).unwrap();
        assert!(mail.contains("https://shop.example/verify/"));
        mail.split("/verify/").nth(1).unwrap()[..40].to_owned()
    };
    let path = format!("/verify/{}", key("second@example.com", "alice"));
    let looked = site.ask("GET", &path).await;
    assert_eq!((looked.status, heading(&looked)), (200, "Confirm your email address"));
    assert!(has_button(&looked));
    for said in ["Your email address is confirmed", "Your email address is already confirmed"] {
        let answer = site.ask("POST", &path).await;
        assert_eq!((answer.status, heading(&answer)), (200, said));
    }
    let user = client.user(By::Email("second@example.com".into())).await.unwrap();
    assert_eq!(user.username, "alice");

    client.verify(&key("third@example.com", "alice")).await.unwrap();
    let taken = site.ask("POST", &format!("/verify/{}", key("third@example.com", "bob"))).await;
    assert_eq!((taken.status, heading(&taken)), (409, "This address belongs to another account"));
    // The key of an activation verifies no further address.
    let answer = site.ask("POST", &format!("/verify/{}", alice.key)).await;
    assert_eq!(answer.status, 404);
}
