//! `serve`, `migrate` and `health`: from an empty database to a server that ends as it was asked to.

use std::{fs, os::unix::fs::PermissionsExt as _};

use nix::sys::signal::Signal;
use tonic::transport::Endpoint;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{code, stderr, stdout};
use crate::{
    contract::store::Store,
    support::{
        house,
        process::{Process, run, serve, vestibule},
        server::make_keyring,
    },
};

pub async fn a_second_migration_finds_nothing_to_do(store: Store) {
    store.drop_schema().await;
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let output = run(folder.path(), &["migrate"], &[("VESTIBULE__DATABASE__URL", store.url())]);
        assert_eq!(
            (code(&output), stdout(&output).as_str()),
            (0, "The schema is up to date.\n"),
            "{}",
            stderr(&output)
        );
        assert!(store.is_ready().await.unwrap());
    }
}

pub async fn a_server_without_a_schema_lives_and_serves_as_soon_as_there_is_one(store: Store) {
    let folder = tempfile::tempdir().unwrap();
    make_keyring(folder.path());
    // SQLite is brought up to date on the spot, so there it loses its schema only afterwards.
    let takes_it_away = store.url().starts_with("sqlite:");
    if !takes_it_away {
        store.drop_schema().await;
    }
    let mut process = Process::listen(&mut serve(folder.path(), store.url(), &[]));
    if takes_it_away {
        process.wait_for("\"message\":\"serving\"");
        store.drop_schema().await;
    }
    let line = process.wait_for("\"message\":\"not serving\"");
    assert!(line.contains("run: vestibule migrate"), "{line}");

    let channel =
        Endpoint::from_shared(format!("http://{}", process.address)).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    let mut ask = async |name: &str| {
        let answer = health.check(HealthCheckRequest { service: name.to_owned() }).await.unwrap();
        answer.into_inner().status()
    };
    assert_eq!(ask("liveness").await, ServingStatus::Serving);
    for name in
        ["", "vestibule.v1.RegistrationService", "vestibule.v1.UserService", "vestibule.v1.EventService"]
    {
        assert_eq!(ask(name).await, ServingStatus::NotServing, "{name}");
    }
    let address = process.address.to_string();
    let health = || {
        let output = run(folder.path(), &["health", "--address", &address], &[]);
        (code(&output), stdout(&output))
    };
    assert_eq!(health(), (3, "NOT_SERVING\n".to_owned()));

    let output = run(folder.path(), &["migrate"], &[("VESTIBULE__DATABASE__URL", store.url())]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    process.wait_for("\"message\":\"serving\"");
    assert_eq!(health(), (0, "SERVING\n".to_owned()));
    assert_eq!(ask("").await, ServingStatus::Serving);
}

pub async fn the_statements_of_the_runbook_run(store: Store) {
    let page = house::read("docs/operations.md");
    let statements = house::blocks(&page, "sql");
    assert!(statements.len() > 2, "{statements:?}");
    for statement in statements {
        store.execute(statement.join("\n")).await;
    }
}

pub async fn a_newer_schema_is_refused_and_left_as_it_is(store: Store) {
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'later', true, (SELECT checksum FROM _sqlx_migrations WHERE version = 1), 0)";
    store.execute(later).await;
    let folder = tempfile::tempdir().unwrap();
    let before = store.texts("SELECT description FROM _sqlx_migrations ORDER BY version").await;
    let output = run(folder.path(), &["migrate"], &[("VESTIBULE__DATABASE__URL", store.url())]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("9999"), "{}", stderr(&output));
    assert_eq!(store.texts("SELECT description FROM _sqlx_migrations ORDER BY version").await, before);
    assert!(store.is_ready().await.unwrap(), "an older server goes on serving a newer schema");
}

#[test]
fn health_asks_where_the_settings_say_and_finds_problems_where_nobody_answers() {
    let folder = tempfile::tempdir().unwrap();
    let listen = |address: &str| {
        let output = run(folder.path(), &["health"], &[("VESTIBULE__GRPC__LISTEN", address)]);
        (code(&output), stdout(&output))
    };
    let (code, said) = listen("127.0.0.1:1");
    assert_eq!(code, 3);
    assert!(said.starts_with("UNREACHABLE: "), "{said}");
    assert!(folder.path().read_dir().unwrap().next().is_none(), "asking makes no database");

    let server = Process::start(vestibule(folder.path()).args(["serve", "--listen", "0.0.0.0:0"]));
    assert_eq!(listen(&server.address.to_string()), (0, "SERVING\n".to_owned()));
    let [address, port] = [server.address.ip().to_string(), server.address.port().to_string()];
    assert_eq!(address, "0.0.0.0");
    assert_eq!(listen(&format!("127.0.0.1:{port}")), (0, "SERVING\n".to_owned()));
}

#[test]
fn a_file_that_is_no_database_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vestibule.db"), "This is no database, but a text. ".repeat(50)).unwrap();
    for (arguments, what) in [
        (["users", "list"], "can't be used"),
        (["serve", "--listen=127.0.0.1:0"], "can't be brought up to date"),
    ] {
        let output = run(folder.path(), &arguments, &[]);
        assert_eq!((code(&output), stdout(&output).as_str()), (1, ""));
        let said = stderr(&output);
        let expected = format!("vestibule: database.url: vestibule.db {what}: ");
        assert!(said.starts_with(&expected), "{said}");
        assert_eq!((said.lines().count(), said.matches("file is not a database").count()), (1, 1), "{said}");
    }
}

#[test]
fn a_server_that_is_asked_to_stop_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let server = Process::start(vestibule(folder.path()).args(["serve", "--listen", "127.0.0.1:0"]));
        let (status, log) = server.stop(signal);
        assert_eq!(status.code(), Some(0), "{signal}: {log}");
        assert!(log.contains("\"message\":\"draining\"") && log.contains("\"message\":\"stopped\""), "{log}");
    }
}

#[test]
fn a_port_that_is_taken_is_a_failure_and_no_bad_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["serve", "--listen", &address], &[]);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains(&format!("vestibule: can't listen on {address}: ")),
        "{}",
        stderr(&output)
    );
}

#[test]
fn only_its_owner_reads_the_database_and_the_keyring_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let server = Process::start(vestibule(folder.path()).args(["serve", "--listen", "127.0.0.1:0"]));
        for entry in folder.path().read_dir().unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        }
        assert!(server.terminate().success());
        fs::read(folder.path().join("vestibule.db.keyring")).unwrap()
    };
    let keyring = start();
    assert_eq!(start(), keyring, "it is made once");
    assert!(folder.path().join("vestibule.db").exists());
}
