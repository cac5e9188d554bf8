//! `vestibule mail`: mails to look at.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{
    Args, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::{ConfigFiles, print, write};
use crate::{
    config::ConfigError,
    domain::{Invalid, locale::Locale, mail::MailKind, site::SiteId},
    server::{self, Outside, Preview},
};

/// The commands for mails.
#[derive(Debug, Subcommand)]
pub enum MailCommand {
    /// Show a mail with made-up data as somebody would get it now; nothing is sent or stored.
    ///
    /// Needs no database.
    Preview(PreviewCommand),
}

/// Shows a mail.
#[derive(Debug, Args)]
pub struct PreviewCommand {
    #[command(flatten)]
    config: ConfigFiles,
    /// What the mail is for.
    #[arg(long, value_name = "KIND", default_value = MailKind::Activation.as_str(), value_parser = kinds())]
    kind: MailKind,
    /// The id of one of the settings' sites; without it, the first.
    #[arg(long, value_name = "ID")]
    site: Option<String>,
    /// What the recipient reads, such as de-AT; without it, the site's locale.
    #[arg(long, value_name = "TAG", value_parser = |tag: &str| Locale::parse(tag))]
    locale: Option<Locale>,
    /// Which part of the mail to show, or all of it as it would go over the wire.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What is shown of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The plain text, below From, To and Subject.
    Text,
    /// The HTML.
    Html,
    /// The whole message.
    Eml,
}

/// The names of the kinds, read as kinds.
fn kinds() -> impl TypedValueParser<Value = MailKind> {
    PossibleValuesParser::new(MailKind::ALL.map(MailKind::as_str))
        .try_map(|name| MailKind::from_name(&name).ok_or_else(|| Invalid::new("must be a kind of mail")))
}

impl MailCommand {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let Self::Preview(command) = self;
        let site = command.site.as_deref().map(SiteId::parse).transpose();
        let preview = Preview {
            kind: command.kind,
            site: site.map_err(|invalid| ConfigError(format!("--site {invalid}")))?,
            locale: command.locale.clone(),
        };
        let mail = server::preview_mail(&command.config.load(&[])?, &Outside::default(), &preview)?;
        match command.format {
            Format::Text => print(&mail.text),
            Format::Html => print(&mail.html.context("the mail has no HTML")?),
            Format::Eml => write(&mail.message),
        }
    }
}
