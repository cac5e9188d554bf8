//! `mails`: the calls of MailService for an operator.

use serde_json::Value;
use vestibule::grpc::proto::MailState;

use super::{code, stderr, stdout};
use crate::{
    contract::store::Store,
    support::{
        process::run,
        server::{TestServer, make_keyring, wait_for_rows},
        smtp::{Action, SmtpSink, Step},
    },
};

pub async fn a_mail_is_listed_shown_sent_and_given_up_by_hand(store: Store) {
    let sink = SmtpSink::start().await;
    sink.at(Step::Rcpt, Action::Reply("451 4.3.0 try again later".into()));
    let settings = format!("mail.sender = 'smtp'\nmail.smtp.url = '{}'", sink.url());
    let server = TestServer::start_configured(store.url(), &settings).await;
    let client = server.client().await;
    let alice = client.register_by_mail("alice", "alice@example.com").await;
    let bob = client.register_by_mail("bob", "bob@example.com").await;
    wait_for_rows(&store, "mails WHERE last_error IS NOT NULL", 2).await;

    let folder = tempfile::tempdir().unwrap();
    make_keyring(folder.path());
    let environment = [
        ("VESTIBULE__DATABASE__URL", store.url()),
        ("VESTIBULE__SECRETS__KEYRING_FILE", "keyring"),
        ("VESTIBULE__LOG__FILTER", "warn"),
    ];
    let mails = |arguments: &[&str]| run(folder.path(), &[&["mails"], arguments].concat(), &environment);
    let done = |arguments: &[&str]| {
        let output = mails(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    };
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&done(&[arguments, &["--output", "json"]].concat())).unwrap()
    };
    let table = done(&["list"]);
    assert!(table.starts_with("ID ") && table.lines().count() == 3, "{table}");
    assert!(
        table.contains("activation  alice@example.com  QUEUED") && table.contains("451 4.3.0"),
        "{table}"
    );
    let of_bob = json(&["list", "--user", &bob.id]);
    let bobs = of_bob[0]["id"].as_str().unwrap();
    let to_alice = json(&["list", "--recipient", "alice@EXAMPLE.com", "--state", "queued"]);
    let alices = to_alice[0]["id"].as_str().unwrap();
    assert_eq!((to_alice[0]["user_id"].as_str(), to_alice.as_array().unwrap().len()), (Some(&*alice.id), 1));
    assert_eq!(json(&["show", alices]), to_alice[0]);
    assert!(done(&["show", alices]).contains("recipient: alice@example.com"));

    let kept = mails(&["discard", bobs]);
    assert_eq!((code(&kept), json(&["show", bobs])["state"].as_str()), (1, Some("QUEUED")));
    assert!(stderr(&kept).contains("--yes"), "{}", stderr(&kept));
    assert_eq!(json(&["discard", bobs, "--yes"])["state"], "DISCARDED");
    assert_eq!(code(&mails(&["retry", bobs])), 1);
    assert_eq!(json(&["list", "--state", "discarded", "--limit", "5"])[0]["id"].as_str(), Some(bobs));

    sink.behave();
    // The command goes by the machine's clock, which is behind the server's.
    let due = json(&["retry", alices]);
    assert_eq!((due["state"].as_str(), due["id"].as_str()), (Some("QUEUED"), Some(alices)));
    assert_eq!(sink.next_mail().await.parse().recipient, "alice@example.com");
    client.wait_for_mail(&alice.id, 1, MailState::Delivered).await;
    for wrong in [&["show", "alice"][..], &["list", "--state", "asleep"], &["list", "--user", "alice"]] {
        assert_eq!(code(&mails(wrong)), 2, "{wrong:?}");
    }
}
