//! The built program on its command line: what it takes, what it prints, and how it ends.

mod development;
mod logs;
mod purging;
mod serving;
mod settings;
mod users;

use std::process::Output;

use crate::support::{process::run, server::on_each_store};

on_each_store! {
    serving: [
        a_second_migration_finds_nothing_to_do,
        a_newer_schema_is_refused_and_left_as_it_is,
        the_statements_of_the_runbook_run,
        a_server_without_a_schema_lives_and_serves_as_soon_as_there_is_one,
    ]
    purging: [
        r15_the_command_purges_what_the_call_would,
        x18_a_dry_run_deletes_nobody,
        x18_a_purge_that_fails_tells_who_went_before,
    ]
    users: [
        users_are_listed_in_every_form,
        x1_a_user_is_shown_and_switched_by_hand,
        a_user_is_deleted_only_with_yes,
    ]
    logs: [
        no_log_tells_a_secret,
    ]
}

/// The settings can't be used.
const BAD_SETTINGS: i32 = 78;

#[test]
fn the_version_is_that_of_the_package() {
    let folder = tempfile::tempdir().unwrap();
    for argument in ["version", "--version"] {
        let output = run(folder.path(), &[argument], &[]);
        assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
        assert_eq!(stdout(&output), format!("vestibule {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn what_is_no_command_is_a_mistake_of_usage() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        (vec![], "Usage: vestibule <COMMAND>"),
        (vec!["--wat"], "'--wat'"),
        (vec!["serv"], "'serve'"),
        (vec!["serve", "--listn", "127.0.0.1:0"], "'--listen'"),
        (vec!["serve", "--listen", "somewhere"], "'somewhere'"),
        (vec!["dev", "--clock-offset", "soon"], "'soon'"),
        (vec!["purge-expired", "--limit", "0"], "'0'"),
        (vec!["purge-expired", "--output", "xml"], "'xml'"),
        (vec!["version", "please"], "'please'"),
    ] {
        let output = run(folder.path(), &arguments, &[]);
        assert_eq!((code(&output), stdout(&output).as_str()), (2, ""), "{arguments:?}");
        assert!(stderr(&output).contains(said), "{arguments:?}: {}", stderr(&output));
    }
    assert!(folder.path().read_dir().unwrap().next().is_none(), "nothing was made");
}

#[test]
fn the_help_names_the_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["--help"], &[]);
    let said = "Exit codes: 0 done, 1 failed, 2 usage, 3 a check found problems, 78 bad settings.";
    assert!(stdout(&output).contains(said), "{}", stdout(&output));
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal ended it")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
