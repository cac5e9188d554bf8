//! `users`: the calls of UserService for an operator.

use std::{path::Path, process::Output};

use serde_json::Value;
use tempfile::TempDir;

use super::{BAD_SETTINGS, code, stderr, stdout};
use crate::{
    contract::store::Store,
    support::{
        process::run,
        server::{TestServer, make_keyring},
    },
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

    fn users(&self, arguments: &[&str]) -> Output {
        users(self.folder.path(), self.store.url(), arguments)
    }

    /// What a command prints that succeeds.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.users(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    }

    /// The one user that a command prints as JSON.
    fn user(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[arguments, &["--output", "json"]].concat())).unwrap()
    }
}

fn users(folder: &Path, url: &str, arguments: &[&str]) -> Output {
    let environment = [
        ("VESTIBULE__DATABASE__URL", url),
        ("VESTIBULE__SECRETS__KEYRING_FILE", "keyring"),
        ("VESTIBULE__LOG__FILTER", "warn"),
    ];
    run(folder, &[&["users"], arguments].concat(), &environment)
}

async fn register(store: &Store, names: &[&str]) {
    let server = TestServer::start_configured(store.url(), "").await;
    let client = server.client().await;
    for name in names {
        client.register(name, &format!("{name}@example.com")).await;
        server.clock.advance(chrono::Duration::seconds(1));
    }
    server.stop().await;
}

pub async fn users_are_listed_in_every_form(store: Store) {
    register(&store, &["Zoe", "bob", "bill"]).await;
    let operator = Operator::of(&store);
    let table = operator.done(&["list"]);
    let lines: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ID", "USERNAME", "EMAIL", "STATE", "CREATE", "TIME"]);
    assert_eq!(lines[1][1..], ["Zoe", "Zoe@example.com", "PENDING", "2027-01-15T08:00:00.000000Z"]);
    assert_eq!(lines.len(), 4);
    let names = |arguments: &[&str]| -> Vec<String> {
        let lines = operator.done(&[arguments, &["--output", "jsonl"]].concat());
        let users = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        users.map(|user| user["username"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["list"]), ["Zoe", "bob", "bill"]);
    assert_eq!(names(&["list", "--prefix", "B"]), ["bill", "bob"]);
    assert_eq!(names(&["list", "--state", "active"]), [""; 0]);
    operator.done(&["activate", "bob"]);
    assert_eq!(names(&["list", "--state", "active"]), ["bob"]);
    let output = operator.users(&["list", "--limit", "2", "--output", "json"]);
    let listed: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert!(stderr(&output).contains("--limit"), "{}", stderr(&output));
    for wrong in [&["list", "--state", "asleep"][..], &["list", "--limit", "0"], &["list", "--prefix", "a b"]]
    {
        assert_eq!(code(&operator.users(wrong)), 2, "{wrong:?}");
    }
}

pub async fn x1_a_user_is_shown_and_switched_by_hand(store: Store) {
    register(&store, &["alice"]).await;
    let operator = Operator::of(&store);
    let alice = operator.user(&["show", "ALICE"]);
    let id = alice["id"].as_str().unwrap();
    assert_eq!((alice["state"].as_str(), alice["disable_time"].as_str()), (Some("PENDING"), None));
    assert_eq!(operator.user(&["show", id]), alice);
    let shown = operator.done(&["show", id]);
    assert!(shown.contains("username: alice\n") && !shown.contains("disable_time"), "{shown}");
    assert_eq!(operator.user(&["disable", "alice"])["state"], "DISABLED");
    let refused = operator.users(&["activate", "alice"]);
    assert_eq!((code(&refused), stdout(&refused).as_str()), (1, ""));
    assert!(stderr(&refused).contains("the user is disabled"), "{}", stderr(&refused));
    assert_eq!(operator.user(&["enable", id]), alice);
    assert_eq!(operator.user(&["activate", id])["state"], "ACTIVE");
    // X23: by email only a user who has verified it is found.
    let unverified = operator.users(&["show", "--email", "alice@example.com"]);
    assert_eq!(code(&unverified), 1);
    assert!(stderr(&unverified).contains("there is no such user"), "{}", stderr(&unverified));
    let events = store.texts("SELECT kind FROM events ORDER BY id").await;
    assert_eq!(events, ["user_registered", "user_disabled", "user_enabled", "user_activated"]);
    for wrong in [&["show"][..], &["show", "a b"], &["show", "alice", "--email", "alice@example.com"]] {
        assert_eq!(code(&operator.users(wrong)), 2, "{wrong:?}");
    }
}

pub async fn a_user_is_deleted_only_with_yes(store: Store) {
    register(&store, &["alice"]).await;
    let operator = Operator::of(&store);
    let before = store.contents().await;
    let asked = operator.users(&["delete", "alice"]);
    assert_eq!(code(&asked), 1);
    assert!(stdout(&asked).contains("username: alice\n"), "{}", stdout(&asked));
    assert!(stderr(&asked).contains("--yes"), "{}", stderr(&asked));
    assert_eq!(store.contents().await, before);
    assert_eq!(operator.user(&["delete", "alice", "--yes"])["username"], "alice");
    assert_eq!(store.counts().await[..5], [0; 5]);
    assert_eq!(code(&operator.users(&["delete", "alice", "--yes"])), 1);
    store.drop_schema().await;
    let output = operator.users(&["list"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("vestibule migrate"), "{}", stderr(&output));
}

#[test]
fn a_database_that_is_not_there_is_not_made_by_looking_for_users() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["users", "list"][..], &["purge-expired"]] {
        let output = run(folder.path(), arguments, &[]);
        assert_eq!((code(&output), stdout(&output).as_str()), (BAD_SETTINGS, ""), "{arguments:?}");
        assert!(stderr(&output).contains("no database at vestibule.db"), "{}", stderr(&output));
    }
    assert!(folder.path().read_dir().unwrap().next().is_none(), "nothing was made");
}
