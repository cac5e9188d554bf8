//! What every answer tells a browser, and which forms are not taken.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{SHOP, Site, heading};
use crate::{
    contract::store::{Store, on_sqlite},
    support::http::{Answer, Connection},
};

/// Every header that says what may be done with a page whose address holds a key.
fn assert_guarded(what: &str, answer: &Answer) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("x-robots-tag", "noindex, nofollow"),
        ("vary", "Accept-Language"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), value, "{name} of {what}");
    }
    assert!(answer.header("permissions-policy").contains("camera=()"), "{what}");
    let policy = answer.header("content-security-policy");
    for rule in ["default-src 'none'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"] {
        assert!(policy.split("; ").any(|found| found == rule), "{rule} of {what}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{what}: {policy}");
    for name in ["set-cookie", "location", "access-control-allow-origin", "server"] {
        assert!(answer.headers.get(name).is_none(), "{name} of {what}");
    }
    assert!(!answer.body.contains("<script") && !answer.body.contains("http-equiv"), "{what}");
}

#[tokio::test]
async fn every_answer_says_what_may_be_done_with_it() {
    on_sqlite(|store: Store| async move {
        let site = Site::start(&store).await;
        let alice = site.client.register("alice", "alice@example.com").await;
        let path = format!("/activate/{}", alice.key);
        for (method, path, status) in [
            ("GET", &*path, 200),
            ("HEAD", &path, 200),
            ("POST", &path, 200),
            ("GET", &path, 200),
            ("GET", "/activate/x", 404),
            ("POST", "/activate/x", 404),
            ("GET", "/verify/x", 200),
            ("POST", "/verify/x", 404),
            ("GET", "/resend", 200),
            ("POST", "/resend", 422),
            ("GET", "/", 404),
            ("POST", "/nowhere", 404),
            ("GET", "/robots.txt", 404),
            ("PUT", &path, 405),
            ("DELETE", &path, 405),
            ("PATCH", "/verify/x", 405),
            ("OPTIONS", "/resend", 405),
            ("TRACE", &path, 405),
            ("BREW", &path, 405),
        ] {
            let answer = site.ask(method, path).await;
            assert_eq!(answer.status, status, "{method} {path}");
            assert_guarded(&format!("{method} {path}"), &answer);
            assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
            assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
            assert!(answer.header("content-security-policy").contains("style-src 'sha256-"));
            if status == 405 {
                assert_eq!(
                    (answer.header("allow"), heading(&answer)),
                    ("GET,HEAD,POST", "This could not be done")
                );
            }
        }
        assert_guarded("another host", &site.ask_with("GET", "/", &[("host", "evil.example")]).await);
        let too_large = site.ask_for_mail(&"x".repeat(4097)).await;
        assert_eq!(too_large.status, 413);
        assert_guarded("too much", &too_large);
    })
    .await;
}

#[tokio::test]
async fn a_form_of_another_site_presses_no_button() {
    on_sqlite(|store: Store| async move {
        let site = Site::start(&store).await;
        let alice = site.client.register("alice", "alice@example.com").await;
        let path = format!("/activate/{}", alice.key);
        let before = store.contents().await;
        for elsewhere in ["cross-site", "same-site", "anything"] {
            for path in [&*path, "/verify/x", "/resend"] {
                let answer = site.ask_with("POST", path, &[SHOP, ("sec-fetch-site", elsewhere)]).await;
                assert_eq!((answer.status, heading(&answer)), (403, "This could not be done"), "{elsewhere}");
                assert_guarded(elsewhere, &answer);
            }
            // A link may stand anywhere.
            let followed = site.ask_with("GET", &path, &[SHOP, ("sec-fetch-site", elsewhere)]).await;
            assert_eq!(followed.status, 200);
        }
        let both = [SHOP, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")];
        assert_eq!(site.ask_with("POST", &path, &both).await.status, 403);
        assert_eq!(store.contents().await, before);
        // As the form of a page says it that sends no referrer.
        let own = [SHOP, ("sec-fetch-site", "same-origin"), ("origin", "null")];
        assert_eq!(heading(&site.ask_with("POST", &path, &own).await), "Your account is active");
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_too_long_does_nothing() {
    on_sqlite(|store: Store| async move {
        let site = Site::start(&store).await;
        let alice = site.client.register("alice", "alice@example.com").await;
        let path = format!("/activate/{}", alice.key);
        let before = store.contents().await;
        for length in [4097, 1_000_000] {
            let mut connection = Connection::open(site.page).await;
            let sent = connection.send("POST", &path, &[SHOP], "x".repeat(length)).await;
            // What is not read to its end may break the connection before the answer is read.
            if let Ok(answer) = sent {
                assert_eq!((answer.status, heading(&answer)), (413, "This could not be done"));
            }
        }
        assert_eq!(store.contents().await, before);
        let mut connection = Connection::open(site.page).await;
        let answer = connection.send("POST", &path, &[SHOP], "x".repeat(4096)).await.unwrap();
        assert_eq!(answer.status, 200);
    })
    .await;
}

#[tokio::test]
async fn whoever_does_not_come_to_an_end_is_cut_off() {
    on_sqlite(|store: Store| async move {
        let site = Site::start(&store).await;
        let alice = site.client.register("alice", "alice@example.com").await;
        let before = store.contents().await;
        let begun = Instant::now();
        let head = format!("POST /activate/{} HTTP/1.1\r\nHost: shop.example\r\n", alice.key);
        let talks = [
            // Nothing at all, half a head, a head without its body, half a body.
            String::new(),
            head.clone(),
            format!("{head}Content-Length: 10\r\n\r\n"),
            format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nabc"),
        ];
        let ends = talks.map(|talk| async move {
            let mut stream = tokio::net::TcpStream::connect(site.page).await.unwrap();
            stream.write_all(talk.as_bytes()).await.unwrap();
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said).await;
            String::from_utf8(said).unwrap()
        });
        let [silent, half_head, no_body, half_body] = ends;
        let (silent, half_head, no_body, half_body) = tokio::join!(silent, half_head, no_body, half_body);
        assert_eq!((silent.as_str(), half_head.as_str()), ("", ""));
        for said in [no_body, half_body] {
            assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("no-store"), "{said}");
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
        assert_eq!(store.contents().await, before);
    })
    .await;
}
