//! The development mailbox, as browsers and the tests of other services use it: a real `vestibule dev` and a real client.

mod api;
mod guarding;
mod pages;
mod starting;

use std::{net::SocketAddr, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    http::{self, Answer},
    process::{FREE_PORTS, Process, vestibule},
    server::Client,
};

/// Two sites: one with links, and one whose name is everything but a name.
const SITES: &str = r#"[
    {id = "shop", name = "The Shop", domain = "shop.example", activation_url = "https://shop.example/activate?key={key}"},
    {id = "evil", name = "</iframe></pre><script>alert(1)</script>\" onload='x' {{ 7*7 }} {% raw %}", domain = "<b>x</b>.example"}
]"#;

/// A development server, its mailbox, and a client of both.
struct Dev {
    process: Process,
    mailbox: SocketAddr,
    client: Client,
    _folder: TempDir,
}

impl Dev {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (process, mailbox) = start(folder.path(), &FREE_PORTS);
        let client = Client::connect(process.address).await;
        Self { process, mailbox, client, _folder: folder }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        http::ask(self.mailbox, method, path, headers).await
    }

    /// The JSON of an answer that went well.
    async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// The next mail to somebody.
    async fn mail_to(&self, recipient: &str) -> Value {
        self.json(&format!("/api/mails/next?recipient={recipient}&timeout_seconds=60")).await
    }

    /// Registers somebody on the first site, and returns the mail.
    async fn register(&self, username: &str) -> Value {
        let email = format!("{username}@example.com");
        self.client.register_by_mail(username, &email).await;
        self.mail_to(&email).await
    }
}

/// Starts a development server on these addresses, and returns where its mailbox is.
fn start(folder: &Path, addresses: &[&str]) -> (Process, SocketAddr) {
    let mut command = vestibule(folder);
    let mut process =
        Process::listen(command.arg("dev").args(addresses).env("VESTIBULE__SITES", SITES.replace('\n', "")));
    let open = process.wait_for("\"message\":\"mailbox open\"");
    let log: Value = serde_json::from_str(&open).unwrap();
    let mailbox = log["address"].as_str().unwrap().parse().unwrap();
    (process, mailbox)
}

/// A text of an answer.
fn text<'a>(json: &'a Value, field: &str) -> &'a str {
    json[field].as_str().unwrap_or_else(|| panic!("{field} in {json:#}"))
}
