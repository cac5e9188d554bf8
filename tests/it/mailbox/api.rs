//! The mails as JSON: what a test of somebody's service asks for.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Dev, text};

#[tokio::test]
async fn a_test_waits_for_the_mail_of_whom_it_registers_and_activates() {
    let dev = Dev::start().await;
    // Waited for before and during the registration, in another case than the address is stored in.
    let (_, mail) = tokio::join!(
        dev.client.register_by_mail("alice", "alice@Example.com"),
        dev.mail_to("ALICE@example.com")
    );
    let key = text(&mail, "activation_key");
    let link = format!("https://shop.example/activate?key={key}");
    assert_eq!(mail["kind"], "activation");
    assert_eq!(mail["recipient"], "alice@example.com");
    assert_eq!(mail["subject"], "Activate your account at The Shop");
    assert_eq!(mail["from"], "Vestibule <vestibule@localhost>");
    assert_eq!(mail["verification_key"], Value::Null);
    assert_eq!(mail["links"], json!([link]));
    assert!(text(&mail, "text").contains(&link) && text(&mail, "html").contains(key));
    chrono::DateTime::parse_from_rfc3339(text(&mail, "create_time")).unwrap();
    assert_eq!(dev.client.use_key(key).await.unwrap().username, "alice");

    assert_eq!(dev.json(&format!("/api/mails/{}", text(&mail, "id"))).await, mail);
    let after = text(&mail, "cursor");
    let answer = dev.get(&format!("/api/mails/next?after={after}&timeout_seconds=0")).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""), "there is no other mail");
}

#[tokio::test]
async fn a_mail_that_verifies_an_address_has_its_key() {
    let dev = Dev::start().await;
    let alice = dev.client.register("alice", "alice@example.com").await;
    dev.client.add(&alice.id.to_string(), "second@example.com").await.unwrap();
    let mail = dev.mail_to("second@example.com").await;
    assert_eq!((text(&mail, "kind"), &mail["activation_key"]), ("email_verification", &Value::Null));
    let verified = dev.client.verify(text(&mail, "verification_key")).await.unwrap();
    assert_eq!(verified.email, "second@example.com");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_follows_the_cursor_misses_none_and_gets_none_twice() {
    const REGISTRATIONS: usize = 110;
    let dev = Dev::start().await;
    let mut cursor = text(&dev.json("/api/mails").await, "cursor").to_owned();
    let mut registering = JoinSet::new();
    for worker in 0..10 {
        let client = dev.client.clone();
        registering.spawn(async move {
            for number in (worker..REGISTRATIONS).step_by(10) {
                client.register_by_mail(&format!("user-{number}"), &format!("u{number}@example.com")).await;
            }
        });
    }
    let mut seen = Vec::new();
    while seen.len() < REGISTRATIONS {
        let mail = dev.json(&format!("/api/mails/next?after={cursor}&timeout_seconds=60")).await;
        text(&mail, "cursor").clone_into(&mut cursor);
        seen.push(text(&mail, "recipient").to_owned());
    }
    registering.join_all().await;
    let expected: BTreeSet<_> = (0..REGISTRATIONS).map(|number| format!("u{number}@example.com")).collect();
    assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>(), expected);

    // The newest first, page by page.
    let (mut listed, mut token) = (Vec::new(), String::new());
    loop {
        let page = dev.json(&format!("/api/mails?page_size=50{token}")).await;
        let mails = page["mails"].as_array().unwrap();
        listed.extend(mails.iter().map(|mail| text(mail, "recipient").to_owned()));
        assert!(mails.iter().all(|mail| mail.get("text").is_none()), "a list is short");
        let Some(next) = page["next_page_token"].as_str() else { break };
        assert_eq!(mails.len(), 50);
        token = format!("&page_token={next}");
    }
    listed.reverse();
    assert_eq!(listed, seen);
    let one = dev.json("/api/mails?recipient=u7@example.com").await;
    assert_eq!(one["mails"].as_array().unwrap().len(), 1);
    assert_eq!(one["mails"][0]["recipient"], "u7@example.com");

    // The page for people shows the newest hundred, and leads to the others.
    let first = dev.get("/").await.body;
    assert_eq!(first.matches("<th role=\"rowheader\"").count(), 100);
    let older = first.split("href=\"/?before=").nth(1).unwrap().split('"').next().unwrap();
    let second = dev.get(&format!("/?before={older}")).await.body;
    assert_eq!(second.matches("<th role=\"rowheader\"").count(), REGISTRATIONS - 100);
    assert!(!second.contains("/?before=") && !second.contains("http-equiv"));
}

#[tokio::test]
async fn an_emptied_mailbox_is_empty_and_goes_on() {
    let dev = Dev::start().await;
    let first = dev.register("alice").await;
    let answer = dev.ask("DELETE", "/api/mails", &[]).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!(dev.json("/api/mails").await["mails"], json!([]));
    assert_eq!(dev.get(&format!("/api/mails/{}", text(&first, "id"))).await.status, 404);
    dev.client.register_by_mail("bob", "bob@example.com").await;
    let path = format!("/api/mails/next?after={}&timeout_seconds=60", text(&first, "cursor"));
    assert_eq!(dev.json(&path).await["recipient"], "bob@example.com");
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let dev = Dev::start().await;
    let cursor = text(&dev.register("alice").await, "cursor").to_owned();
    let (run, _) = cursor.split_once('-').unwrap();
    for (path, parameter) in [
        ("/api/mails?recipent=alice@example.com", "recipent"),
        ("/api/mails?recipient=alice", "recipient"),
        ("/api/mails/next?recipient=alice+tag@example.com", "recipient"),
        ("/api/mails?recipient=a@example.com&recipient=b@example.com", "recipient"),
        ("/api/mails?page_size=0", "page_size"),
        ("/api/mails?page_size=1001", "page_size"),
        ("/api/mails?page_size=", "page_size"),
        ("/api/mails?page_token=1", "page_token"),
        ("/api/mails/next?timeout_seconds=61", "timeout_seconds"),
        ("/api/mails/next?timeout_seconds=-1", "timeout_seconds"),
        ("/api/mails/next?timeout_seconds=soon", "timeout_seconds"),
        ("/api/mails/next?after=", "after"),
        // Of another process, and of a mail that has not come.
        ("/api/mails/next?after=0000000000000000-0", "after"),
        (&format!("/api/mails/next?after={run}-2"), "after"),
    ] {
        let answer = dev.get(path).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        let json = answer.json();
        assert_eq!(json["parameter"], parameter, "{path}");
        assert!(text(&json, "error").starts_with(parameter), "{json}");
    }
    // Whoever asks for that means something else than to empty it.
    let answer = dev.ask("DELETE", "/api/mails?recipient=bob@example.com", &[]).await;
    assert_eq!((answer.status, &answer.json()["parameter"]), (400, &json!("recipient")));
    assert_eq!(dev.json("/api/mails").await["mails"].as_array().unwrap().len(), 1);
    for path in
        ["/api/mails/x", "/api/mails/01a20644-7803-7c51-acc2-1365e294aa44", "/api/x", "/api/mails/%ff"]
    {
        let answer = dev.get(path).await;
        assert_eq!((answer.status, &answer.json()["parameter"]), (404, &Value::Null), "{path}");
    }
    assert_eq!(dev.ask("PUT", "/api/mails", &[]).await.json()["error"], "This can't be done here.");
}
