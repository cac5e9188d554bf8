//! The connections: what is no HTTP, more than there is room for, and the end.

use std::{io::Read as _, net::SocketAddr, path::Path};

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{SHOP, SITES, Site, heading};
use crate::{
    contract::store::{Store, on_postgres, on_sqlite},
    support::{
        http::{self, Connection},
        process::{Process, run, serve},
        server::{Client, make_keyring},
    },
};

/// A server of its own process, and where its page is.
pub fn start(folder: &Path, url: &str, environment: &[(&str, &str)]) -> (Process, SocketAddr) {
    make_keyring(folder);
    std::fs::write(folder.join("sites.toml"), SITES).unwrap();
    let mut command = serve(folder, url, &[("VESTIBULE__PAGE__LISTEN", "127.0.0.1:0")]);
    let mut process =
        Process::listen(command.args(["--config", "sites.toml"]).envs(environment.iter().copied()));
    let open: Value = serde_json::from_str(&process.wait_for("\"message\":\"page open\"")).unwrap();
    assert_eq!(open["sites"], "shop, forum");
    process.wait_for("\"message\":\"serving\"");
    (process, open["address"].as_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn what_is_no_request_is_answered_shortly_and_harms_nobody() {
    on_sqlite(|store: Store| async move {
        let site = Site::start(&store).await;
        let long = format!("GET /resend HTTP/1.1\r\nHost: shop.example\r\nX: {}\r\n\r\n", "x".repeat(20_000));
        let many = format!("GET /resend HTTP/1.1\r\nHost: shop.example\r\n{}\r\n", "a: b\r\n".repeat(200));
        for (garbage, status) in [
            (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a greeting of TLS"[..], "400"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
            (b"GET /resend HTTP/1.1\r\nHost: shop.example\r\nHost : x\r\n\r\n", "400"),
            (b"POST /resend HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400"),
            (b"GET /resend HTTP/1.1\r\n\r\n", "421"),
            (b"GET /resend HTTP/1.0\r\n\r\n", "421"),
            (long.as_bytes(), "431"),
            (many.as_bytes(), "431"),
        ] {
            let mut stream = tokio::net::TcpStream::connect(site.page).await.unwrap();
            let _ = stream.write_all(garbage).await;
            stream.shutdown().await.unwrap();
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said).await;
            let said = String::from_utf8_lossy(&said);
            let line = said.lines().next().unwrap_or_default();
            assert_eq!(line.split(' ').nth(1).unwrap_or_default(), status, "{}", garbage.escape_ascii());
        }
        assert_eq!(site.ask("GET", "/resend").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn whoever_comes_when_every_connection_is_taken_waits_for_one() {
    on_sqlite(|store: Store| async move {
        let settings = format!("page.max_connections = 1\n{}", super::UNLIMITED);
        let site = Site::start_with(store.url(), &settings).await;
        let mut first = Connection::open(site.page).await;
        assert_eq!(first.ask("GET", "/resend", &[SHOP]).await.unwrap().status, 200);
        let mut second = Connection::open(site.page).await;
        let waiting = second.ask("GET", "/resend", &[SHOP]);
        tokio::pin!(waiting);
        // The first goes on as long as it likes, and the second gets no answer meanwhile.
        for _ in 0..20 {
            tokio::select! {
                answer = first.ask("GET", "/resend", &[SHOP]) => assert_eq!(answer.unwrap().status, 200),
                answer = &mut waiting => panic!("{answer:?}"),
            }
        }
        drop(first);
        assert_eq!(waiting.await.unwrap().status, 200);
        // Callers have connections of their own.
        site.client.register("alice", "alice@example.com").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_button_that_was_pressed_before_a_stop_is_answered() {
    on_postgres(|store: Store| async move {
        let folder = tempfile::tempdir().unwrap();
        let (mut server, page) =
            start(folder.path(), store.url(), &[("VESTIBULE__GRPC__DRAIN_SECONDS", "20")]);
        let client = Client::connect(server.address).await;
        let alice = client.register("alice", "alice@example.com").await;
        let mut idle = Connection::open(page).await;
        idle.ask("GET", "/resend", &[SHOP]).await.unwrap();
        let mut silent = std::net::TcpStream::connect(page).unwrap();
        let mut lock = store.postgres().begin().await.unwrap();
        let locked = sqlx::query("SELECT FROM users WHERE id = $1 FOR UPDATE").bind(alice.id);
        locked.fetch_one(&mut *lock).await.unwrap();
        let path = format!("/activate/{}", alice.key);
        let press = tokio::spawn(async move { http::ask(page, "POST", &path, &[SHOP]).await });
        store.wait_for_a_lock().await;
        server.signal(Signal::SIGTERM);
        server.wait_for("\"message\":\"draining\"");
        // Those who only hold a connection are let go at once.
        assert_eq!(silent.read(&mut [0]).unwrap_or_default(), 0);
        idle.ask("GET", "/resend", &[SHOP]).await.unwrap_err();
        assert!(tokio::net::TcpStream::connect(page).await.is_err(), "nobody new is let in");
        assert!(!press.is_finished());
        lock.rollback().await.unwrap();
        assert_eq!(heading(&press.await.unwrap()), "Your account is active");
        let (status, log) = server.end();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(!log.contains("the drain's time is over"), "{log}");
    })
    .await;
}

#[test]
fn settings_that_make_no_page_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    make_keyring(folder.path());
    let site =
        |rest: &str| format!("[{{id = \"shop\", name = \"Shop\", domain = \"shop.example\", {rest}}}]");
    let own = site("activation_url = \"https://shop.example/a?k={key}\"");
    let here =
        |rest: &str| site(&format!("activation_url = \"https://shop.example/activate/{{key}}\"{rest}"));
    for (key, value, sites, said) in [
        (
            "LISTEN",
            "localhost:8080",
            here(""),
            "page.listen must be an address with a port, such as 127.0.0.1:8080, or empty",
        ),
        (
            "LISTEN",
            "127.0.0.1:0",
            own,
            "page.listen: no site has an activation_url that ends in /activate/{key}",
        ),
        ("MAX_CONNECTIONS", "0", here(""), "page.max_connections must be 1 to 1000000"),
        ("TRUSTED_PROXIES", "17", here(""), "page.trusted_proxies must be 0 to 16"),
        (
            "LISTEN",
            "127.0.0.1:0",
            here(", continue_url = \"javascript:alert(1)\""),
            "sites[0].continue_url must be an http or https URL",
        ),
        (
            "LISTEN",
            "127.0.0.1:0",
            here(", continue_url = \"//evil.example\""),
            "sites[0].continue_url must be",
        ),
    ] {
        let key = format!("VESTIBULE__PAGE__{key}");
        let environment = [
            (key.as_str(), value),
            ("VESTIBULE__SITES", &sites),
            ("VESTIBULE__DATABASE__URL", "sqlite:vestibule.db"),
            ("VESTIBULE__GRPC__LISTEN", "127.0.0.1:0"),
        ];
        let output = run(folder.path(), &["serve"], &environment);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{key}: {stderr}");
        assert!(stderr.contains(said), "{key}: {stderr}");
    }
}

#[tokio::test]
async fn without_the_setting_there_is_no_page() {
    on_sqlite(|store: Store| async move {
        let server = crate::support::server::TestServer::start_configured(store.url(), super::SITES).await;
        assert_eq!(server.page, None);
    })
    .await;
}
