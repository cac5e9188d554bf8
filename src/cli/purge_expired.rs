//! `vestibule purge-expired`: what the RPC PurgeExpired does, for a schedule (R15).

use std::{
    fmt::Write as _,
    io::{IsTerminal as _, Write as _, stderr},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{ConfigFiles, asked_to_stop, open, output::user_json, print};
use crate::{
    domain::unverified::{CallLimit, PurgeScope, SAMPLE_SIZE, Tally},
    operations::{PurgeExpired, Vestibule},
};

/// How many users go between two looks at the progress and at a request to stop.
const STEP: i32 = 1000;

/// Deletes pending users whose activation key has expired and who have verified no address.
#[derive(Debug, Args)]
pub struct PurgeExpiredCommand {
    #[command(flatten)]
    config: ConfigFiles,
    /// Count and show a sample only; delete nothing.
    #[arg(long)]
    dry_run: bool,
    /// Also delete disabled users who have a registration profile and an expired or spent key.
    #[arg(long)]
    include_disabled: bool,
    /// How many users to delete at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

impl PurgeExpiredCommand {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let vestibule = open(&self.config).await?;
        let limit = self.limit.unwrap_or(u32::MAX);
        let (purged, ended) = if self.dry_run {
            (self.preview(&vestibule, limit).await?, Ok(ExitCode::SUCCESS))
        } else {
            self.purge(&vestibule, limit).await?
        };
        vestibule.repository.close().await;
        match self.output {
            Output::Text => print(&self.text(&purged))?,
            Output::Json => print(&self.json(&purged).to_string())?,
        };
        ended
    }

    async fn preview(&self, vestibule: &Vestibule, limit: u32) -> anyhow::Result<Tally> {
        let scope = PurgeScope { now: vestibule.clock.now(), include_disabled: self.include_disabled };
        let count = vestibule.repository.count_purgeable(scope, limit.saturating_add(1)).await?;
        let sample = vestibule.repository.list_purgeable(scope, SAMPLE_SIZE.min(limit)).await?;
        Ok(Tally { count: count.min(limit), sample, more: count > limit })
    }

    /// Purges step by step, until there is nothing left, the limit is reached, or somebody asks to stop. What is
    /// gone by then is told however it ended.
    async fn purge(
        &self,
        vestibule: &Vestibule,
        limit: u32,
    ) -> anyhow::Result<(Tally, anyhow::Result<ExitCode>)> {
        let stop = asked_to_stop();
        tokio::pin!(stop);
        let total = self.preview(vestibule, limit).await?.count;
        let progress = Progress::start(total);
        let mut all = Tally::default();
        loop {
            let left = i32::try_from(limit - all.count).unwrap_or(STEP);
            let request = PurgeExpired {
                validate_only: false,
                include_disabled: self.include_disabled,
                limit: CallLimit::parse(left.min(STEP))?,
                deadline: None,
            };
            let purged = match vestibule.purge_expired(request).await {
                Ok(purged) => purged,
                Err(error) => {
                    progress.finish();
                    all.more = true;
                    return Ok((all, Err(error.into())));
                }
            };
            all.count += purged.count;
            all.more = purged.more;
            let room = usize::try_from(SAMPLE_SIZE)?.saturating_sub(all.sample.len());
            all.sample.extend(purged.sample.into_iter().take(room));
            progress.show(all.count);
            // A step that deleted nobody left only users whom somebody holds; the next run takes them.
            if !all.more || all.count >= limit || purged.count == 0 {
                progress.finish();
                return Ok((all, Ok(ExitCode::SUCCESS)));
            }
            tokio::select! {
                biased;
                () = &mut stop => {
                    progress.finish();
                    return Ok((all, Ok(ExitCode::FAILURE)));
                }
                () = std::future::ready(()) => {}
            }
        }
    }

    fn text(&self, purged: &Tally) -> String {
        let verb = if self.dry_run { "would be deleted" } else { "deleted" };
        let mut text = format!("{} users {verb}.", purged.count);
        if purged.more {
            text.push_str(" More remain.");
        }
        if self.dry_run {
            for user in &purged.sample {
                let _ = write!(text, "\n  {}  {}  {}", user.id, user.username, user.email);
            }
        }
        text
    }

    fn json(&self, purged: &Tally) -> serde_json::Value {
        json!({
            "dry_run": self.dry_run,
            "purge_count": purged.count,
            "sample": purged.sample.iter().map(user_json).collect::<Vec<_>>(),
            "more": purged.more,
        })
    }
}

/// A bar on a terminal, plain lines elsewhere; both on standard error.
enum Progress {
    Bar(ProgressBar),
    Lines { total: u32 },
}

impl Progress {
    fn start(total: u32) -> Self {
        if !stderr().is_terminal() {
            return Self::Lines { total };
        }
        let bar = ProgressBar::new(total.into());
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} users, {eta} left") {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    fn show(&self, count: u32) {
        match self {
            Self::Bar(bar) => bar.set_position(count.into()),
            Self::Lines { total } => {
                let _ = writeln!(stderr(), "{count} of {} users deleted", count.max(*total));
            }
        }
    }

    fn finish(&self) {
        match self {
            Self::Bar(bar) => bar.finish_and_clear(),
            Self::Lines { .. } => {}
        }
    }
}
