//! Whose a mail is while it is sent.

use std::time;

use chrono::Duration;
use tokio::{sync::watch, time::sleep};
use vestibule::clock::Clock as _;

use crate::{
    contract::store::{Store, on_postgres},
    delivery::start,
    support::{
        server::{TestServer, make_keyring, wait_for_rows},
        smtp::{Action, SmtpSink, Step},
    },
};

pub async fn a_mail_that_takes_long_stays_with_its_server(store: Store) {
    let sink = SmtpSink::start().await;
    let (release, released) = watch::channel(false);
    sink.at_recipient("alice@example.com", Step::Message, Action::KeepAndHold(released));
    let folder = tempfile::tempdir().unwrap();
    let keyring = make_keyring(folder.path());
    let patient = format!("mail.timeout_seconds = 120\nsecrets.keyring_file = '{}'", keyring.display());
    let (server, client) = start(&store, &sink.url(), &patient).await;
    client.register_by_mail("alice", "alice@example.com").await;
    sink.mails(1).await;
    let first_end = server.clock.now() + Duration::seconds(30);
    server.clock.advance(Duration::seconds(20));
    wait_for_rows(&store, &format!("mails WHERE lease_expire_time > {}", store.at(first_end)), 1).await;
    // By now the lease would be over, had it not been renewed.
    server.clock.advance(Duration::seconds(15));
    let (other, client) = start(&store, &sink.url(), &patient).await;
    other.clock.advance(Duration::seconds(35));
    client.register_by_mail("bob", "bob@example.com").await;
    assert_eq!(sink.mails(2).await[1].recipients, ["bob@example.com"]);
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 1).await;
    release.send(true).unwrap();
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED' AND attempt = 1", 2).await;
    assert_eq!(sink.mails(0).await.len(), 2);
}

pub async fn a_mail_whose_lease_runs_out_while_it_is_sent_is_not_begun_again(store: Store) {
    let (sink, release, server) = under_way(&store).await;
    claimed_again(&store, &server).await;
    release.send(true).unwrap();
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 1).await;
    server.stop().await;
    assert_eq!(sink.mails(0).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_whose_lease_runs_out_before_its_outcome_is_recorded_is_not_sent_again() {
    on_postgres(an_outcome_that_waits).await;
}

async fn an_outcome_that_waits(store: Store) {
    let (sink, release, server) = under_way(&store).await;
    // Outcomes wait for whoever else is at work on the user; claims don't.
    let mut act = store.postgres().begin().await.unwrap();
    sqlx::query("SELECT FROM users FOR UPDATE").execute(&mut *act).await.unwrap();
    release.send(true).unwrap();
    store.wait_for_a_lock().await;
    claimed_again(&store, &server).await;
    act.commit().await.unwrap();
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 1).await;
    server.stop().await;
    assert_eq!(sink.mails(0).await.len(), 1);
    assert_eq!(store.count("events WHERE kind = 'activation_mail_sent'").await, 1);
}

/// A server whose only mail has arrived, and is answered when it is released.
async fn under_way(store: &Store) -> (SmtpSink, watch::Sender<bool>, TestServer) {
    let sink = SmtpSink::start().await;
    let (release, released) = watch::channel(false);
    sink.at(Step::Message, Action::KeepAndHold(released));
    let (server, client) = start(store, &sink.url(), "mail.timeout_seconds = 120").await;
    client.register_by_mail("alice", "alice@example.com").await;
    sink.mails(1).await;
    (sink, release, server)
}

/// Lets the clock run until the lease on the only mail is over before it is renewed, and the mail claimed once more.
async fn claimed_again(store: &Store, server: &TestServer) {
    while store.count("mails WHERE attempt = 2").await == 0 {
        server.clock.advance(Duration::seconds(31));
        sleep(time::Duration::from_millis(1500)).await;
    }
}

pub async fn a_server_that_stops_gives_back_what_it_has_not_begun(store: Store) {
    let sink = SmtpSink::start().await;
    let (release, released) = watch::channel(false);
    sink.at(Step::Message, Action::KeepAndHold(released));
    let (server, client) =
        start(&store, &sink.url(), "mail.concurrency = 2\nmail.timeout_seconds = 120").await;
    for number in 0..6 {
        client.register_by_mail(&format!("user{number}"), &format!("user{number}@d{number}.example")).await;
    }
    sink.mails(2).await;
    wait_for_rows(&store, "mails WHERE claim_token IS NOT NULL", 4).await;
    let stop = tokio::spawn(server.stop());
    // What only waited can be taken by somebody else at once, and counts no attempt.
    wait_for_rows(&store, "mails WHERE claim_token IS NULL AND attempt = 0", 4).await;
    release.send(true).unwrap();
    stop.await.unwrap();
    assert_eq!(store.count("mails WHERE state = 'DELIVERED' AND attempt = 1").await, 2);
    assert_eq!(sink.mails(0).await.len(), 2);
    sink.steps(Step::Quit, 2).await;
}
