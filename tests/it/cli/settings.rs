//! Where settings come from, and what is said of those that can't be used.

use std::{fs, path::Path};

use tempfile::TempDir;
use vestibule::config::Settings;

use super::{BAD_SETTINGS, code, stderr, stdout};
use crate::support::{
    house,
    process::{Process, run, vestibule},
    server::{Client, make_keyring},
    smtp::SmtpSink,
};

const PASSWORD: &str = "hunter2";

#[test]
fn flags_come_before_the_environment_before_later_files_before_earlier_ones_before_defaults() {
    assert_eq!(Settings::load(&[], &[]).unwrap().grpc.listen.to_string(), "127.0.0.1:50051");
    let folder = tempfile::tempdir().unwrap();
    for (file, host) in [("first.toml", 2), ("second.toml", 3)] {
        fs::write(folder.path().join(file), format!("[grpc]\nlisten = '127.0.0.{host}:0'")).unwrap();
    }
    let listens = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = vestibule(folder.path());
        let process = Process::listen(command.arg("serve").args(arguments).envs(environment.iter().copied()));
        process.address.ip().to_string()
    };
    let files = ["--config", "first.toml", "--config", "second.toml"];
    let environment = [("VESTIBULE__GRPC__LISTEN", "127.0.0.4:0")];
    assert_eq!(listens(&files[..2], &[]), "127.0.0.2");
    assert_eq!(listens(&files, &[]), "127.0.0.3");
    assert_eq!(listens(&files, &environment), "127.0.0.4");
    assert_eq!(listens(&[&files[..], &["--listen", "127.0.0.5:0"]].concat(), &environment), "127.0.0.5");
}

