//! `vestibule users create`: what the RPC CreateInactiveUser does, straight on the database (R1, R2).

use std::{
    io::{Read as _, stdin},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args;
use zeroize::Zeroizing;

use crate::{
    cli::{ConfigFiles, open, output::Output, parse_site, parse_username, print},
    domain::{
        email_address::EmailAddress, password::Password, request::Call, site::SiteId, username::Username,
    },
    operations::CreateInactiveUser,
};

/// Far more than a password may have; what is longer is refused as one, and not read to its end.
const MAX_STDIN_BYTES: u64 = 64 * 1024;

/// Registers somebody, and mails the activation key.
#[derive(Debug, Args)]
pub struct Create {
    #[command(flatten)]
    config: ConfigFiles,
    /// The username.
    #[arg(value_name = "USERNAME", value_parser = parse_username)]
    username: Username,
    /// The primary email address.
    #[arg(value_name = "EMAIL", value_parser = parse_email)]
    email: EmailAddress,
    /// Print the activation key instead of mailing it.
    #[arg(long)]
    no_email: bool,
    /// The site that the user registers on; the first of the settings' if it is left out.
    #[arg(long, value_name = "ID", value_parser = parse_site)]
    site: Option<SiteId>,
    /// Read the password from standard input; a line end behind it is left out. Without it the user has none until
    /// Activate gives one.
    #[arg(long)]
    password_stdin: bool,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

impl Create {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let password = if self.password_stdin { Some(read_password()?) } else { None };
        let vestibule = open(&self.config).await?;
        if let Err(invalid) = vestibule.usernames.check(&self.username) {
            bail!("the username {invalid}");
        }
        if let Some(password) = &password {
            let checked = vestibule.passwords.check(password, self.username.as_str(), self.email.as_str());
            checked.map_err(|invalid| anyhow::anyhow!("the password {invalid}"))?;
        }
        let registration = CreateInactiveUser {
            username: self.username,
            email: self.email,
            password,
            send_email: !self.no_email,
            site: self.site,
            locale: None,
            call: Call::default(),
        };
        let created = vestibule.create_inactive_user(registration).await?;
        vestibule.announce_mails().await;
        vestibule.repository.close().await;
        print(&self.output.created(&created.user, created.activation_key.as_ref()))
    }
}

/// The password on standard input.
fn read_password() -> anyhow::Result<Password> {
    let mut text = Zeroizing::new(String::new());
    stdin().take(MAX_STDIN_BYTES).read_to_string(&mut text).context("no password can be read")?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    Password::parse(password).map_err(|invalid| anyhow::anyhow!("the password {invalid}"))
}

fn parse_email(text: &str) -> Result<EmailAddress, String> {
    EmailAddress::parse(text).map_err(|invalid| invalid.0)
}
