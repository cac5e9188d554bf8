//! `vestibule mails suppressions` and `vestibule mails lift`: the addresses that get no mail.

use std::process::ExitCode;

use clap::Args;

use super::parse_email;
use crate::{
    cli::{ConfigFiles, listed::Listed, open, output::Output, print},
    domain::email_address::EmailAddress,
};

#[derive(Debug, Args)]
pub struct Suppressions {
    #[command(flatten)]
    config: ConfigFiles,
    /// Only this address.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_email)]
    email: Option<EmailAddress>,
    /// How many addresses at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Args)]
pub struct Lift {
    #[command(flatten)]
    config: ConfigFiles,
    /// The address.
    #[arg(value_name = "ADDRESS", value_parser = parse_email)]
    email: EmailAddress,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

impl Suppressions {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let vestibule = open(&self.config).await?;
        let listed = Listed::of(self.limit, async |size, after| {
            Ok(vestibule.list_suppressions(self.email.as_ref(), size, after).await?)
        });
        let listed = listed.await?;
        vestibule.repository.close().await;
        listed.print(&self.output.suppressions(&listed.items), "suppressed addresses")
    }
}

impl Lift {
    /// Lifts the suppression, and prints it as it stood.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let vestibule = open(&self.config).await?;
        let lifted = vestibule.lift_suppression(&self.email).await?;
        vestibule.repository.close().await;
        print(&self.output.suppression(&lifted))
    }
}
