//! What is said of templates, and mails to look at: neither takes a database.

use std::{fs, path::Path};

use nix::sys::signal::Signal;

use super::{BAD_SETTINGS, code, stderr, stdout};
use crate::support::process::{Process, run, vestibule};

const SETTINGS: &str = "
database.url = 'postgres://nobody@nowhere.invalid/nothing'
templates.directory = 'templates'

[[sites]]
id = 'shop'
name = 'The Shop'
domain = 'shop.example'
activation_url = 'https://shop.example/activate?key={key}'

[[sites]]
id = 'forum'
name = 'Forum'
domain = 'forum.example'
from = 'Forum <forum@forum.example>'
locale = 'de'
templates = 'forum'
";

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_check_names_every_problem_and_ends_with_3() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            ("settings.toml", SETTINGS),
            ("templates/activation/body.txt", "{{ activation_link }}"),
            ("templates/activation/subject.txt", "{{ site.name }"),
            (
                "templates/reminder/body.txt",
                "{% if activation_url %}click{% else %}{{ activation_key }}{% endif %}",
            ),
            ("templates/reminder/body.fr.txt", "{{ activation_key }}"),
            ("templates/activaton/body.txt", "{{ activation_key }}"),
            (
                "forum/reminder/body.de.txt",
                "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
            ),
            ("forum/reminder/notes.md", "notes"),
        ],
    );
    let output = run(folder.path(), &["templates", "check", "--config", "settings.toml"], &[]);
    assert_eq!((code(&output), stderr(&output).as_str()), (3, ""));
    insta::assert_snapshot!(stdout(&output), @"
    templates.directory: template activation/subject.txt is broken: syntax error: unexpected `}`, expected end of variable block (in activation/subject.txt:1)
    templates.directory: template reminder/body.fr.txt needs reminder/subject.fr.txt beside it
    templates.directory: template activation/body.txt names activation_link, which it is not offered, for site shop
    templates.directory: template reminder/body.txt shows neither the key nor the link with it, for site shop
    templates.directory: template activation/body.txt names activation_link, which it is not offered, for site forum
    sites[1].templates: template reminder/body.de.txt is broken: engine ran out of fuel (in reminder/body.de.txt:1), for site forum
    templates.directory: activaton/body.txt is no template; did you mean activation/body.txt?
    sites[1].templates: reminder/notes.md is no template; a template is called like activation/body.txt or activation/body.de.txt
    ");
    let serving = run(folder.path(), &["serve", "--config", "settings.toml"], &[]);
    assert_eq!(code(&serving), BAD_SETTINGS);
}

#[test]
fn a_check_of_what_is_right_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["templates", "check"], &[]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    assert_eq!(stdout(&output), "Every mail and every page of every site can be made.\n");
    assert_eq!(names(folder.path()), [""; 0], "nothing was made");
}

#[test]
fn a_file_that_is_no_template_keeps_no_server_from_starting_and_is_a_problem_of_the_check() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("templates/activation/bdoy.txt", "{{ activation_key }}")]);
    let environment =
        [("VESTIBULE__TEMPLATES__DIRECTORY", "templates"), ("VESTIBULE__GRPC__LISTEN", "127.0.0.1:0")];
    let output = run(folder.path(), &["templates", "check"], &environment);
    let said = "templates.directory: activation/bdoy.txt is no template; did you mean activation/body.txt?";
    assert_eq!((code(&output), stdout(&output)), (3, format!("{said}\n")));
    let process = Process::listen(vestibule(folder.path()).arg("serve").envs(environment));
    let (_, log) = process.stop(Signal::SIGTERM);
    assert!(log.contains("templates may not be what was meant") && log.contains(said), "{log}");
}

#[test]
fn a_preview_shows_a_mail_and_sends_and_stores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("settings.toml", SETTINGS), ("templates/.keep", ""), ("forum/.keep", "")]);
    let preview = |arguments: &[&str]| {
        let output =
            run(folder.path(), &[&["mail", "preview", "--config", "settings.toml"], arguments].concat(), &[]);
        assert_eq!((code(&output), stderr(&output).as_str()), (0, ""), "{arguments:?}");
        stdout(&output)
    };
    let text = preview(&[]);
    assert!(text.starts_with(
        "From: Vestibule <vestibule@localhost>\nTo: alice@example.com\n\
         Subject: Activate your account at The Shop\n\nHello alice,\n"
    ));
    assert!(text.contains("\nhttps://shop.example/activate?key="), "{text}");

    let text = preview(&["--site", "forum", "--kind", "primary_email_changed"]);
    assert!(text.contains("\nSubject: Die E-Mail-Adresse Ihres Kontos bei Forum wurde geändert\n"), "{text}");
    let text = preview(&["--site", "forum", "--kind", "reminder", "--locale", "EN-gb"]);
    assert!(text.contains("\nSubject: Your registration at Forum is not complete\n"), "{text}");

    let html = preview(&["--kind", "email_verification", "--locale", "de-AT", "--format", "html"]);
    assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"de\">") && html.ends_with("</html>\n"), "{html}");

    let eml = preview(&["--site", "forum", "--format", "eml"]);
    let message = mailparse::parse_mail(eml.as_bytes()).unwrap();
    assert_eq!(message.ctype.mimetype, "multipart/alternative");
    assert_eq!(message.subparts.len(), 2);
    assert!(eml.ends_with("--\r\n") && eml.contains("\r\nFrom: Forum <forum@forum.example>\r\n"), "{eml}");
    assert_eq!(names(folder.path()), ["forum", "settings.toml", "templates"], "nothing was made");
}

#[test]
fn a_preview_of_what_is_not_there_says_so() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            ("templates/activation/body.txt", "{{ activation_key }}"),
            ("broken/activation/body.txt", "no key"),
        ],
    );
    let environment = [("VESTIBULE__TEMPLATES__DIRECTORY", "templates")];
    for (arguments, ends_with, said) in [
        (&["--site", "shop"][..], 1, "vestibule: the settings know no site shop\n"),
        (&["--site", "a b"], BAD_SETTINGS, "vestibule: --site must be 1 to 63 of a-z, 0-9, - and _\n"),
        (&["--format", "html"], 1, "vestibule: the mail has no HTML\n"),
        (
            &["--kind", "invoice"],
            2,
            "[possible values: activation, reminder, email_verification, primary_email_changed]",
        ),
        (&["--locale", "de_AT"], 2, "must be a language tag of BCP 47, such as en or de-AT"),
    ] {
        let output = run(folder.path(), &[&["mail", "preview"], arguments].concat(), &environment);
        assert_eq!((code(&output), stdout(&output).as_str()), (ends_with, ""), "{arguments:?}");
        assert!(stderr(&output).contains(said), "{arguments:?}: {}", stderr(&output));
    }
    let broken = run(folder.path(), &["mail", "preview"], &[("VESTIBULE__TEMPLATES__DIRECTORY", "broken")]);
    assert_eq!(code(&broken), BAD_SETTINGS);
}
