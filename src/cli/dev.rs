//! `vestibule dev`: the main job on one machine, within a minute of cloning.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, OnceLock},
};

use anyhow::Context as _;
use chrono::TimeDelta;
use clap::Args;

use super::{asked_to_stop, print, serve::start_logging};
use crate::{
    clock::SystemClock,
    config::{ConfigError, Settings},
    domain::{activation_key::ActivationKey, mail::MailKind},
    mail::{OutgoingMail, console::ConsoleSender},
    server::{Outside, Server},
};

/// Runs with SQLite in a folder, and shows every mail in the terminal.
#[derive(Debug, Args)]
pub struct Dev {
    /// The folder for the database and its keyring; made when missing.
    #[arg(long, value_name = "DIR", default_value = "vestibule-dev")]
    data: PathBuf,
    /// The address to serve gRPC on; must be on this machine.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50051")]
    listen: SocketAddr,
    /// Shift the clock, to see keys expire: 8d is eight days on, -1h an hour back.
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true, value_parser = parse_span)]
    clock_offset: Option<TimeDelta>,
}

impl Dev {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        if !self.listen.ip().is_loopback() {
            return Err(ConfigError(format!("--listen must be on this machine, not {}", self.listen)).into());
        }
        fs::create_dir_all(&self.data)
            .with_context(|| format!("the folder {} can't be made", self.data.display()))?;
        let settings = Settings::load(
            &[],
            &[
                ("database.url", format!("sqlite:{}", self.data.join("vestibule.db").display())),
                ("grpc.listen", self.listen.to_string()),
                ("access.anonymous", "loopback".to_owned()),
                ("mail.sender", "console".to_owned()),
            ],
        )?;
        start_logging(&settings)?;
        // Known once the server listens; a mail of an earlier run may be shown before.
        let address = Arc::new(OnceLock::new());
        let (shown, listen) = (Arc::clone(&address), self.listen);
        let hint = move |mail: &OutgoingMail<'_>| next_line(mail, *shown.get().unwrap_or(&listen));
        let sender = ConsoleSender::stdout().with_hint(Box::new(hint));
        let outside = Outside {
            clock: Arc::new(SystemClock::shifted(self.clock_offset.unwrap_or_default())),
            sender: Some(Arc::new(sender)),
            ..Outside::default()
        };
        let stop = asked_to_stop();
        let server = Server::start(&settings, outside).await?;
        address.get_or_init(|| server.address);
        print(&welcome(server.address, &self.data))?;
        server.run_until(stop).await?;
        Ok(ExitCode::SUCCESS)
    }
}

fn welcome(address: SocketAddr, data: &std::path::Path) -> String {
    let service = "vestibule.v1.RegistrationService";
    format!(
        "
Vestibule is ready on {address}; its data is in {}. Mails are shown here. Stop it with Ctrl-C.

Register somebody, in another terminal:

  grpcurl -plaintext -d '{{\"username\": \"alice\", \"email\": \"alice@example.com\"}}' {address} {service}/CreateInactiveUser

See who has never verified:

  grpcurl -plaintext {address} {service}/ListUnverified

See what else there is:

  grpcurl -plaintext {address} describe {service}
",
        data.display()
    )
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
    // From the end: a username may look like a key, and the embedded template shows it first.
    let key = mail.text.body().rsplit(|c: char| !c.is_ascii_alphanumeric()).find_map(ActivationKey::parse)?;
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
