//! The built program on its command line: what it takes, what it prints, and how it ends.

mod development;
mod events;
mod logs;
mod mails;
mod never_verified;
mod purging;
mod serving;
mod settings;
mod suppressions;
mod templates;
mod users;

use std::{
    fs,
    process::{Command, Output},
};

use crate::support::{
    process::{run, vestibule},
    server::on_each_store,
};

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
    mails: [
        a_mail_is_listed_shown_sent_and_given_up_by_hand,
    ]
    suppressions: [
        suppressed_addresses_are_listed_and_lifted_by_hand,
    ]
    users: [
        users_are_listed_in_every_form,
        x1_a_user_is_shown_and_switched_by_hand,
        a_user_is_deleted_only_with_yes,
    ]
    events: [
        x20_events_are_listed_in_every_form_and_from_any_position,
        x20_events_are_printed_as_they_happen,
        x20_a_renewed_log_refuses_the_positions_of_before,
    ]
    never_verified: [
        r1_r2_somebody_is_registered_by_hand,
        u6_reminders_are_previewed_until_they_are_forced,
        u5_never_verified_users_are_purged_by_a_condition,
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
fn who_reads_no_further_is_told_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["version"][..], &["man"], &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = vestibule(folder.path()).args(arguments).stdout(writer).output().unwrap();
        assert_eq!((code(&output), stderr(&output).as_str()), (141, ""), "{arguments:?}");
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

/// Every command is completed, and every flag; bash itself reads the script.
#[test]
fn a_shell_can_complete_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(folder.path(), &["completions", shell], &[]);
        assert_eq!((code(&output), stderr(&output).as_str()), (0, ""), "{shell}");
        for word in ["purge-expired", "users", "clock-offset"] {
            assert!(stdout(&output).contains(word), "{shell} does not complete {word}");
        }
    }
    let script = folder.path().join("vestibule.bash");
    fs::write(&script, stdout(&run(folder.path(), &["completions", "bash"], &[]))).unwrap();
    let ask = "source \"$0\"; COMP_WORDS=(vestibule purge-e); COMP_CWORD=1; _vestibule vestibule purge-e vestibule; \
               echo \"${COMPREPLY[@]}\"";
    let answer = Command::new("bash").args(["-c", ask, script.to_str().unwrap()]).output().unwrap();
    assert_eq!(stdout(&answer).trim(), "purge-expired", "{}", stderr(&answer));
    assert_eq!(code(&run(folder.path(), &["completions", "csh"], &[])), 2);
}

/// The manual has a page for the program, and one for each command with its flags.
#[test]
fn every_command_has_a_page_in_the_manual() {
    let folder = tempfile::tempdir().unwrap();
    let page = run(folder.path(), &["man"], &[]);
    assert!(stdout(&page).contains(".TH vestibule 1"), "{}", stdout(&page));
    assert!(stdout(&page).contains("Exit codes: 0 done"), "{}", stdout(&page));
    let output = run(folder.path(), &["man", "--directory", "."], &[]);
    assert_eq!((code(&output), stdout(&output).as_str(), stderr(&output).as_str()), (0, "", ""));
    let page = fs::read_to_string(folder.path().join("vestibule-purge-expired.1")).unwrap();
    assert!(page.contains("dry\\-run"), "{page}");
    assert!(folder.path().join("vestibule-users-delete.1").exists());
    let nowhere = run(folder.path(), &["man", "--directory", "nowhere"], &[]);
    assert_eq!(code(&nowhere), 1);
    assert!(stderr(&nowhere).contains("the pages can't be written to nowhere"), "{}", stderr(&nowhere));
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
