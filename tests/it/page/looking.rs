//! Looking at a page, which changes nothing: X14.

use chrono::Duration;
use vestibule::grpc::proto::{DisableUserRequest, UserState, get_user_request::User as By};

use super::{SHOP, Site, UNKNOWN, has_button, heading};
use crate::{
    contract::store::Store,
    support::{http::Connection, server::wait_for_rows},
};

/// How often a program opens each link.
const OPENINGS: usize = 100;

pub async fn x14_a_program_that_opens_every_link_a_hundred_times_activates_nobody(store: Store) {
    let site = Site::start(&store).await;
    let mut paths = vec!["/resend".to_owned(), format!("/activate/{UNKNOWN}"), "/activate/x".to_owned()];
    let mut ids = Vec::new();
    for name in ["alice", "bob", "carol"] {
        let user = site.client.register(name, &format!("{name}@example.com")).await;
        paths.push(format!("/activate/{}", user.key));
        paths.push(format!("/verify/{}", user.key));
        ids.push(user.id);
    }
    let dave = site.client.register("dave", "dave@example.com").await;
    site.client.use_key(&dave.key).await.unwrap();
    paths.push(format!("/activate/{}", dave.key));
    site.client.add(&dave.id.to_string(), "second@example.com").await.unwrap();
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 1).await;
    let mail = site.server.mails().remove(0);
    let key = mail.split("/verify/").nth(1).unwrap()[..40].to_owned();
    paths.push(format!("/verify/{key}"));

    let before = store.contents().await;
    let mut connection = Connection::open(site.page).await;
    for path in &paths {
        for method in ["GET", "HEAD"].repeat(OPENINGS) {
            let answer = connection.ask(method, path, &[SHOP]).await.unwrap();
            assert!(matches!(answer.status, 200 | 404), "{method} {path}: {answer:?}");
            assert_eq!(answer.body.is_empty(), method == "HEAD");
        }
    }
    assert_eq!(store.contents().await, before);
    for id in &ids {
        let user = site.client.user(By::UserId(id.to_string())).await.unwrap();
        assert_eq!(user.state(), UserState::Pending);
    }
    // The same links go on working for the people they were meant for.
    assert_eq!(heading(&site.ask("POST", &paths[3]).await), "Your account is active");
    let verified = site.ask("POST", paths.last().unwrap()).await;
    assert_eq!(heading(&verified), "Your email address is confirmed");
}

pub async fn every_key_has_its_page(store: Store) {
    let site = Site::start(&store).await;
    let client = &site.client;
    let expired = client.register("erin", "erin@example.com").await;
    site.server.clock.advance(Duration::days(3));
    let [pending, used, taken, disabled] = [
        client.register("alice", "alice@example.com").await,
        client.register("bob", "bob@example.com").await,
        client.register("carol", "bob@example.com").await,
        client.register("dave", "dave@example.com").await,
    ];
    client.use_key(&used.key).await.unwrap();
    client.use_key(&disabled.key).await.unwrap();
    client.disable_user(DisableUserRequest { user_id: disabled.id.to_string() }).await.unwrap();
    site.server.clock.advance(Duration::days(4));
    let malformed = expired.key.to_uppercase();
    let mut unknown = Vec::new();
    for (key, status, said, button) in [
        (&*pending.key, 200, "Activate your account", true),
        (&*used.key, 200, "Your account is already active", false),
        (&*expired.key, 410, "This link has expired", false),
        (&*taken.key, 409, "This address belongs to another account", false),
        (&*disabled.key, 403, "This account is switched off", false),
        (UNKNOWN, 404, "This link does not work", false),
        (&*malformed, 404, "This link does not work", false),
        ("ALREADY_ACTIVATED", 404, "This link does not work", false),
        ("%00%ff", 404, "This link does not work", false),
    ] {
        let path = format!("/activate/{key}");
        let answer = site.ask("GET", &path).await;
        assert_eq!((answer.status, heading(&answer)), (status, said), "{key}");
        assert_eq!(has_button(&answer), button, "{key}");
        assert!(!answer.body.contains(key), "{key} stands on its page");
        let head = site.ask("HEAD", &path).await;
        let without_date = |mut answer: crate::support::http::Answer| {
            answer.headers.remove("date");
            answer.headers
        };
        assert_eq!((head.status, head.body.as_str()), (status, ""));
        if status == 404 {
            unknown.push(answer.body.clone());
        }
        assert_eq!(without_date(head), without_date(answer));
    }
    // X11: nothing tells a key that nobody has from one that is none.
    assert!(unknown.windows(2).all(|pair| pair[0] == pair[1]));
    let answer = site.ask("GET", &format!("/activate/{}", used.key)).await;
    let link = "<a class=\"button\" href=\"https:&#x2f;&#x2f;shop.example&#x2f;welcome?a=1&amp;b=2\">";
    assert!(answer.body.contains(link), "{}", answer.body);
    let answer = site.ask("GET", &format!("/activate/{}", pending.key)).await;
    assert!(
        answer.body.contains("The Shop") && answer.body.contains("2027-01-25 08:00 UTC"),
        "{}",
        answer.body
    );
}
