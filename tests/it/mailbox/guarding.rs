//! What the mailbox keeps from other sites and other machines: keys stand in it.

use super::{Dev, text};

#[tokio::test]
async fn a_name_that_anybody_could_give_this_machine_is_not_answered() {
    let dev = Dev::start().await;
    let port = dev.mailbox.port();
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"] {
        let host = format!("{host}:{port}");
        for path in ["/", "/api/mails"] {
            assert_eq!(dev.ask("GET", path, &[("host", &host)]).await.status, 200, "{host}");
        }
    }
    let with_port = |name: &str| format!("{name}:{port}");
    for host in [
        with_port("evil.example"),
        with_port("127.0.0.1.evil.example"),
        with_port("localhost.evil.example"),
        with_port("192.0.2.1"),
        with_port("0.0.0.0"),
        with_port("evil@localhost"),
        "evil.example".to_owned(),
        "localhost".to_owned(),
        "localhost:1".to_owned(),
        "localhost:".to_owned(),
        String::new(),
    ] {
        for (method, path) in
            [("GET", "/"), ("GET", "/api/mails"), ("DELETE", "/api/mails"), ("POST", "/empty")]
        {
            let answer = dev.ask(method, path, &[("host", &host)]).await;
            assert_eq!(answer.status, 421, "{host}: {answer:?}");
        }
    }
    let (own, evil) = (with_port("127.0.0.1"), with_port("evil.example"));
    let twice = dev.ask("GET", "/api/mails", &[("host", &own), ("host", &evil)]).await;
    let absolute = dev.ask("GET", &format!("http://{evil}/api/mails"), &[("host", &own)]).await;
    assert_eq!((twice.status, absolute.status), (421, 421));
}

#[tokio::test]
async fn another_site_may_ask_for_nothing() {
    let dev = Dev::start().await;
    let id = text(&dev.register("alice").await, "id").to_owned();
    let own = format!("http://{}", dev.mailbox);
    let neighbour = format!("http://127.0.0.1:{}", dev.mailbox.port() ^ 1);
    let page = format!("/mails/{id}");
    let calls = [
        ("GET", "/api/mails"),
        ("GET", "/api/mails/next?timeout_seconds=0"),
        ("GET", &*page),
        ("POST", "/empty"),
        ("DELETE", "/api/mails"),
    ];
    for headers in [
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        vec![("sec-fetch-site", "cross-site"), ("origin", &own)],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("origin", &neighbour)],
        vec![("origin", &neighbour), ("sec-fetch-site", "same-origin")],
    ] {
        for (method, path) in calls {
            let answer = dev.ask(method, path, &headers).await;
            assert_eq!(answer.status, 403, "{method} {path} {headers:?}");
            assert!(!answer.body.contains("alice"));
        }
    }
    // A link in a chat may be followed to a page, and to nothing else.
    let followed =
        [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    for (method, path) in calls {
        let status = if path == page { 200 } else { 403 };
        assert_eq!(dev.ask(method, path, &followed).await.status, status, "{method} {path}");
    }
    for headers in [
        vec![("sec-fetch-site", "none")],
        vec![("sec-fetch-site", "same-origin"), ("origin", &own)],
        vec![("origin", &own)],
        // What the form of a page that sends no referrer says.
        vec![("sec-fetch-site", "same-origin"), ("origin", "null")],
    ] {
        for (method, path) in calls.iter().take(3) {
            assert!(dev.ask(method, path, &headers).await.status < 300, "{method} {path} {headers:?}");
        }
    }
    assert!(dev.get("/").await.body.contains(&page), "nobody has emptied it");
    let form = [("sec-fetch-site", "same-origin"), ("origin", "null")];
    let emptied = dev.ask("POST", "/empty", &form).await;
    assert_eq!((emptied.status, emptied.header("location")), (303, "/"));
    assert!(!dev.get("/").await.body.contains(&page));
}

#[tokio::test]
async fn no_answer_is_kept_framed_or_run() {
    let dev = Dev::start().await;
    let id = text(&dev.register("alice").await, "id").to_owned();
    let html = format!("/mails/{id}/html");
    let paths = [
        ("GET", "/", 200),
        ("GET", "/style.css", 200),
        ("GET", &format!("/mails/{id}"), 200),
        ("GET", &html, 200),
        ("GET", &format!("/mails/{id}/raw"), 200),
        ("GET", &format!("/mails/{id}/message.eml"), 200),
        ("GET", "/api/mails", 200),
        ("GET", &format!("/api/mails/{id}"), 200),
        ("GET", "/api/mails/next?timeout_seconds=0", 200),
        ("GET", "/api/mails/next?x=y", 400),
        ("GET", "/nowhere", 404),
        ("GET", "/api/nowhere", 404),
        ("POST", "/", 405),
        ("GET", "/empty", 405),
        ("POST", "/empty", 303),
        ("DELETE", "/api/mails", 204),
        ("GET", "/api/mails/next?timeout_seconds=0", 204),
    ];
    for (method, path, status) in paths {
        let answer = dev.ask(method, path, &[]).await;
        assert_eq!(answer.status, status, "{method} {path}");
        for (name, value) in [
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", if path == html { "SAMEORIGIN" } else { "DENY" }),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{name} of {method} {path}");
        }
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("script-src"), "{policy}");
        if path == html {
            assert!(
                policy.contains("; sandbox; ") && policy.contains("; frame-ancestors 'self'"),
                "{policy}"
            );
        } else {
            assert!(!policy.contains("unsafe") && policy.contains("; frame-ancestors 'none'"), "{policy}");
        }
        assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control")));
    }
    let elsewhere = dev.ask("GET", "/", &[("host", "evil.example")]).await;
    assert_eq!((elsewhere.status, elsewhere.header("cache-control")), (421, "no-store"));
}
