//! `purge-expired`: the call PurgeExpired for a schedule.

use std::{path::Path, process::Stdio};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use vestibule::grpc::proto::PurgeExpiredRequest;

use super::{code, run, stderr, stdout};
use crate::{
    contract::store::{Store, on_postgres, on_sqlite},
    rules,
    support::{
        process::{Process, serve, vestibule},
        server::{Client, make_keyring},
    },
};

/// A user as the command shows it.
const USER_FIELDS: [&str; 12] = [
    "activate_time",
    "active",
    "create_time",
    "disable_time",
    "email",
    "expire_time",
    "id",
    "last_login_time",
    "locale",
    "site",
    "state",
    "username",
];

/// A server whose keys expire at once, with five users whose have.
struct Expired {
    folder: TempDir,
    client: Client,
    _server: Process,
}

impl Expired {
    async fn start(store: &Store) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_keyring(folder.path());
        let days = [("VESTIBULE__REGISTRATION__ACTIVATION_DAYS", "0")];
        let server = Process::start(&mut serve(folder.path(), store.url(), &days));
        let client = Client::connect(server.address).await;
        for number in 1..=5 {
            client.register(&format!("user{number}"), "somebody@example.com").await;
        }
        Self { folder, client, _server: server }
    }
}

pub async fn r15_the_command_purges_what_the_call_would(store: Store) {
    let expired = Expired::start(&store).await;
    let outcome = |usernames: &[&str], more: bool| json!([usernames.len(), usernames, more]);

    let preview = call(&expired.client, true, 2).await;
    assert_eq!(preview, outcome(&["user1", "user2"], true));
    assert_eq!(command(&expired, &store, &["--limit", "2"]), preview);
    assert_eq!(call(&expired.client, false, 2).await, outcome(&["user3", "user4"], true));
    assert_eq!(command(&expired, &store, &[]), outcome(&["user5"], false));
    assert_eq!(command(&expired, &store, &[]), outcome(&[], false));
    assert_eq!(store.count("users").await, 0);

    expired.client.register("user6", "somebody@example.com").await;
    let output = purge(expired.folder.path(), &store, &[]);
    assert_eq!(stdout(&output), "1 users deleted.\n");
    assert_eq!(progress(&output), ["1 of 1 users deleted"]);
}

pub async fn x18_a_dry_run_deletes_nobody(store: Store) {
    let expired = Expired::start(&store).await;
    let preview = call(&expired.client, true, 0).await;
    assert_eq!(preview, json!([5, ["user1", "user2", "user3", "user4", "user5"], false]));
    for _ in 0..2 {
        assert_eq!(command(&expired, &store, &["--dry-run"]), preview);
    }
    assert_eq!(command(&expired, &store, &["--dry-run", "--limit", "5"]), preview);
    let output = purge(expired.folder.path(), &store, &["--dry-run", "--limit", "4"]);
    let said = stdout(&output);
    assert!(said.starts_with("4 users would be deleted. More remain.\n"), "{said}");
    assert_eq!(said.matches("somebody@example.com").count(), 4, "{said}");
    assert!(progress(&output).is_empty());
    assert_eq!(store.count("users").await, 5);
}

pub async fn x18_a_purge_that_fails_tells_who_went_before(store: Store) {
    let folder = tempfile::tempdir().unwrap();
    make_keyring(folder.path());
    let start = chrono::DateTime::from_timestamp(1_000_000_000, 0).unwrap();
    rules::load(&store, 1300, start, start).await;
    // Those who expired first go first, and this one is met after the first thousand.
    let last = "WHEN (OLD.username = 'user1250')";
    if store.url().starts_with("postgres:") {
        let fail = "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$";
        store.execute(fail).await;
        let on = "BEFORE DELETE ON users FOR EACH ROW";
        store.execute(format!("CREATE TRIGGER fail {on} {last} EXECUTE FUNCTION fail()")).await;
    } else {
        let fail = "BEGIN SELECT RAISE(ABORT, 'no'); END";
        store.execute(format!("CREATE TRIGGER fail BEFORE DELETE ON users {last} {fail}")).await;
    }
    let keyring = folder.path().join("keyring");
    let fails = |arguments: &[&str]| {
        let environment = [
            ("VESTIBULE__DATABASE__URL", store.url()),
            ("VESTIBULE__SECRETS__KEYRING_FILE", keyring.to_str().unwrap()),
        ];
        run(folder.path(), &[&["purge-expired"], arguments].concat(), &environment)
    };
    let output = fails(&[]);
    assert_eq!((code(&output), stdout(&output).as_str()), (1, "1200 users deleted. More remain.\n"));
    assert!(stderr(&output).contains("the database refused a statement"), "{}", stderr(&output));
    assert_eq!(store.count("users").await, 100);
    let output = fails(&["--output", "json"]);
    let said: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((code(&output), &said["purge_count"], &said["more"]), (1, &json!(0), &json!(true)));
}

