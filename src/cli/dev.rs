//! `vestibule dev`: the main job on one machine, within a minute of cloning.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, OnceLock},
};

use anyhow::Context as _;
use chrono::TimeDelta;
use clap::Args;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{asked_to_stop, print, serve::start_logging};
use crate::{
    clock::SystemClock,
    config::{self, ConfigError, Settings},
    domain::mail::MailKind,
    mail::{OutgoingMail, console::ConsoleSender},
    mailbox::{Mailbox, find_key},
    random::SystemRandom,
    server::{Outside, Server},
};

const SERVICE: &str = "vestibule.v1.RegistrationService";

/// Runs with SQLite in a folder, and shows every mail in the terminal and in the browser.
#[derive(Debug, Args)]
pub struct Dev {
    /// The folder for the database and its keyring; made when missing.
    #[arg(long, value_name = "DIR", default_value = "vestibule-dev")]
    data: PathBuf,
    /// The address to serve gRPC on; must be on this machine.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50051")]
    listen: SocketAddr,
    /// The address to show mails on in the browser; must be on this machine.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8025")]
    mailbox: SocketAddr,
    /// The address to serve the activation page on, which mails link to; must be on this machine.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    page: SocketAddr,
    /// Shift the clock, to see keys expire: 8d is eight days on, -1h an hour back.
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true, value_parser = parse_span)]
    clock_offset: Option<TimeDelta>,
}

impl Dev {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        for (flag, address) in [("--listen", self.listen), ("--mailbox", self.mailbox), ("--page", self.page)]
        {
            if !address.ip().is_loopback() {
                return Err(ConfigError(format!("{flag} must be on this machine, not {address}")).into());
            }
        }
        fs::create_dir_all(&self.data)
            .with_context(|| format!("the folder {} can't be made", self.data.display()))?;
        let mut settings = Settings::load(
            &[],
            &[
                ("database.url", format!("sqlite:{}", self.data.join("vestibule.db").display())),
                ("grpc.listen", self.listen.to_string()),
                ("page.listen", self.page.to_string()),
                ("access.anonymous", "loopback".to_owned()),
                ("mail.sender", "console".to_owned()),
            ],
        )?;
        start_logging(&settings)?;
        let mailbox = Mailbox::open(self.mailbox, &SystemRandom).await.with_context(|| {
            format!("can't show mails on {}; --mailbox names another address", self.mailbox)
        })?;
        let page = TcpListener::bind(self.page).await.with_context(|| {
            format!("can't serve the activation page on {}; --page names another address", self.page)
        })?;
        let page = lead(&mut settings.sites, page.local_addr()?).then_some(page);
        // Known once the server listens; a mail of an earlier run may be shown before.
        let address = Arc::new(OnceLock::new());
        let (shown, listen) = (Arc::clone(&address), self.listen);
        let hint = move |mail: &OutgoingMail<'_>| next_line(mail, *shown.get().unwrap_or(&listen));
        let console = Arc::new(ConsoleSender::stdout().with_hint(Box::new(hint)));
        let outside = Outside {
            clock: Arc::new(SystemClock::shifted(self.clock_offset.unwrap_or_default())),
            sender: Some(Arc::new(mailbox.sender(console))),
            ..Outside::default()
        };
        let asked = asked_to_stop();
        let server = Server::start_with_page(&settings, outside, page).await?;
        address.get_or_init(|| server.address);
        tracing::info!(address = %mailbox.address, "mailbox open");
        print(&welcome(server.address, mailbox.address, server.page, &self.data))?;
        let stop = CancellationToken::new();
        let shown = mailbox.serve(registering(server.address), stop.clone());
        let running = async {
            let asked = async {
                asked.await;
                stop.cancel();
            };
            let ended = server.run_until(asked).await;
            // The server may have stopped by itself.
            stop.cancel();
            ended
        };
        let (ended, ()) = tokio::join!(running, shown);
        ended?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Has the mails of every site whose settings name no page link to the one here; whether any does.
fn lead(sites: &mut [config::Site], page: SocketAddr) -> bool {
    let base = format!("http://{page}/");
    for site in &mut *sites {
        for (url, name) in [(&mut site.activation_url, "activate"), (&mut site.verification_url, "verify")] {
            if url.is_empty() {
                *url = format!("{base}{name}/{{key}}");
            }
        }
    }
    sites.iter().any(|site| site.activation_url.starts_with(&base))
}

fn welcome(address: SocketAddr, mailbox: SocketAddr, page: Option<SocketAddr>, data: &Path) -> String {
    let register = registering(address);
    let links =
        page.map(|page| format!("\nTheir links lead to the activation page on {page}")).unwrap_or_default();
    format!(
        "
Vestibule is ready on {address}; its data is in {}. Stop it with Ctrl-C.
Mails are shown here, and in the browser on http://{mailbox}/{links}

Register somebody, in another terminal:

  {register}

See who has never verified:

  grpcurl -plaintext {address} {SERVICE}/ListUnverified

See what else there is:

  grpcurl -plaintext {address} describe {SERVICE}
",
        data.display()
    )
}

/// The line to begin with.
fn registering(address: SocketAddr) -> String {
    let request = r#"{"username": "alice", "email": "alice@example.com"}"#;
    format!("grpcurl -plaintext -d '{request}' {address} {SERVICE}/CreateInactiveUser")
}

/// The next line to paste, with the key that the mail carries.
fn next_line(mail: &OutgoingMail<'_>, address: SocketAddr) -> Option<String> {
    let (title, field, call) = match mail.kind {
        MailKind::Activation | MailKind::Reminder => {
            ("Activate it", "activation_key", "RegistrationService/Activate")
        }
        MailKind::EmailVerification => ("Verify it", "key", "EmailAddressService/VerifyEmailAddress"),
        MailKind::PrimaryEmailChanged => return None,
    };
    let key = find_key(mail.kind, mail.text)?;
    Some(format!(
        "{title}:\n\n  grpcurl -plaintext -d '{{\"{field}\": \"{}\"}}' {address} vestibule.v1.{call}\n",
        key.expose()
    ))
}

/// A span such as `8d`, `1h 30m` or `-1h`.
fn parse_span(text: &str) -> Result<TimeDelta, String> {
    let (negative, span) = match text.strip_prefix('-') {
        Some(span) => (true, span),
        None => (false, text),
    };
    let span = humantime::parse_duration(span).map_err(|error| error.to_string())?;
    let span = TimeDelta::from_std(span).map_err(|error| error.to_string())?;
    if span > TimeDelta::days(36_500) {
        return Err("must be a hundred years at most".to_owned());
    }
    Ok(if negative { -span } else { span })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_can_be_negative_and_is_bounded() {
        assert_eq!(parse_span("8d"), Ok(TimeDelta::days(8)));
        assert_eq!(parse_span("-1h 30m"), Ok(TimeDelta::minutes(-90)));
        for wrong in ["", "8", "d", "--1h", "200000y"] {
            assert!(parse_span(wrong).is_err(), "{wrong:?}");
        }
    }
}
