//! `vestibule mails`: the calls of MailService for an operator, straight on the database.

mod suppressions;

use std::{
    io::{Write as _, stderr},
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueEnum};

use super::{ConfigFiles, listed::Listed, open, output::Output, print};
use crate::{
    domain::{
        email_address::EmailAddress,
        mail::{Mail, MailFilter, MailId, MailState},
        user::UserId,
    },
    operations::Vestibule,
};

/// Looks at mails, sends them now, gives them up, and lets suppressed addresses have them again.
#[derive(Debug, Subcommand)]
pub enum MailsCommand {
    /// List mails, the longest queued first.
    List(List),
    /// Show one mail, without its text.
    Show(Named),
    /// Have a queued mail sent now, by a server that runs.
    Retry(Named),
    /// Give a queued mail up and erase its text.
    Discard(Discard),
    /// List the addresses that get no mail, since mail to them has bounced for good.
    Suppressions(suppressions::Suppressions),
    /// Let such an address have mail again.
    Lift(suppressions::Lift),
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    config: ConfigFiles,
    /// Only mails in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only mails that concern the user of this id.
    #[arg(long, value_name = "ID", value_parser = parse_user_id)]
    user: Option<UserId>,
    /// Only mails to this address.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_email)]
    recipient: Option<EmailAddress>,
    /// How many mails at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Queued,
    Delivered,
    Discarded,
}

#[derive(Debug, Args)]
pub struct Named {
    #[command(flatten)]
    config: ConfigFiles,
    /// The mail's id.
    #[arg(value_name = "MAIL", value_parser = parse_mail_id)]
    mail: MailId,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Args)]
pub struct Discard {
    #[command(flatten)]
    named: Named,
    /// Really give it up; without it the mail is only shown.
    #[arg(long)]
    yes: bool,
}

impl MailsCommand {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.run().await,
            Self::Show(named) => named.run(async |vestibule, id| Ok(vestibule.get_mail(id).await?)).await,
            Self::Retry(named) => {
                let retry = async |vestibule: &Vestibule, id| {
                    let mail = vestibule.retry_mail(id).await?;
                    vestibule.announce_mails().await;
                    Ok(mail)
                };
                named.run(retry).await
            }
            Self::Discard(discard) => discard.run().await,
            Self::Suppressions(suppressions) => suppressions.run().await,
            Self::Lift(lift) => lift.run().await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let vestibule = open(&self.config).await?;
        let state = self.state.map(State::state);
        let filter = MailFilter { state, user_id: self.user, recipient: self.recipient };
        let listed = Listed::of(self.limit, async |size, after| {
            Ok(vestibule.list_mails(&filter, size, after).await?)
        });
        let listed = listed.await?;
        vestibule.repository.close().await;
        listed.print(&self.output.mails(&listed.items), "mails")
    }
}

impl Named {
    /// Acts on the mail, and prints it as it is then.
    async fn run(
        self,
        act: impl AsyncFnOnce(&Vestibule, MailId) -> anyhow::Result<Mail>,
    ) -> anyhow::Result<ExitCode> {
        let vestibule = open(&self.config).await?;
        let mail = act(&vestibule, self.mail).await?;
        vestibule.repository.close().await;
        print(&self.output.mail(&mail))
    }
}

impl Discard {
    async fn run(self) -> anyhow::Result<ExitCode> {
        if self.yes {
            return self.named.run(async |vestibule, id| Ok(vestibule.discard_mail(id).await?)).await;
        }
        self.named.run(async |vestibule, id| Ok(vestibule.get_mail(id).await?)).await?;
        writeln!(stderr(), "Nothing is discarded; add --yes to give this mail up.")?;
        Ok(ExitCode::FAILURE)
    }
}

impl State {
    fn state(self) -> MailState {
        match self {
            Self::Queued => MailState::Queued,
            Self::Delivered => MailState::Delivered,
            Self::Discarded => MailState::Discarded,
        }
    }
}

fn parse_user_id(text: &str) -> Result<UserId, String> {
    UserId::parse(text).map_err(|invalid| invalid.0)
}

fn parse_mail_id(text: &str) -> Result<MailId, String> {
    MailId::parse(text).map_err(|invalid| invalid.0)
}

fn parse_email(text: &str) -> Result<EmailAddress, String> {
    EmailAddress::parse(text).map_err(|invalid| invalid.0)
}
