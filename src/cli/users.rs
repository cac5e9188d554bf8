//! `vestibule users`: the calls of UserService for an operator, straight on the database.

mod create;
mod remind;

use std::{
    io::{Write as _, stderr},
    process::ExitCode,
};

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};

use super::{ConfigFiles, listed::Listed, open, output::Output, parse_username, print};
use crate::{
    domain::{
        email_address::EmailAddress,
        user::{User, UserFilter, UserId, UserName, UserState},
        username::Username,
    },
    operations::Vestibule,
};

/// Looks at users and switches them.
#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// Register somebody, and mail the activation key.
    Create(create::Create),
    /// List users, the longest registered first; with --prefix, in the order of their usernames.
    List(List),
    /// Show one user.
    Show(Named),
    /// Make a pending user active by hand; verifies no address.
    Activate(Named),
    /// Switch a user off.
    Disable(Named),
    /// Take the switching off back.
    Enable(Named),
    /// Mail pending users a further activation key; without --force only show whom.
    Remind(remind::Remind),
    /// Delete a user with all that belongs to it.
    Delete(Delete),
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    config: ConfigFiles,
    /// Only users in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only users whose username begins with this.
    #[arg(long, value_name = "TEXT", value_parser = parse_username)]
    prefix: Option<Username>,
    /// How many users at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Pending,
    Active,
    Disabled,
}

#[derive(Debug, Args)]
pub struct Named {
    #[command(flatten)]
    config: ConfigFiles,
    #[command(flatten)]
    name: Name,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    named: Named,
    /// Really delete; without it the user is only shown.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Name {
    /// The user's id or username.
    #[arg(value_name = "USER", value_parser = parse_name)]
    user: Option<UserName>,
    /// An email address that the user has verified.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_email)]
    email: Option<UserName>,
}

impl UsersCommand {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(create) => create.run().await,
            Self::List(list) => list.run().await,
            Self::Show(named) => named.run(async |_, user| Ok(user)).await,
            Self::Activate(named) => {
                named.run(async |vestibule, user| Ok(vestibule.activate_user(user.id).await?)).await
            }
            Self::Disable(named) => {
                named.run(async |vestibule, user| Ok(vestibule.disable_user(user.id).await?)).await
            }
            Self::Enable(named) => {
                named.run(async |vestibule, user| Ok(vestibule.enable_user(user.id).await?)).await
            }
            Self::Remind(remind) => remind.run().await,
            Self::Delete(delete) => delete.run().await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let vestibule = open(&self.config).await?;
        let filter = UserFilter {
            state: self.state.map(State::state),
            username_prefix: self.prefix.as_ref().map(|prefix| prefix.key().clone()),
        };
        let listed = Listed::of(self.limit, async |size, after| {
            Ok(vestibule.list_users(&filter, size, after).await?)
        });
        let listed = listed.await?;
        vestibule.repository.close().await;
        listed.print(&self.output.users(&listed.items), "users")
    }
}

impl Named {
    /// Finds the user, acts on it, and prints it as it is then.
    async fn run(
        self,
        act: impl AsyncFnOnce(&Vestibule, User) -> anyhow::Result<User>,
    ) -> anyhow::Result<ExitCode> {
        let vestibule = open(&self.config).await?;
        let Some(name) = self.name.user.or(self.name.email) else { bail!("no user is named") };
        let found = vestibule.get_user(&name).await?;
        let user = act(&vestibule, found).await?;
        vestibule.repository.close().await;
        print(&self.output.user(&user))
    }
}

impl Delete {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let yes = self.yes;
        let code = self
            .named
            .run(
                async |vestibule, user| {
                    if yes { Ok(vestibule.delete_user(user.id).await?) } else { Ok(user) }
                },
            )
            .await?;
        if !yes {
            writeln!(stderr(), "Nothing is deleted; add --yes to delete this user.")?;
            return Ok(ExitCode::FAILURE);
        }
        Ok(code)
    }
}

impl State {
    fn state(self) -> UserState {
        match self {
            Self::Pending => UserState::Pending,
            Self::Active => UserState::Active,
            Self::Disabled => UserState::Disabled,
        }
    }
}

/// What has the form of an id is one; no other user is meant by it.
fn parse_name(text: &str) -> Result<UserName, String> {
    match UserId::parse(text) {
        Ok(id) => Ok(UserName::Id(id)),
        Err(_) => parse_username(text).map(UserName::Username),
    }
}

fn parse_email(text: &str) -> Result<UserName, String> {
    EmailAddress::parse(text).map(UserName::Email).map_err(|invalid| invalid.0)
}