#[test]
fn an_unknown_setting_is_named_with_where_it_stands_and_what_may_be_meant() {
    for (toml, said) in [
        ("[grpc]\nlistn = 'x'", "settings.toml: grpc.listn is no setting; did you mean grpc.listen?"),
        ("grcp.listen = 'x'", "settings.toml: grcp is no setting; did you mean grpc?"),
        ("[mail.smtp]\nuri = 'x'", "settings.toml: mail.smtp.uri is no setting; did you mean mail.smtp.url?"),
        (
            "[[sites]]\nid = 'a'\nname = 'A'\ndomain = 'a'\ncolour = 'red'",
            "settings.toml: sites.0.colour is no setting",
        ),
        ("whatever = 1", "settings.toml: whatever is no setting"),
    ] {
        assert_eq!(refused(toml, &[]), format!("vestibule: {said}\n"));
    }
    for (name, said) in [
        (
            "VESTIBULE__GRPC__LISTN",
            "VESTIBULE__GRPC__LISTN is no setting; did you mean VESTIBULE__GRPC__LISTEN?",
        ),
        ("VESTIBULE__GRCP__LISTEN", "VESTIBULE__GRCP is no setting; did you mean VESTIBULE__GRPC?"),
    ] {
        assert_eq!(refused("", &[(name, "x")]), format!("vestibule: {said}\n"));
    }
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_what_would_be_right() {
    for (toml, said) in [
        ("grpc.listen = 5", "grpc.listen must be an address with a port, such as 127.0.0.1:50051"),
        ("grpc.listen = 'here'", "grpc.listen: invalid socket address syntax"),
        ("grpc.drain_seconds = 'ten'", "grpc.drain_seconds must be a whole number, 0 or more"),
        ("grpc.drain_seconds = -1", "grpc.drain_seconds must be a whole number, 0 or more"),
        ("registration.activation_days = 'ten'", "registration.activation_days must be a whole number"),
        ("access.anonymous = 'never'", "access.anonymous must be loopback or network"),
        ("mail.sender = 'pigeon'", "mail.sender must be smtp or file or console"),
        ("passwords.profile = 'lax'", "passwords.profile must be default or strict"),
        ("mail.from = 5", "mail.from must be a string"),
        (
            "registration.disposable_domains = 'on'",
            "registration.disposable_domains must be off or warn or refuse",
        ),
        (
            "[[sites]]\nid = 'a'\nname = 'A'\ndomain = 'a'\nregistration = 'shut'",
            "sites.0.registration must be open or closed",
        ),
        ("database = 5", "database must be a table"),
        ("sites = 5", "sites must be a list"),
        ("[[sites]]\nid = 'a'\nname = 'A'", "sites.0 must have domain"),
        ("[grpc\n", "TOML parse error at line 1, column 6: invalid table header: expected `.`, `]`"),
    ] {
        assert_eq!(refused(toml, &[]), format!("vestibule: settings.toml: {said}\n"), "{toml}");
    }
    let said = refused("", &[("VESTIBULE__GRPC__DRAIN_SECONDS", "ten")]);
    assert_eq!(said, "vestibule: VESTIBULE__GRPC__DRAIN_SECONDS must be a whole number, 0 or more\n");
}

#[test]
fn a_value_that_breaks_a_rule_is_named_with_the_rule() {
    let site = |line: &str| format!("[[sites]]\nid = 'a'\nname = 'A'\ndomain = 'a'\n{line}");
    for (toml, said) in [
        ("registration.activation_days = -1", "registration.activation_days must be 0 to 36500 days"),
        ("registration.activation_code_digits = 5", "registration.activation_code_digits must be 6 to 8"),
        ("registration.activation_code_digits = 9", "registration.activation_code_digits must be 6 to 8"),
        ("registration.max_email_addresses = 0", "registration.max_email_addresses must be 1 to 100"),
        ("registration.max_email_addresses = 101", "registration.max_email_addresses must be 1 to 100"),
        (&*site("activation_days = -1"), "sites[0].activation_days must be 0 to 36500 days"),
        (
            &site("activation_url = 'https://a'"),
            "sites[0].activation_url must be an http or https URL with {key} in it",
        ),
        (&site("locale = 'de_AT'"), "sites[0].locale must be a language tag of BCP 47, such as en or de-AT"),
        (&site("templates = 'nowhere'"), "sites[0].templates: template nowhere can't be read: "),
        (
            "[[sites]]\nid = 'a'\nname = \"A\\r\\nBcc: b\"\ndomain = 'a'",
            "sites[0].name must be a text of one line",
        ),
        ("[[sites]]\nid = 'a'\nname = 'A'\ndomain = \"a\\nb\"", "sites[0].domain must be a text of one line"),
        (
            "registration.disposable_domains_file = 'settings.toml'",
            "registration.disposable_domains_file: settings.toml: line 1 must be a domain with a dot in it",
        ),
        (
            "registration.disposable_domains_file = 'nowhere'",
            "registration.disposable_domains_file: nowhere: can't be read: ",
        ),
        (&site("from = 'nobody'"), "sites[0].from must be a mailbox such as Shop <shop@example.com>"),
        (
            &site("[[sites]]\nid = 'a'\nname = 'B'\ndomain = 'b'"),
            "sites must name each site once; a is there twice",
        ),
        ("sites = []", "sites must name at least one site"),
        ("mail.from = 'nobody'", "mail.from must be a mailbox such as Shop <shop@example.com>"),
        ("database.max_connections = 0", "database.max_connections must be 1 or more"),
        (
            "usernames.reserved = ['chef', 'a b']",
            "usernames.reserved[1] must be letters, digits and ASCII symbols without spaces",
        ),
        ("usernames.reserved = ['']", "usernames.reserved[0] must not be empty"),
        ("database.timeout_seconds = 0", "database.timeout_seconds must be 1 to 600"),
        ("mail.timeout_seconds = 0", "mail.timeout_seconds must be 1 to 600"),
        ("grpc.max_connections = 0", "grpc.max_connections must be 1 to 1000000"),
        ("grpc.call_seconds = 0", "grpc.call_seconds must be 1 to 3600"),
        ("grpc.call_seconds = 3601", "grpc.call_seconds must be 1 to 3600"),
        ("grpc.drain_seconds = 3601", "grpc.drain_seconds must be 0 to 3600"),
        ("passwords.queue_seconds = 3601", "passwords.queue_seconds must be 0 to 3600"),
        ("reminders.interval_hours = 0", "reminders.interval_hours must be 1 to 8760"),
        ("reminders.max_count = 101", "reminders.max_count must be 0 to 100"),
        (
            "reminders.days = [6, 3]",
            "reminders.days must be days from 1 to 36500, each later than the one before",
        ),
        ("purge.interval_minutes = 10081", "purge.interval_minutes must be 0 to 10080"),
        (
            "database.url = 'vestibule.db'",
            "database.url must be sqlite:PATH or postgres://user:password@host:port/name",
        ),
        ("log.filter = 'a=b=c'", "log.filter: "),
        ("templates.directory = 'nowhere'", "templates.directory: template nowhere can't be read: "),
    ] {
        let refusal = refused(toml, &[]);
        assert!(refusal.starts_with(&format!("vestibule: {said}")), "{toml}: {refusal}");
    }
}

#[test]
fn settings_to_sign_mails_are_refused_by_a_program_that_can_not() {
    let said = if cfg!(feature = "dkim") {
        "mail.dkim."
    } else {
        "mail.dkim: this vestibule can't sign mails; one that can is built with: \
         cargo build --release --locked --features dkim\n"
    };
    for key in ["selector", "domain", "private_key_file"] {
        let refusal = refused(&format!("mail.dkim.{key} = 'mail.example'"), &[]);
        assert!(refusal.starts_with(&format!("vestibule: {said}")), "{key}: {refusal}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["serve", "--config", "nowhere.toml"], &[]);
    assert_eq!(code(&output), BAD_SETTINGS);
    assert!(stderr(&output).starts_with("vestibule: nowhere.toml can't be read: "), "{}", stderr(&output));
    for (name, key) in [
        ("VESTIBULE__DATABASE__URL_FILE", "database.url_file: nowhere"),
        ("VESTIBULE__MAIL__SMTP__URL_FILE", "mail.smtp.url_file: nowhere"),
        ("VESTIBULE__SECRETS__KEYRING_FILE", "secrets.keyring_file: nowhere"),
    ] {
        let refusal = refused("", &[(name, "nowhere")]);
        assert!(refusal.starts_with(&format!("vestibule: {key} can't be read: ")), "{refusal}");
    }
}

#[test]
fn a_broken_template_is_named_before_anybody_registers() {
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("templates/activation/body.txt");
    fs::create_dir_all(body.parent().unwrap()).unwrap();
    for (text, said) in [
        ("Hello\n{% if %}", "is broken: syntax error: unexpected end of block (in activation/body.txt:2)"),
        ("{{ activation_key }} {{ password }}", "names password, which it is not offered, for site default"),
        ("Hello", "shows neither the key nor the link with it"),
    ] {
        fs::write(&body, text).unwrap();
        let refusal = refused_in(folder.path(), "templates.directory = 'templates'", &[]);
        let said = format!("vestibule: templates.directory: template activation/body.txt {said}");
        assert!(refusal.starts_with(&said), "{text}: {refusal}");
    }
}

#[test]
fn the_settings_that_pages_show_are_accepted() {
    for page in ["README.md", "docs/configuration.md"] {
        let text = house::read(page);
        let examples = house::blocks(&text, "toml");
        assert!(!examples.is_empty(), "{page}");
        for example in examples {
            // Its secrets are elsewhere; nothing is wrong with it but that.
            let refusal = refused(&example.join("\n"), &[]);
            let said = "vestibule: database.url_file: /run/secrets/database-url can't be read: ";
            assert!(refusal.starts_with(said), "{page}: {refusal}");
        }
    }
}

#[test]
fn postgres_without_a_keyring_is_told_how_to_make_one() {
    let url = ("VESTIBULE__DATABASE__URL", "postgres://vestibule:hunter2@127.0.0.1:1/vestibule");
    let refusal = refused("", &[url]);
    let how = "head -c 32 /dev/urandom | base64 > keyring";
    let said = "secrets.keyring_file must name a keyring when Postgres is used; make one with";
    assert_eq!(refusal, format!("vestibule: {said}: {how}\n"));

    let folder = tempfile::tempdir().unwrap();
    let keyring = ("VESTIBULE__SECRETS__KEYRING_FILE", "keyring");
    fs::write(folder.path().join("keyring"), "no key\n").unwrap();
    let refusal = refused_in(folder.path(), "", &[url, keyring]);
    assert!(refusal.contains("secrets.keyring_file: keyring: line 1 of the keyring"), "{refusal}");

    let made =
        std::process::Command::new("sh").args(["-c", how]).current_dir(folder.path()).status().unwrap();
    assert!(made.success());
    let environment = [url, keyring, ("VESTIBULE__GRPC__LISTEN", "127.0.0.1:0")];
    Process::listen(vestibule(folder.path()).arg("serve").envs(environment));
}

#[test]
fn no_refusal_repeats_a_password() {
    for (toml, about) in [
        ("database.url = 'postgres://u:hunter2@h:99999/n'", "database.url"),
        ("database.url = 'postgres://u:hunter2@[::1/n'", "database.url"),
        ("database.url = 'postgres://u:hunter2@h/n?sslmode=perhaps'", "database.url"),
        ("database.url = 'mysql://u:hunter2@h/n'", "database.url"),
        ("database.url = 'sqlite:x?mode=hunter'", "database.url"),
        ("database.url = ['postgres://u:hunter2@h/n']", "database.url"),
        ("database = 'postgres://u:hunter2@h/n'", "database"),
        ("mail.smtp = 'smtps://u:hunter2@h'", "mail.smtp"),
        ("mail.smtp.url = 'smtps://u:hunter2@h?tls=perhaps'", "mail.smtp.url"),
        ("mail.smtp.url = 'smtps://u:hunter2@h:99999'", "mail.smtp.url"),
        ("mail.sender = 'smtps://u:hunter2@h'", "mail.sender"),
        ("grpc.listen = 'hunter2'", "grpc.listen"),
        ("[mail.smtp]\nurl = 'smtps://u:hunter2@h", "line 2"),
        ("[mail.smtp]\nurl = smtps://u:hunter2@h", "line 2"),
        ("[mail.smtp]\nurl = 'a'\nurl = 'smtps://u:hunter2@h'", "line 3"),
    ] {
        let refusal = refused(toml, &[]);
        assert!(refusal.contains(about) && !refusal.contains(PASSWORD), "{toml}: {refusal}");
    }
    for name in ["VESTIBULE__DATABASE", "VESTIBULE__MAIL__SMTP", "VESTIBULE__DATABASE__URL"] {
        let refusal = refused("", &[(name, "mysql://u:hunter2@h/n")]);
        assert!(!refusal.contains(PASSWORD), "{name}: {refusal}");
    }
}

#[tokio::test]
async fn a_secret_comes_out_of_the_file_that_its_twin_names() {
    let sink = SmtpSink::start().await;
    let folder = tempfile::tempdir().unwrap();
    make_keyring(folder.path());
    fs::write(folder.path().join("database-url"), "sqlite:right.db\n").unwrap();
    fs::write(folder.path().join("smtp-url"), format!("{}\r\n", sink.url())).unwrap();
    let toml = "database.url = 'sqlite:wrong.db'\ndatabase.url_file = 'database-url'\n\
                mail.smtp.url = 'smtp://127.0.0.1:1'\nmail.smtp.url_file = 'smtp-url'\n\
                grpc.listen = '127.0.0.1:0'\nsecrets.keyring_file = 'keyring'\n";
    fs::write(folder.path().join("settings.toml"), toml).unwrap();
    let process = Process::start(vestibule(folder.path()).args(["serve", "--config", "settings.toml"]));
    Client::connect(process.address).await.register_by_mail("alice", "alice@example.com").await;
    sink.next_mail().await;
    let made = |name: &str| folder.path().join(name).exists();
    assert_eq!((made("right.db"), made("wrong.db"), made("right.db.keyring")), (true, false, false));
}

/// What `serve` says of settings that it refuses.
fn refused(toml: &str, environment: &[(&str, &str)]) -> String {
    let folder = TempDir::new().unwrap();
    refused_in(folder.path(), toml, environment)
}

fn refused_in(folder: &Path, toml: &str, environment: &[(&str, &str)]) -> String {
    fs::write(folder.join("settings.toml"), toml).unwrap();
    let output = run(folder, &["serve", "--config", "settings.toml"], environment);
    assert_eq!((code(&output), stdout(&output).as_str()), (BAD_SETTINGS, ""), "{toml}: {}", stderr(&output));
    stderr(&output)
}
