//! `events`: what happened, for an operator.

use std::{path::Path, process::Output};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{code, stderr, stdout};
use crate::{
    contract::{
        event_log::append,
        people::{register, start},
        store::Store,
    },
    support::{
        process::{Process, run, vestibule},
        server::make_keyring,
    },
};

/// What the commands need to know of the store.
fn environment(store: &Store) -> [(&str, &str); 3] {
    [
        ("VESTIBULE__DATABASE__URL", store.url()),
        ("VESTIBULE__SECRETS__KEYRING_FILE", "keyring"),
        ("VESTIBULE__LOG__FILTER", "warn"),
    ]
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    make_keyring(folder.path());
    folder
}

fn events(folder: &Path, store: &Store, arguments: &[&str]) -> Output {
    run(folder, &[&["events"], arguments].concat(), &environment(store))
}

/// The lines of JSON that a command prints.
fn told(folder: &Path, store: &Store, arguments: &[&str]) -> Vec<Value> {
    let output = events(folder, store, &[arguments, &["--output", "jsonl"]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub async fn x20_events_are_listed_in_every_form_and_from_any_position(store: Store) {
    let folder = folder();
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.delete_user(alice.id, start()).await.unwrap();
    append(&store, 3, start()).await;
    // No server has numbered them.
    let all = told(folder.path(), &store, &["list"]);
    assert_eq!(all.len(), 5);
    let (id, position) = (alice.id.to_string(), all[1]["position"].as_str().unwrap());
    assert_eq!((all[0]["kind"].as_str(), all[0]["user_id"].as_str()), (Some("user_registered"), Some(&*id)));
    assert_eq!((&all[0]["mail_id"], &all[0]["deletion_reason"]), (&Value::Null, &Value::Null));
    assert_eq!(all[1]["deletion_reason"], "requested");
    assert_eq!(all[1]["create_time"], "2026-03-01T12:00:00.000001Z");
    assert_eq!(told(folder.path(), &store, &["list", "--after", position]), all[2..]);
    let output = events(folder.path(), &store, &["list", "--limit", "2", "--output", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&stdout(&output)).unwrap(), Value::from(all[..2].to_vec()));
    assert!(stderr(&output).contains(&format!("--after {position}")), "{}", stderr(&output));
    let table = stdout(&events(folder.path(), &store, &["list"]));
    let lines: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["POSITION", "KIND", "CREATE", "TIME", "USER", "ID", "DELETION", "REASON"]);
    assert_eq!(lines[2], [position, "user_deleted", "2026-03-01T12:00:00.000001Z", &id, "requested"]);
    assert_eq!(lines.len(), 6);
    for wrong in
        [&["list", "--after", "latest"][..], &["list", "--limit", "0"], &["watch", "--after", "1"], &[]]
    {
        assert_eq!(code(&events(folder.path(), &store, wrong)), 2, "{wrong:?}");
    }
}

pub async fn x20_events_are_printed_as_they_happen(store: Store) {
    let folder = folder();
    register(&store, "alice", "alice@example.com").await;
    let first = told(folder.path(), &store, &["list"]).remove(0);
    let watch = |arguments: &[&str]| {
        let mut command = vestibule(folder.path());
        command.args(["events", "watch"]).args(arguments).envs(environment(&store));
        Process::run(&mut command)
    };
    let mut table = watch(&[]);
    table.wait_for("POSITION");
    let mut lines = watch(&["--output", "jsonl", "--after", &"0".repeat(48)]);
    let (status, said) = lines.end();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("doesn't hold that position; the oldest that it holds is"), "{said}");
    let mut lines = watch(&["--output", "jsonl", "--after", first["position"].as_str().unwrap()]);
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    let line = lines.wait_for("user_registered");
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["user_id"], bob.id.to_string());
    let said = table.wait_for("user_registered");
    let position = event["position"].as_str().unwrap();
    assert!(said.starts_with(position), "the first was before the watch: {said}");
    for (process, signal) in [(lines, Signal::SIGTERM), (table, Signal::SIGINT)] {
        let (status, said) = process.stop(signal);
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains(&format!("Go on with --after {position}.")), "{said}");
    }
}

pub async fn x20_a_renewed_log_refuses_the_positions_of_before(store: Store) {
    let folder = folder();
    append(&store, 2, start()).await;
    let before = told(folder.path(), &store, &["list"]);
    let renewed = events(folder.path(), &store, &["renew-log"]);
    assert_eq!(code(&renewed), 0, "{}", stderr(&renewed));
    let refused =
        events(folder.path(), &store, &["list", "--after", before[0]["position"].as_str().unwrap()]);
    assert_eq!((code(&refused), stdout(&refused).as_str()), (1, ""));
    let after = told(folder.path(), &store, &["list"]);
    assert_eq!(after.len(), 2);
    assert_ne!(after[0]["position"], before[0]["position"]);
    for position in [stderr(&refused), stdout(&renewed)] {
        let oldest = position.split_whitespace().find(|word| word.trim_end_matches(',').len() == 48).unwrap();
        let oldest = oldest.trim_end_matches(',');
        assert_eq!(told(folder.path(), &store, &["list", "--after", oldest]), after);
    }
}
