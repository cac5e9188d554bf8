//! Whose a mail is while it is sent.

use chrono::Duration;
use tokio::sync::watch;
use vestibule::clock::Clock as _;

use crate::{
    contract::store::Store,
    delivery::start,
    support::{
        server::{make_keyring, wait_for_rows},
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
