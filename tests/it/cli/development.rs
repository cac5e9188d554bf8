//! `dev`: a server on this machine, its mails in the terminal, and its clock where one likes.

use std::path::Path;

use nix::sys::signal::Signal;
use tonic::Code;
use vestibule::grpc::proto::ActivationKeyState;

use super::{BAD_SETTINGS, code, run, stderr};
use crate::support::{
    http,
    process::{FREE_PORTS, Process, vestibule},
    server::{Client, refused},
};

#[test]
fn nobody_elsewhere_can_be_served_by_accident() {
    let folder = tempfile::tempdir().unwrap();
    for flag in ["--listen", "--page"] {
        for address in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
            let output = run(folder.path(), &["dev", flag, address], &[]);
            assert_eq!(code(&output), BAD_SETTINGS);
            let said = format!("vestibule: {flag} must be on this machine, not {address}\n");
            assert_eq!(stderr(&output), said);
        }
    }
    assert!(folder.path().read_dir().unwrap().next().is_none(), "nothing was made");
    let environment = [
        ("VESTIBULE__GRPC__LISTEN", "0.0.0.0:0"),
        ("VESTIBULE__ACCESS__ANONYMOUS", "network"),
        ("VESTIBULE__DATABASE__URL_FILE", "of-production"),
    ];
    let mut command = vestibule(folder.path());
    let server = Process::listen(command.arg("dev").args(FREE_PORTS).envs(environment));
    assert!(server.address.ip().is_loopback());
    assert!(folder.path().join("vestibule-dev/vestibule.db").exists(), "it has a database of its own");
}

#[tokio::test]
async fn a_mail_is_shown_with_the_command_that_activates() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), &[]);
    let client = Client::connect(server.address).await;
    client.register_by_mail("alice", "alice@example.com").await;
    server.wait_for("To: alice@example.com");
    let link = server.wait_for("/activate/");
    let key = link.rsplit('/').next().unwrap().to_owned();
    let command = server.wait_for("grpcurl");
    assert!(command.contains(&key) && command.contains(&server.address.to_string()), "{command}");
    assert_eq!(client.use_key(&key).await.unwrap().username, "alice");
}

#[tokio::test]
async fn the_link_of_a_mail_leads_to_a_page_whose_button_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), &[]);
    let client = Client::connect(server.address).await;
    let alice = client.register_by_mail("alice", "alice@example.com").await;
    let link = server.wait_for("http://");
    assert_eq!(follow(&link, "GET").await, "Activate your account");
    assert_eq!(follow(&link, "POST").await, "Your account is active");
    client.add(&alice.id, "second@example.com").await.unwrap();
    let link = server.wait_for("http://");
    assert_eq!(follow(&link, "POST").await, "Your email address is confirmed");
}

/// The heading of the page that a link leads to.
async fn follow(link: &str, method: &str) -> String {
    let (host, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let answer = http::ask(host.parse().unwrap(), method, &format!("/{path}"), &[]).await;
    answer.body.split("<h1>").nth(1).unwrap().split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_site_that_has_a_page_elsewhere_gets_none_here() {
    let folder = tempfile::tempdir().unwrap();
    let own = r#"[{id="own", name="Own", domain="own.example", activation_url="https://own.example/a/{key}", verification_url="https://own.example/v/{key}"}]"#;
    let mut command = vestibule(folder.path());
    let mut server = Process::start(command.arg("dev").args(FREE_PORTS).env("VESTIBULE__SITES", own));
    let client = Client::connect(server.address).await;
    client.register_by_mail("alice", "alice@example.com").await;
    assert!(server.wait_for("http").starts_with("https://own.example/a/"));
    let (_, printed) = server.stop(Signal::SIGTERM);
    assert!(!printed.contains("page open"), "{printed}");
}

#[tokio::test]
async fn a_mail_that_verifies_an_address_is_shown_with_the_command_that_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path(), &[]);
    let client = Client::connect(server.address).await;
    let alice = client.register("alice", "alice@example.com").await;
    client.add(&alice.id.to_string(), "second@example.com").await.unwrap();
    server.wait_for("To: second@example.com");
    let command = server.wait_for("grpcurl");
    assert!(command.contains("EmailAddressService/VerifyEmailAddress"), "{command}");
    let key = command.split('"').nth(3).unwrap();
    assert_eq!(client.verify(key).await.unwrap().email, "second@example.com");
}

#[tokio::test]
async fn r10_a_shifted_clock_sees_keys_expired_that_were_issued_without() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let client = Client::connect(server.address).await;
    let registered = client.register("alice", "alice@example.com").await;
    assert_eq!(client.purge().await.purge_count, 0);
    drop(client);
    assert!(server.terminate().success());

    let server = start(folder.path(), &["--clock-offset", "8d"]);
    let client = Client::connect(server.address).await;
    let inspected = client.inspect(&registered.key).await.unwrap();
    assert_eq!(inspected.state(), ActivationKeyState::Expired);
    refused(client.use_key(&registered.key).await, Code::FailedPrecondition, "ACTIVATION_KEY_EXPIRED");
    assert_eq!(client.purge().await.purge_count, 1);
}

fn start(folder: &Path, arguments: &[&str]) -> Process {
    Process::start(vestibule(folder).args(["dev", "--data", "data"]).args(FREE_PORTS).args(arguments))
}
