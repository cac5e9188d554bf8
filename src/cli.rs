//! The command line: results on standard output, everything else on standard error.

mod completions;
mod dev;
mod events;
mod health;
mod listed;
mod mail;
mod mails;
mod man;
mod migrate;
mod output;
mod purge_expired;
mod purge_unverified;
mod selected;
mod serve;
mod templates;
mod users;

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

use crate::{
    causes::Causes,
    config::{ConfigError, Settings},
    domain::{site::SiteId, username::Username},
    operations::Vestibule,
    server::{self, Outside},
};

/// What was asked for can't be meant, as when the parser of the command line refuses it.
const USAGE: u8 = 2;
/// A check found problems.
const FOUND_PROBLEMS: u8 = 3;
/// The settings can't be used (`EX_CONFIG` of sysexits.h).
const BAD_SETTINGS: u8 = 78;
/// Nobody reads the results any further; as a shell tells of a program that SIGPIPE ended.
const NO_READER: u8 = 141;

/// Holds the people who have registered and not yet proved that an email address is theirs.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 usage, 3 a check found problems, 78 bad settings.
Results go to standard output, everything else to standard error.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run on this machine with SQLite made on the spot and mails shown in the terminal and the browser.
    Dev(dev::Dev),
    /// Serve gRPC.
    Serve(serve::Serve),
    /// Bring the database's schema up to date.
    Migrate(ConfigFiles),
    /// Delete pending users whose activation key has expired, as the RPC PurgeExpired does.
    PurgeExpired(purge_expired::PurgeExpiredCommand),
    /// Delete never-verified users by other conditions, as the RPC PurgeUnverified does.
    PurgeUnverified(purge_unverified::PurgeUnverifiedCommand),
    /// Create, list, show, switch, remind and delete users.
    #[command(subcommand)]
    Users(users::UsersCommand),
    /// Look at what happened.
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// List and show mails, send them now, give them up.
    #[command(subcommand)]
    Mails(mails::MailsCommand),
    /// Find what is wrong with templates.
    #[command(subcommand)]
    Templates(templates::TemplatesCommand),
    /// Look at mails.
    #[command(subcommand)]
    Mail(mail::MailCommand),
    /// Ask a running server whether it is serving.
    Health(health::HealthCommand),
    /// Print what makes a shell complete these commands.
    Completions(completions::Completions),
    /// Print the manual, as roff.
    Man(man::ManPages),
    /// Print the version.
    Version,
}

/// Where settings come from.
#[derive(Debug, Args)]
struct ConfigFiles {
    /// A TOML file with settings; a later one overrides an earlier one.
    #[arg(long = "config", value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl ConfigFiles {
    fn load(&self, flags: &[(&str, String)]) -> Result<Settings, ConfigError> {
        Settings::load(&self.files, flags)
    }
}

/// Runs the command of the process's arguments.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Dev(command) => command.run().await,
            Command::Serve(command) => command.run().await,
            Command::Migrate(config) => migrate::run(&config).await,
            Command::PurgeExpired(command) => command.run().await,
            Command::PurgeUnverified(command) => command.run().await,
            Command::Users(command) => command.run().await,
            Command::Events(command) => command.run().await,
            Command::Mails(command) => command.run().await,
            Command::Templates(command) => command.run(),
            Command::Mail(command) => command.run(),
            Command::Health(command) => command.run().await,
            Command::Completions(command) => command.run(),
            Command::Man(command) => command.run(),
            Command::Version => print(concat!("vestibule ", env!("CARGO_PKG_VERSION"))),
        }
    });
    // A blocking task, say a hash, must not keep a process that is done.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &anyhow::Error) -> ExitCode {
    if error.is::<ReaderGone>() {
        return ExitCode::from(NO_READER);
    }
    let _ = writeln!(io::stderr(), "vestibule: {}", Causes(error.as_ref()));
    if error.is::<ConfigError>() { ExitCode::from(BAD_SETTINGS) } else { ExitCode::FAILURE }
}

/// What a command works on that does without a server: the operations, over a database whose schema is up to date.
async fn open(config: &ConfigFiles) -> anyhow::Result<Vestibule> {
    let settings = config.load(&[])?;
    serve::start_logging(&settings)?;
    let repository = server::open_existing_repository(&settings).await?;
    server::vestibule(&settings, repository, &Outside::default())
}

/// Whoever read the results has seen enough, as `head` does: a command ends then, and says nothing.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the results")]
struct ReaderGone;

/// Writes a result, and ends its line.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    write(&format!("{text}\n"))
}

/// Writes a result as it is.
fn write(text: &str) -> anyhow::Result<ExitCode> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        Err(error) => Err(error.into()),
    }
}

fn parse_username(text: &str) -> Result<Username, String> {
    Username::parse(text).map_err(|invalid| invalid.0)
}

fn parse_site(text: &str) -> Result<SiteId, String> {
    SiteId::parse(text).map_err(|invalid| invalid.0)
}

/// The flag that moves a server to another address.
fn listen_flag(listen: Option<SocketAddr>) -> Option<(&'static str, String)> {
    listen.map(|address| ("grpc.listen", address.to_string()))
}

/// Catches the signals that ask the process to stop from now on, and returns what ends when one comes.
fn asked_to_stop() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async {
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
            tracing::error!("signals can't be caught");
            return;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}
