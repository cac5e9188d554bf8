//! A server that is killed while it registers and mails: what it has acknowledged is there, and every mail arrives.

mod retries;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::{task::JoinSet, time::sleep};
use tonic_types::StatusExt as _;
use vestibule::{
    grpc::proto::CreateInactiveUserRequest,
    random::{SeededRandom, number},
};

use crate::{
    contract::store::{Store, on_postgres, on_sqlite},
    support::{
        process::{Process, serve},
        server::{Client, make_keyring, wait_for_rows},
        smtp::SmtpSink,
    },
};

/// How often the server is killed.
const ROUNDS: usize = 20;
/// How many callers register at the same time.
const CALLERS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_x6_a_killed_server_loses_no_registration_and_no_mail_on_postgres() {
    on_postgres(survives).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_x6_a_killed_server_loses_no_registration_and_no_mail_on_sqlite() {
    on_sqlite(survives).await;
}

async fn survives(store: Store) {
    let sink = SmtpSink::start().await;
    let folder = tempfile::tempdir().unwrap();
    make_keyring(folder.path());
    let (url, random) = (sink.url(), SeededRandom::new(9));
    let environment = [("VESTIBULE__MAIL__SENDER", "smtp"), ("VESTIBULE__MAIL__SMTP__URL", url.as_str())];
    let start = || Process::start(&mut serve(folder.path(), store.url(), &environment));
    let (mut acknowledged, mut interrupted) = (BTreeSet::new(), 0);
    for round in 0..ROUNDS {
        let process = start();
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let client = Client::connect(process.address).await;
            callers.spawn(async move { register_until_killed(&client, &format!("r{round}c{caller}")).await });
        }
        sleep(Duration::from_micros(20_000 + number(&random) % 200_000)).await;
        process.kill();
        acknowledged.extend(callers.join_all().await.into_iter().flatten());
        interrupted += store.count("mails WHERE state = 'QUEUED'").await;
    }
    assert!(acknowledged.len() > ROUNDS && interrupted > 0, "{} and {interrupted}", acknowledged.len());

    let process = start();
    wait_for_rows(&store, "mails WHERE state = 'QUEUED'", 0).await;
    assert_nothing_is_lost(&store, &sink, &acknowledged).await;
    let (status, log) = process.stop(Signal::SIGTERM);
    assert!(status.success(), "{status} after:\n{log}");
}

/// Registers one user after the other, and returns who was acknowledged.
async fn register_until_killed(client: &Client, prefix: &str) -> Vec<String> {
    let mut acknowledged = Vec::new();
    loop {
        let username = format!("{prefix}n{}", acknowledged.len());
        let email = format!("{username}@example.com");
        let request = CreateInactiveUserRequest { username: username.clone(), email, ..Default::default() };
        match client.create_inactive_user(request).await {
            Ok(_) => acknowledged.push(username),
            Err(status) => {
                assert!(status.get_error_details().error_info().is_none(), "{status:?} of a living server");
                return acknowledged;
            }
        }
    }
}

async fn assert_nothing_is_lost(store: &Store, sink: &SmtpSink, acknowledged: &BTreeSet<String>) {
    let usernames = "SELECT username FROM users WHERE state = 'PENDING' AND profile_issue_time IS NOT NULL";
    let registered: BTreeSet<_> = store.texts(usernames).await.into_iter().collect();
    let lost: Vec<_> = acknowledged.difference(&registered).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let users = i64::try_from(registered.len()).unwrap();
    for rows in [
        "users",
        "email_addresses",
        "activation_keys",
        "mails",
        "mails WHERE state = 'DELIVERED' AND sealed_text IS NULL",
        "events WHERE kind = 'user_registered'",
        "events WHERE kind = 'activation_mail_sent'",
        "events JOIN mails ON mails.id = mail_id AND mails.user_id = events.user_id",
    ] {
        assert_eq!(store.count(rows).await, users, "{rows}");
    }
    let mut message_ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for mail in sink.mails(registered.len()).await {
        let mail = mail.parse();
        let username = mail.recipient.trim_end_matches("@example.com").to_owned();
        message_ids.entry(username).or_default().insert(mail.message_id);
    }
    let mailed: BTreeSet<_> = message_ids.keys().cloned().collect();
    assert_eq!(mailed, registered, "a mail for each user, and none without a user");
    let twice: Vec<_> = message_ids.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(twice.is_empty(), "a duplicate is known by its Message-ID: {twice:?}");
}
