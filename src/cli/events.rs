//! `vestibule events`: what happened, straight from the database.

use std::{
    io::{Write as _, stderr},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    ConfigFiles, asked_to_stop, open,
    output::{Output, rfc3339},
    print,
};
use crate::{
    domain::{
        event::DeletionReason,
        event_log::{Event, Position, Start},
    },
    operations::{EventPage, Vestibule},
};

/// How many events one look at the database takes, and how many it numbers where no server has yet.
const PAGE: u32 = 1000;
/// How often a watch looks whether something has happened.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long it lets others go first after it has numbered some.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks at what happened.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// List events, the oldest first.
    List(List),
    /// Print events as they happen, until SIGTERM or SIGINT.
    Watch(Watch),
    /// Give the event log another id after a restore, so that whoever goes on from before it is told so.
    RenewLog(RenewLog),
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    config: ConfigFiles,
    /// Only events behind this position.
    #[arg(long, value_name = "POSITION", value_parser = parse_position)]
    after: Option<Position>,
    /// How many events at most.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Args)]
pub struct Watch {
    #[command(flatten)]
    config: ConfigFiles,
    /// Begin behind this position; without it, with what happens from now on.
    #[arg(long, value_name = "POSITION", value_parser = parse_position)]
    after: Option<Position>,
    /// How events are printed; as JSON, each is a line.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Args)]
pub struct RenewLog {
    #[command(flatten)]
    config: ConfigFiles,
}

impl EventsCommand {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.run().await,
            Self::Watch(watch) => watch.run().await,
            Self::RenewLog(renew) => renew.run().await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let vestibule = open(&self.config).await?;
        number(&vestibule).await?;
        let mut start = self.after.map_or(Start::Oldest, Start::After);
        let mut events = Vec::new();
        let (position, more) = loop {
            let left = self.limit - u32::try_from(events.len())?;
            let page = vestibule.list_events(start, left.min(PAGE)).await?;
            start = Start::After(page.position);
            events.extend(page.events.iter().map(|event| (page.position, event.clone())));
            if !page.more || events.len() >= usize::try_from(self.limit)? {
                break (page.position, page.more);
            }
        };
        vestibule.repository.close().await;
        let events: Vec<_> = events.iter().map(|(log, event)| event_json(*log, event)).collect();
        match self.output {
            Output::Table => print(&table(&events))?,
            Output::Json => print(&Value::from(events).to_string())?,
            Output::Jsonl => lines(&events, Value::to_string)?,
        };
        if more {
            writeln!(stderr(), "There are more events; go on with --after {position}.")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Watch {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let stop = asked_to_stop();
        tokio::pin!(stop);
        let vestibule = open(&self.config).await?;
        number(&vestibule).await?;
        let mut start = self.after.map_or(Start::End, Start::After);
        if self.output == Output::Table {
            print(&row(&COLUMNS.map(ToOwned::to_owned)))?;
        }
        loop {
            let page = vestibule.list_events(start, PAGE).await?;
            start = Start::After(page.position);
            self.print(&page)?;
            if page.more {
                continue;
            }
            tokio::select! {
                () = &mut stop => break,
                () = sleep(INTERVAL) => {}
            }
            number(&vestibule).await?;
        }
        vestibule.repository.close().await;
        if let Start::After(position) = start {
            writeln!(stderr(), "Go on with --after {position}.")?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, page: &EventPage) -> anyhow::Result<ExitCode> {
        let events: Vec<_> = page.events.iter().map(|event| event_json(page.position, event)).collect();
        match self.output {
            Output::Table => lines(&events, |event| row(&cells(event))),
            Output::Json | Output::Jsonl => lines(&events, Value::to_string),
        }
    }
}

impl RenewLog {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let vestibule = open(&self.config).await?;
        let extent = vestibule.renew_event_log().await?;
        vestibule.repository.close().await;
        print(&format!(
            "The event log has another id; its oldest position is {}, its end {}.",
            extent.oldest(),
            extent.end()
        ))
    }
}

/// Numbers what no server has numbered yet.
async fn number(vestibule: &Vestibule) -> anyhow::Result<()> {
    while vestibule.repository.number_events(PAGE).await?.more {
        // A server may be at it, too.
        sleep(PAUSE).await;
    }
    Ok(())
}

/// An event with the names of the API; `log` is any position of its log.
fn event_json(log: Position, event: &Event) -> Value {
    json!({
        "position": Position { number: event.number, ..log }.to_string(),
        "kind": event.kind.as_str(),
        "create_time": rfc3339(event.create_time),
        "user_id": event.user_id.to_string(),
        "mail_id": event.mail_id.map(|id| id.to_string()),
        "deletion_reason": event.deletion_reason.map(DeletionReason::as_str),
    })
}

const COLUMNS: [&str; 5] = ["POSITION", "KIND", "CREATE TIME", "USER ID", "DELETION REASON"];
/// As wide as the longest that stands in each.
const WIDTHS: [usize; 5] = [48, 29, 27, 36, 15];

fn table(events: &[Value]) -> String {
    let rows = events.iter().map(|event| row(&cells(event)));
    std::iter::once(row(&COLUMNS.map(ToOwned::to_owned))).chain(rows).collect::<Vec<_>>().join("\n")
}

fn cells(event: &Value) -> [String; COLUMNS.len()] {
    ["position", "kind", "create_time", "user_id", "deletion_reason"]
        .map(|name| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn row(cells: &[String; COLUMNS.len()]) -> String {
    let cells: Vec<_> = cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:width$}")).collect();
    cells.join("  ").trim_end().to_owned()
}

/// Writes a line for each event; none where there is none.
fn lines(events: &[Value], line: impl Fn(&Value) -> String) -> anyhow::Result<ExitCode> {
    events.iter().try_for_each(|event| print(&line(event)).map(|_| ()))?;
    Ok(ExitCode::SUCCESS)
}

fn parse_position(text: &str) -> Result<Position, String> {
    Position::parse(text).map_err(|invalid| invalid.0)
}
