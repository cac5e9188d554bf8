//! Where the mailbox listens, and how it ends.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::Dev;
use crate::support::{
    http::{self, Connection},
    process::run,
};

#[test]
fn nobody_elsewhere_is_shown_a_mail() {
    let folder = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "192.0.2.1:8025", "[::]:0"] {
        let output = run(folder.path(), &["dev", "--mailbox", address], &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78));
        assert_eq!(said, format!("vestibule: --mailbox must be on this machine, not {address}\n"));
    }
    assert!(folder.path().read_dir().unwrap().next().is_none(), "nothing was made");
}

#[test]
fn a_port_that_is_taken_is_said_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let free = ["--listen", "127.0.0.1:0", "--page", "127.0.0.1:0"];
    let output = run(folder.path(), &[&["dev", "--mailbox", &address], &free[..]].concat(), &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = format!("vestibule: can't show mails on {address}; --mailbox names another address: ");
    assert!(said.contains(&line), "{said}");
}

#[tokio::test]
async fn the_terminal_names_the_mailbox_and_shows_mails_as_well() {
    let dev = Dev::start().await;
    dev.register("alice").await;
    let (status, printed) = dev.process.stop(Signal::SIGTERM);
    assert!(status.success());
    assert!(printed.contains(&format!("in the browser on http://{}/\n", dev.mailbox)), "{printed}");
    assert!(printed.contains("\nTo: alice@example.com\n"), "{printed}");
}

#[tokio::test]
async fn a_mailbox_can_listen_on_the_other_loopback_address() {
    let folder = tempfile::tempdir().unwrap();
    let (_process, mailbox) = super::start(
        folder.path(),
        &["--listen", "127.0.0.1:0", "--page", "127.0.0.1:0", "--mailbox", "[::1]:0"],
    );
    assert!(mailbox.is_ipv6());
    assert_eq!(http::ask(mailbox, "GET", "/", &[]).await.status, 200);
}

#[tokio::test]
async fn a_stop_is_held_up_by_nobody_who_waits_for_a_mail() {
    let dev = Dev::start().await;
    let mut waiting = Connection::open(dev.mailbox).await;
    waiting.ask("GET", "/api/mails", &[]).await.unwrap();
    // This one says nothing at all.
    let _silent = Connection::open(dev.mailbox).await;
    let stop = async {
        let begun = Instant::now();
        let process = dev.process;
        let status = tokio::task::spawn_blocking(|| process.terminate()).await.unwrap();
        (status, begun.elapsed())
    };
    let (answer, (status, took)) =
        tokio::join!(waiting.ask("GET", "/api/mails/next?timeout_seconds=60", &[]), stop);
    assert!(status.success());
    assert!(took < Duration::from_secs(30), "{took:?}");
    // Told so, unless the connection was closed before the call had come.
    if let Ok(answer) = answer {
        assert_eq!((answer.status, &answer.json()["error"]), (503, &"The server stops.".into()));
    }
}
