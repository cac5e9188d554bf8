//! What commands have in common that act on the never-verified whom flags select: a preview, or the act in steps.

use std::{fmt::Write as _, io::Write as _, io::stderr, process::ExitCode, sync::Arc};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{ConfigFiles, asked_to_stop, open, output::user_json, print};
use crate::{
    domain::{
        Timestamp,
        email_address::EmailDomain,
        policy,
        site::SiteId,
        unverified::{CallLimit, SAMPLE_SIZE, Tally, UnverifiedFilter},
        username::Username,
    },
    operations::Vestibule,
};

/// How many users come between two looks at a request to stop.
const STEP: u32 = 1000;

/// Which of the never-verified, and what is done to them.
#[derive(Debug, Args)]
pub struct Selected {
    #[command(flatten)]
    config: ConfigFiles,
    #[command(flatten)]
    filter: FilterFlags,
    /// Really do it; without it the users are counted and a sample is shown.
    #[arg(long)]
    force: bool,
    /// How many users at most.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Conditions on never-verified users; all must hold.
#[derive(Debug, Args)]
struct FilterFlags {
    /// Only users who registered before this instant, such as 2026-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    created_before: Option<Timestamp>,
    /// Only users who registered at or after this instant.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    created_after: Option<Timestamp>,
    /// Only users who have not logged in at or after this instant.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    idle_since: Option<Timestamp>,
    /// Only users whose activation window is over (true) or not (false).
    #[arg(long, value_name = "BOOL")]
    expired: Option<bool>,
    /// Only users whose primary email address is in exactly this domain.
    #[arg(long, value_name = "DOMAIN", value_parser = parse_domain)]
    email_domain: Option<EmailDomain>,
    /// Only users whose username begins with this.
    #[arg(long, value_name = "TEXT", value_parser = super::parse_username)]
    prefix: Option<Username>,
    /// Only users who registered on this site.
    #[arg(long, value_name = "ID", value_parser = super::parse_site)]
    site: Option<SiteId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

/// How a command tells what it does.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// What was done to the users.
    pub done: &'static str,
    /// What their number is called in JSON.
    pub count: &'static str,
}

/// An act on whom a filter selects: only previewed unless it is told to.
pub trait Act {
    /// Does it to so many at most.
    async fn act(
        &self,
        vestibule: &Arc<Vestibule>,
        filter: UnverifiedFilter,
        force: bool,
        limit: CallLimit,
    ) -> anyhow::Result<Tally>;
}

impl Selected {
    /// Whether there is a condition beyond "unverified" (U5).
    pub fn is_selective(&self) -> bool {
        self.filter.filter().is_selective()
    }

    pub async fn run(self, words: Words, act: impl Act) -> anyhow::Result<ExitCode> {
        let vestibule = Arc::new(open(&self.config).await?);
        let filter = self.filter.filter();
        let (tally, ended) = if self.force {
            self.force(&vestibule, &filter, &act).await?
        } else {
            let limit = CallLimit::parse(i32::try_from(self.limit)?)?;
            (act.act(&vestibule, filter, false, limit).await?, Ok(ExitCode::SUCCESS))
        };
        vestibule.repository.close().await;
        match self.output {
            Output::Text => print(&self.text(&tally, words))?,
            Output::Json => print(&self.json(&tally, words).to_string())?,
        };
        if !self.force {
            writeln!(stderr(), "Nobody is {}; add --force to do it.", words.done)?;
        }
        ended
    }

    /// Acts step by step, until nobody is left, the limit is reached, or somebody asks to stop. What is done by then is
    /// told however it ended.
    async fn force(
        &self,
        vestibule: &Arc<Vestibule>,
        filter: &UnverifiedFilter,
        act: &impl Act,
    ) -> anyhow::Result<(Tally, anyhow::Result<ExitCode>)> {
        let stop = asked_to_stop();
        tokio::pin!(stop);
        let mut all = Tally::default();
        loop {
            let size = i32::try_from(STEP.min(self.limit - all.count)).unwrap_or_default();
            let limit = CallLimit::parse(size).unwrap_or_default();
            let tally = match act.act(vestibule, filter.clone(), true, limit).await {
                Ok(tally) => tally,
                Err(error) if all.count == 0 => return Err(error),
                Err(error) => {
                    all.more = true;
                    return Ok((all, Err(error)));
                }
            };
            all.count += tally.count;
            all.more = tally.more;
            let room = usize::try_from(SAMPLE_SIZE).unwrap_or_default().saturating_sub(all.sample.len());
            all.sample.extend(tally.sample.into_iter().take(room));
            // A step that did nothing left only users whom somebody holds; the next run takes them.
            if !all.more || all.count >= self.limit || tally.count == 0 {
                return Ok((all, Ok(ExitCode::SUCCESS)));
            }
            tokio::select! {
                biased;
                () = &mut stop => return Ok((all, Ok(ExitCode::FAILURE))),
                () = std::future::ready(()) => {}
            }
        }
    }

    fn text(&self, tally: &Tally, words: Words) -> String {
        let would = if self.force { "" } else { "would be " };
        let mut text = format!("{} users {would}{}.", tally.count, words.done);
        if tally.more {
            text.push_str(" More remain.");
        }
        if !self.force {
            for user in &tally.sample {
                let _ = write!(text, "\n  {}  {}  {}", user.id, user.username, user.email);
            }
        }
        text
    }

    fn json(&self, tally: &Tally, words: Words) -> serde_json::Value {
        json!({
            "force": self.force,
            (words.count): tally.count,
            "sample": tally.sample.iter().map(user_json).collect::<Vec<_>>(),
            "more": tally.more,
        })
    }
}

impl FilterFlags {
    fn filter(&self) -> UnverifiedFilter {
        UnverifiedFilter {
            created_before: self.created_before,
            created_after: self.created_after,
            idle_since: self.idle_since,
            expired: self.expired,
            email_domain: self.email_domain.clone(),
            username_prefix: self.prefix.as_ref().map(|prefix| prefix.key().clone()),
            site: self.site.clone(),
            state: None,
            include_any_verified: false,
        }
    }
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let time: Option<Timestamp> = text.parse().ok();
    time.filter(|time| (policy::min_time()..=policy::max_time()).contains(time))
        .ok_or_else(|| "must be an instant such as 2026-01-31T00:00:00Z".to_owned())
}

fn parse_domain(text: &str) -> Result<EmailDomain, String> {
    EmailDomain::parse(text).map_err(|invalid| invalid.0)
}
