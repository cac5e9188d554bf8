//! `users create`, `users remind` and `purge-unverified`.

use std::{
    io::Write as _,
    process::{Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{code, stderr, stdout};
use crate::{
    contract::store::Store,
    support::{process::vestibule, server::make_keyring},
};

/// A folder to run commands in, on the store's database.
struct Operator<'a> {
    folder: TempDir,
    store: &'a Store,
}

impl<'a> Operator<'a> {
    fn of(store: &'a Store) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_keyring(folder.path());
        Self { folder, store }
    }

    /// Runs a command with a text on its standard input.
    fn run_with(&self, input: &str, arguments: &[&str]) -> Output {
        let mut command = vestibule(self.folder.path());
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs([
            ("VESTIBULE__DATABASE__URL", self.store.url()),
            ("VESTIBULE__SECRETS__KEYRING_FILE", "keyring"),
            ("VESTIBULE__LOG__FILTER", "warn"),
        ]);
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that is refused for its arguments reads nothing.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with("", arguments)
    }

    /// What a command prints as JSON that succeeds.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--output", "json"]].concat());
        assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    }
}

pub async fn r1_r2_somebody_is_registered_by_hand(store: Store) {
    let operator = Operator::of(&store);
    let alice = operator.json(&["users", "create", "Alice", "alice@example.com"]);
    assert_eq!(
        (&alice["username"], &alice["state"], alice.get("activation_key")),
        (&json!("Alice"), &json!("PENDING"), None)
    );
    assert_eq!(store.count("mails").await, 1);
    let bob =
        operator.json(&["users", "create", "bob", "bob@example.com", "--no-email", "--site", "default"]);
    assert_eq!(bob["activation_key"].as_str().unwrap().len(), 40);
    assert_eq!(store.count("mails").await, 1);
    assert_eq!(store.count("users WHERE password_hash IS NOT NULL").await, 0);
    let with_password = ["users", "create", "carol", "carol@example.com", "--password-stdin", "--no-email"];
    let output = operator.run_with("correct horse battery staple 42\n", &with_password);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("\nactivation_key: "), "{}", stdout(&output));
    assert_eq!(store.count("users WHERE password_hash LIKE '$argon2id$%'").await, 1);
    let before = store.contents().await;
    for (input, arguments, status, said) in [
        ("", &["users", "create", "alice", "a@example.com"][..], 1, "the username is in use"),
        ("", &["users", "create", "admin", "a@example.com"], 1, "reserved"),
        ("", &["users", "create", "dave", "a@example.com", "--site", "nowhere"], 1, "no such site"),
        ("", &["users", "create", "dave", "a@example.com", "--password-stdin"], 1, "must not be empty"),
        (
            "password",
            &["users", "create", "dave", "a@example.com", "--password-stdin"],
            1,
            "the password must",
        ),
        ("", &["users", "create", "dave", "a@example.com", "--password", "x"], 2, "--password"),
        ("", &["users", "create", "a b", "a@example.com"], 2, "USERNAME"),
        ("", &["users", "create", "dave", "nobody"], 2, "EMAIL"),
    ] {
        let output = operator.run_with(input, arguments);
        assert_eq!((code(&output), stdout(&output).as_str()), (status, ""), "{arguments:?}");
        assert!(stderr(&output).contains(said), "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!(store.contents().await, before);
}

pub async fn u6_reminders_are_previewed_until_they_are_forced(store: Store) {
    let operator = Operator::of(&store);
    for name in ["alice", "bob"] {
        operator.json(&["users", "create", name, &format!("{name}@example.com"), "--no-email"]);
    }
    let before = store.contents().await;
    let names = |said: &Value| {
        let sample = said["sample"].as_array().unwrap();
        sample.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let said = operator.json(&["users", "remind", "--limit", "1"]);
    assert_eq!(
        (&said["remind_count"], &said["force"], &said["more"]),
        (&json!(1), &json!(false), &json!(true))
    );
    let output = operator.run(&["users", "remind", "--prefix", "B"]);
    assert!(stdout(&output).starts_with("1 users would be reminded.\n  "), "{}", stdout(&output));
    assert!(stderr(&output).contains("--force"), "{}", stderr(&output));
    assert_eq!(store.contents().await, before);
    let said = operator.json(&["users", "remind", "--prefix", "B", "--force"]);
    assert_eq!((names(&said), &said["more"]), (vec!["bob".to_owned()], &json!(false)));
    assert_eq!(store.count("mails WHERE kind = 'reminder'").await, 1);
    let output = operator.run(&["users", "remind", "--force"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (0, "1 users reminded.\n"));
}

pub async fn u5_never_verified_users_are_purged_by_a_condition(store: Store) {
    let operator = Operator::of(&store);
    for (name, domain) in [("alice", "example.com"), ("bob", "example.org"), ("carol", "example.com")] {
        operator.json(&["users", "create", name, &format!("{name}@{domain}"), "--no-email"]);
    }
    let output = operator.run(&["purge-unverified", "--force"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (2, ""));
    assert!(stderr(&output).contains("needs a condition: --created-before,"), "{}", stderr(&output));
    let said = operator.json(&["purge-unverified", "--email-domain", "Example.ORG"]);
    assert_eq!((&said["purge_count"], store.count("users").await), (&json!(1), 3));
    let said = operator.json(&[
        "purge-unverified",
        "--email-domain",
        "example.com",
        "--expired",
        "false",
        "--force",
    ]);
    assert_eq!((&said["purge_count"], &said["more"]), (&json!(2), &json!(false)));
    let far = [
        "purge-unverified",
        "--created-before",
        "9999-01-01T00:00:00Z",
        "--created-after",
        "2020-01-01T00:00:00Z",
    ];
    let said = operator.json(&[&far[..], &["--idle-since", "2020-01-01T00:00:00Z", "--force"]].concat());
    assert_eq!(said["purge_count"], json!(1));
    assert_eq!(store.count("events WHERE deletion_reason = 'unverified'").await, 3);
    for wrong in
        [&["--created-before", "soon"][..], &["--limit", "0"], &["--email-domain", "@"], &["--expired", "so"]]
    {
        assert_eq!(code(&operator.run(&[&["purge-unverified"], wrong].concat())), 2, "{wrong:?}");
    }
}
