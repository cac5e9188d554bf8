//! What a mail server can do, and what becomes of the mail: where its row stands and how many attempts it counts.

use std::net::SocketAddr;

use chrono::Duration;
use tokio::{net::TcpListener, task::JoinSet, time};

use super::start;
use crate::{
    contract::store::Store,
    support::{
        server::wait_for_rows,
        smtp::{Action, Encryption, SmtpSink, Step, tls::Authority},
    },
};

/// Longer than anything that a test waits for.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// How many servers run side by side.
const AT_ONCE: usize = 4;

/// What the server does at one step, every time, and what becomes of the mail: its state, attempts and error.
fn cases() -> Vec<(Step, Action, &'static str, u32, &'static str)> {
    let reply = |text: &str| Action::Reply(text.into());
    let garbage = || Action::Raw(b"\x00\xff ?!\r\n".to_vec());
    vec![
        // Nothing of the mail was begun: it costs no attempt.
        (Step::Greeting, Action::Stall, "QUEUED", 0, "greeting: no answer"),
        (Step::Greeting, Action::Dribble, "QUEUED", 0, "greeting: no answer"),
        (Step::Greeting, Action::Endless, "QUEUED", 0, "greeting:"),
        (Step::Greeting, garbage(), "QUEUED", 0, "greeting:"),
        (Step::Greeting, reply("421 4.3.2 not now"), "QUEUED", 0, "greeting: 421"),
        (Step::Greeting, reply("554 5.3.2 never"), "QUEUED", 0, "greeting: 554"),
        (Step::Ehlo, Action::Stall, "QUEUED", 0, "greeting: no answer"),
        (Step::Mail, Action::Drop, "QUEUED", 0, "MAIL:"),
        (Step::Mail, reply("421 4.3.2 closing"), "QUEUED", 0, "MAIL: 421"),
        (Step::Mail, reply("530 5.7.0 authenticate first"), "QUEUED", 0, "MAIL: 530"),
        // The mail was begun and broken off: it may be to blame.
        (Step::Rcpt, reply("421 4.3.2 closing"), "QUEUED", 1, "RCPT: 421"),
        (Step::Rcpt, garbage(), "QUEUED", 1, "RCPT:"),
        (Step::Data, Action::Stall, "QUEUED", 1, "DATA: no answer"),
        (Step::Data, Action::ResetInData, "QUEUED", 1, "message:"),
        (Step::Message, Action::Stall, "QUEUED", 1, "message: no answer"),
        (Step::Message, Action::Drop, "QUEUED", 1, "message:"),
        (Step::Message, Action::Endless, "QUEUED", 1, "message:"),
        (Step::Message, reply("421 4.3.2 closing"), "QUEUED", 1, "message: 421"),
        // It was put off.
        (Step::Mail, reply("451 4.7.1 not this sender"), "QUEUED", 1, "MAIL: 451"),
        (Step::Rcpt, reply("450 4.2.0 greylisted"), "QUEUED", 1, "RCPT: 450"),
        (Step::Rcpt, reply("451 4.3.0 later"), "QUEUED", 1, "RCPT: 451"),
        (Step::Rcpt, reply("452 4.2.2 full"), "QUEUED", 1, "RCPT: 452"),
        (Step::Message, reply("452 4.3.1 no room"), "QUEUED", 1, "message: 452"),
        (Step::Rcpt, reply("530 5.7.0 authenticate first"), "QUEUED", 1, "RCPT: 530"),
        (Step::Rcpt, reply("554 5.7.1 Relay access denied"), "QUEUED", 1, "RCPT: 554"),
        // It was refused.
        (Step::Rcpt, reply("550 5.1.1 no such user"), "DISCARDED", 1, "RCPT: 550"),
        (Step::Rcpt, reply("552 5.2.2 full for good"), "DISCARDED", 1, "RCPT: 552"),
        (Step::Rcpt, reply("554 5.7.1 not wanted"), "DISCARDED", 1, "RCPT: 554"),
        (Step::Message, reply("554 5.6.0 not like this"), "DISCARDED", 1, "message: 554"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x6_whatever_the_mail_server_does_the_row_says_what_follows() {
    let mut running = JoinSet::new();
    for (step, action, state, attempts, error) in cases() {
        while running.len() >= AT_ONCE {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(one_mood(step, action, state, attempts, error));
    }
    running.join_all().await;
}

async fn one_mood(step: Step, action: Action, state: &'static str, attempts: u32, error: &'static str) {
    let case = format!("{step:?} {action:?}");
    let (store, _folder) = Store::sqlite().await;
    let sink = SmtpSink::start().await;
    sink.at(step, action);
    let (server, client) = start(&store, &sink.url(), "").await;
    client.register_by_mail("alice", "alice@example.com").await;
    expect(&store, state, attempts, error, &case).await;
    // It is as good as before once the server is.
    sink.behave();
    if state == "QUEUED" {
        server.clock.advance(Duration::seconds(6));
        wait_for_rows(&store, "mails WHERE state = 'DELIVERED' AND sealed_text IS NULL", 1).await;
        sink.mails(1).await[0].parse();
    }
    server.stop().await;
    assert_eq!(
        store.count(&format!("mails WHERE state = '{state}'")).await,
        i64::from(state != "QUEUED"),
        "{case}"
    );
}

/// Whether there is such a row before long.
async fn appears(store: &Store, row: &str) -> bool {
    let found = async {
        while store.count(row).await == 0 {
            time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    time::timeout(PATIENCE, found).await.is_ok()
}

async fn expect(store: &Store, state: &str, attempts: u32, error: &str, case: &str) {
    let row = format!(
        "mails WHERE state = '{state}' AND claim_token IS NULL AND attempt = {attempts}
             AND last_error LIKE '{error}%'"
    );
    let settled = appears(store, &row).await;
    let shown =
        store.texts("SELECT state || ' ' || attempt || ' ' || coalesce(last_error, '') FROM mails").await;
    assert!(settled, "{case}: {shown:?}, not {state} {attempts} {error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x6_a_mail_waits_for_a_server_that_is_not_there() {
    let (store, _folder) = Store::sqlite().await;
    // An address of its own, so that nobody else takes the port meanwhile.
    let address: SocketAddr = "127.77.0.1:0".parse().unwrap();
    let address = TcpListener::bind(address).await.unwrap().local_addr().unwrap();
    let (_server, client) = start(&store, &format!("smtp://{address}"), "").await;
    client.register_by_mail("alice", "alice@example.com").await;
    expect(&store, "QUEUED", 0, "connecting:", "refused").await;
    let sink = SmtpSink::start_at(address, Encryption::Never).await;
    sink.next_mail().await.parse();
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED' AND attempt = 1", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x6_greylisting_costs_an_attempt_and_no_more() {
    let (store, _folder) = Store::sqlite().await;
    let sink = SmtpSink::start().await;
    sink.at_times(1, Step::Rcpt, Action::Reply("450 4.2.0 greylisted, come back in a minute".into()));
    let (server, client) = start(&store, &sink.url(), "").await;
    client.register_by_mail("alice", "alice@example.com").await;
    expect(&store, "QUEUED", 1, "RCPT: 450", "greylisting").await;
    server.clock.advance(Duration::seconds(6));
    sink.next_mail().await.parse();
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED' AND attempt = 2", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_was_taken_and_not_acknowledged_in_time_comes_again_with_the_same_message_id() {
    let (store, _folder) = Store::sqlite().await;
    for (name, action) in [("dribble", Action::Dribble), ("drop", Action::KeepAndDrop)] {
        let sink = SmtpSink::start().await;
        sink.at_times(1, Step::Message, action);
        let (server, client) = start(&store, &sink.url(), "").await;
        client.register_by_mail(name, &format!("{name}@example.com")).await;
        wait_for_rows(&store, "mails WHERE state = 'QUEUED' AND attempt = 1 AND claim_token IS NULL", 1)
            .await;
        server.clock.advance(Duration::seconds(6));
        let mails = sink.mails(2).await;
        assert_eq!(mails[0], mails[1], "{name}");
        wait_for_rows(&store, "mails WHERE state = 'QUEUED'", 0).await;
        server.stop().await;
        assert_eq!(sink.mails(0).await.len(), 2, "{name}");
    }
}

/// Servers that say that they encrypt: the URL, what they do, and what is wrong with it; nothing where it is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_mail_goes_to_a_server_that_does_not_prove_who_it_is() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let good = || authority.server("127.0.0.1");
    let implicit = "smtps://HOST";
    let starttls = "smtp://HOST?tls=required";
    for (url, encryption, action, error) in [
        (implicit, Encryption::Implicit(good()), None, None),
        (starttls, Encryption::StartTls(good()), None, None),
        ("smtps://user:secret@HOST", Encryption::Implicit(good()), None, None),
        (implicit, Encryption::Implicit(authority.server("mail.example")), None, Some("TLS:")),
        (implicit, Encryption::Implicit(authority.expired_server("127.0.0.1")), None, Some("TLS:")),
        (implicit, Encryption::Implicit(stranger.server("127.0.0.1")), None, Some("TLS:")),
        (implicit, Encryption::Never, None, Some("TLS:")),
        (starttls, Encryption::StartTls(authority.server("mail.example")), None, Some("STARTTLS:")),
        (starttls, Encryption::StartTls(authority.expired_server("127.0.0.1")), None, Some("STARTTLS:")),
        (starttls, Encryption::StartTls(stranger.server("127.0.0.1")), None, Some("STARTTLS:")),
        // Withheld, and forged by somebody in between.
        (starttls, Encryption::Never, None, Some("STARTTLS:")),
        (starttls, Encryption::StartTls(good()), Some("220 go on\r\n250 forged"), Some("STARTTLS:")),
    ] {
        let (store, folder) = Store::sqlite().await;
        let sink = SmtpSink::start_encrypted(encryption).await;
        if let Some(answer) = action {
            sink.at(Step::StartTls, Action::Reply(answer.into()));
        }
        let roots = folder.path().join("roots.pem");
        std::fs::write(&roots, authority.pem()).unwrap();
        let settings = format!("mail.smtp.ca_file = '{}'", roots.display());
        let (server, client) =
            start(&store, &url.replace("HOST", &sink.address().to_string()), &settings).await;
        client.register_by_mail("alice", "alice@example.com").await;
        match error {
            None => {
                sink.next_mail().await.parse();
                wait_for_rows(&store, "mails WHERE state = 'DELIVERED' AND attempt = 1", 1).await;
            }
            Some(error) => {
                expect(&store, "QUEUED", 0, error, url).await;
                let steps = sink.steps(Step::Ehlo, 0).await;
                assert!(!steps.contains(&Step::Auth) && !steps.contains(&Step::Mail), "{url}: {steps:?}");
            }
        }
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_credentials_cost_no_attempt() {
    let (store, _folder) = Store::sqlite().await;
    let sink = SmtpSink::start().await;
    sink.at(Step::Auth, Action::Reply("535 5.7.8 wrong".into()));
    let (_server, client) = start(&store, &format!("smtp://user:secret@{}", sink.address()), "").await;
    client.register_by_mail("alice", "alice@example.com").await;
    expect(&store, "QUEUED", 0, "AUTH: 535", "AUTH").await;
    sink.behave();
    sink.next_mail().await.parse();
}