#[tokio::test]
async fn x16_disabled_users_go_only_where_the_command_says_so() {
    on_sqlite(|store| async move {
        let expired = Expired::start(&store).await;
        let now = store.at(chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        store
            .execute(format!(
                "UPDATE users SET state = 'DISABLED', disable_time = {now} WHERE username = 'user3'"
            ))
            .await;
        assert_eq!(command(&expired, &store, &[])[0], 4);
        assert_eq!(command(&expired, &store, &[])[0], 0);
        let outcome = command(&expired, &store, &["--include-disabled"]);
        assert_eq!(outcome, json!([1, ["user3"], false]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x18_a_purge_that_is_asked_to_stop_says_what_it_did() {
    on_postgres(|store| async move {
        store
            .execute(
                "INSERT INTO users (id, username, username_key, state, site, create_time, email, email_domain,
                     email_verified, any_email_verified, profile_issue_time, profile_expire_time)
                 SELECT gen_random_uuid(), 'user' || n, 'user' || n, 'PENDING', 'default', instant, 'a@example.com',
                     'example.com', false, false, instant, instant
                 FROM generate_series(1, 1500) AS n, (SELECT timestamptz '2026-01-01') AS created (instant)",
            )
            .await;
        let folder = tempfile::tempdir().unwrap();
        make_keyring(folder.path());
        let mut lock = store.postgres().begin().await.unwrap();
        sqlx::query("LOCK TABLE users").execute(&mut *lock).await.unwrap();
        let mut command = vestibule(folder.path());
        command.args(["purge-expired", "--output", "json"]).envs(environment(&store));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        store.wait_for_a_lock().await;
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        lock.rollback().await.unwrap();
        let output = child.wait_with_output().unwrap();
        let result: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!((code(&output), &result["purge_count"], &result["more"]), (1, &json!(1000), &json!(true)));
        assert_eq!(result["sample"].as_array().unwrap().len(), 100);
        assert_eq!(store.count("users").await, 500);
        assert_eq!(stdout(&purge(folder.path(), &store, &[])), "500 users deleted.\n");
    })
    .await;
}

/// What the command says as JSON: how many, who, and whether more remain.
fn command(expired: &Expired, store: &Store, arguments: &[&str]) -> Value {
    let output = purge(expired.folder.path(), store, &[arguments, &["--output", "json"]].concat());
    let said = stdout(&output);
    assert_eq!(said.lines().count(), 1, "{said}");
    let result: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(result["dry_run"], arguments.contains(&"--dry-run"));
    let sample = result["sample"].as_array().unwrap();
    for user in sample {
        let keys: Vec<_> = user.as_object().unwrap().keys().collect();
        assert_eq!(keys, USER_FIELDS);
    }
    let usernames: Vec<_> = sample.iter().map(|user| &user["username"]).collect();
    json!([result["purge_count"], usernames, result["more"]])
}

/// What the call says, in the same words.
async fn call(client: &Client, validate_only: bool, limit: i32) -> Value {
    let request = PurgeExpiredRequest { validate_only, limit, ..Default::default() };
    let response = client.purge_expired(request).await.unwrap();
    let usernames: Vec<_> = response.sample.into_iter().map(|user| user.username).collect();
    json!([response.purge_count, usernames, response.more])
}

fn purge(folder: &Path, store: &Store, arguments: &[&str]) -> std::process::Output {
    let output = run(folder, &[&["purge-expired"], arguments].concat(), &environment(store));
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    output
}

fn environment(store: &Store) -> [(&str, &str); 2] {
    [("VESTIBULE__DATABASE__URL", store.url()), ("VESTIBULE__SECRETS__KEYRING_FILE", "keyring")]
}

/// What stands on standard error, which is no terminal: whole lines without a control character.
fn progress(output: &std::process::Output) -> Vec<String> {
    let said = stderr(output);
    assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{said:?}");
    said.lines().map(str::to_owned).collect()
}
