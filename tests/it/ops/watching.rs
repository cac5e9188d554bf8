//! Scraping and probing.

use std::net::SocketAddr;

use crate::{
    contract::store::Store,
    support::{
        http::ask,
        server::{TestServer, eventually, wait_for_rows},
        smtp::{Action, SmtpSink, Step},
    },
};

async fn metrics(address: SocketAddr) -> String {
    let answer = ask(address, "GET", "/metrics", &[]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"), "{answer:?}");
    answer.body
}

/// Returns once a line is among the metrics.
async fn shows(address: SocketAddr, line: &str) {
    eventually(line, || async { metrics(address).await.lines().any(|other| other == line) }).await;
}

pub async fn a_breaker_that_opens_and_what_becomes_of_mails_can_be_watched(store: Store) {
    let sink = SmtpSink::start().await;
    sink.at(Step::Greeting, Action::Reply("421 4.3.2 down".into()));
    sink.at_recipient("nobody@example.com", Step::Rcpt, Action::Reply("550 5.1.1 no such user".into()));
    let settings =
        format!("ops.listen = '127.0.0.1:0'\nmail.sender = 'smtp'\nmail.smtp.url = '{}'", sink.url());
    let server = TestServer::start_configured(store.url(), &settings).await;
    let (address, client) = (server.ops().unwrap(), server.client().await);
    assert!(metrics(address).await.contains("vestibule_mail_breaker_open 0"));
    for (name, email) in [("alice", "alice@example.com"), ("bob", "nobody@example.com")] {
        client.register_by_mail(name, email).await;
    }
    shows(address, "vestibule_mail_breaker_open 1").await;
    shows(address, "vestibule_mail_breaker_opened_total 1").await;
    sink.behave();
    sink.at_recipient("nobody@example.com", Step::Rcpt, Action::Reply("550 5.1.1 no such user".into()));
    shows(address, "vestibule_mails_total{outcome=\"delivered\"} 1").await;
    shows(address, "vestibule_mails_total{outcome=\"discarded\"} 1").await;
    shows(address, "vestibule_mail_breaker_open 0").await;
    shows(address, "vestibule_mails_sending 0").await;
    wait_for_rows(&store, "mails WHERE state = 'QUEUED'", 0).await;
    let text = metrics(address).await;
    assert!(text.contains("vestibule_mail_delivery_age_seconds_count 1"), "{text}");
    assert!(!text.contains("example.com") && !text.contains("alice"), "{text}");
}

pub async fn a_server_says_whether_it_serves(store: Store) {
    let server = TestServer::start_configured(store.url(), "ops.listen = '127.0.0.1:0'").await;
    let address = server.ops().unwrap();
    let serves = || async { ask(address, "GET", "/readyz", &[]).await.status == 200 };
    eventually("it serves", serves).await;
    assert_eq!(ask(address, "GET", "/livez", &[]).await.status, 200);
    assert_eq!(ask(address, "GET", "/", &[]).await.status, 404);
    assert_eq!(ask(address, "POST", "/metrics", &[]).await.status, 405);
    // A schema that lacks a migration can't be served.
    store.execute("DELETE FROM _sqlx_migrations WHERE version = 13").await;
    eventually("it doesn't serve", || async { ask(address, "GET", "/readyz", &[]).await.status == 503 })
        .await;
    assert_eq!(ask(address, "GET", "/livez", &[]).await.status, 200);
}
