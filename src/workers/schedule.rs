//! Does work from time to time that one of several servers does at a time: purging, and reminding by the ladder.
//!
//! The lease only spares the others the same work: each act is safe however many do it at once, so that a server which
//! outlives its lease does no harm.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    causes::Causes,
    domain::{
        Timestamp,
        lease::Work,
        policy,
        unverified::{CallLimit, Tally},
    },
    operations::{ClockError, LadderError, PurgeExpired, PurgeExpiredError, Vestibule},
    random,
    repository::{LeaseRequest, Leased, StorageError},
};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long a lease lives, and …
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// … how long a step may take that it is renewed for.
const STEP: Duration = Duration::from_secs(20);
/// How many users one step is for, so that a stop comes soon.
const STEP_LIMIT: i32 = 1000;
/// How long work is put off that can't be done, or that somebody else is at.
const RETRY: TimeDelta = TimeDelta::seconds(60);

/// Work that comes up again and again.
#[derive(Clone)]
pub struct Schedule {
    /// What does it.
    pub vestibule: Arc<Vestibule>,
    /// Which work.
    pub work: Work,
    /// How long after one run the next begins, whichever server did it.
    pub interval: TimeDelta,
}

/// Why a run was put off.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Clock(#[from] ClockError),
    #[error(transparent)]
    Purge(#[from] PurgeExpiredError),
    #[error(transparent)]
    Remind(#[from] LadderError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Schedule {
    /// Works until it is stopped; what has been begun by then is finished first.
    pub async fn run(self, stop: CancellationToken) {
        let mut due = policy::min_time();
        while !stop.is_cancelled() {
            let now = self.vestibule.clock.now();
            // A clock that was set back must not put the work off for as long.
            if now >= due || due - now > self.interval {
                due = self.run_if_due(now, &stop).await.unwrap_or_else(|error| {
                    let work = self.work.as_str();
                    tracing::warn!(work, error = %Causes(&error), "scheduled work is put off");
                    later(now, RETRY.min(self.interval))
                });
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(TICK) => {}
            }
        }
    }

    /// Does the work if it is due and nobody else is at it, and says when to look again.
    async fn run_if_due(&self, now: Timestamp, stop: &CancellationToken) -> Result<Timestamp, RunError> {
        // A wrong clock must not take a lease that lives for ever, nor remember a run in the future (X22).
        self.vestibule.check_clock(now).await?;
        let holder = random::uuid_v4(&*self.vestibule.random);
        match self.take_lease(holder, now).await? {
            Leased::Taken => {}
            Leased::Held => return Ok(later(now, RETRY.min(self.interval))),
            Leased::Done { run_time } => return Ok(later(run_time, self.interval)),
        }
        let outcome = self.work(holder, stop).await;
        let done = matches!(outcome, Ok(true));
        self.vestibule.repository.release_lease(self.work, holder, done.then_some(now)).await?;
        outcome.map(|_| later(now, self.interval))
    }

    /// Works step by step; true once nobody is left.
    async fn work(&self, holder: Uuid, stop: &CancellationToken) -> Result<bool, RunError> {
        let mut count = 0;
        let ended = loop {
            let tally = self.step().await?;
            self.vestibule.events_appended.notify_one();
            count += tally.count;
            // A step that did nothing left only users whom somebody holds; the next run takes them.
            if !tally.more || tally.count == 0 {
                break true;
            }
            if stop.is_cancelled()
                || self.take_lease(holder, self.vestibule.clock.now()).await? != Leased::Taken
            {
                break false;
            }
        };
        if count > 0 {
            tracing::info!(work = self.work.as_str(), count, "scheduled work is done");
        }
        Ok(ended)
    }

    async fn step(&self) -> Result<Tally, RunError> {
        let limit = CallLimit::parse(STEP_LIMIT).unwrap_or_default();
        let deadline = Some(Instant::now() + STEP);
        Ok(match self.work {
            Work::Purge => {
                let request = PurgeExpired { limit, deadline, ..PurgeExpired::default() };
                self.vestibule.purge_expired(request).await?
            }
            Work::Reminders => self.vestibule.remind_by_ladder(limit, deadline).await?,
        })
    }

    async fn take_lease(&self, holder: Uuid, now: Timestamp) -> Result<Leased, StorageError> {
        let request = LeaseRequest {
            work: self.work,
            holder,
            now,
            expire_time: later(now, LEASE),
            due_since: now.checked_sub_signed(self.interval).unwrap_or_else(policy::min_time),
        };
        self.vestibule.repository.take_lease(&request).await
    }
}

fn later(time: Timestamp, span: TimeDelta) -> Timestamp {
    time.checked_add_signed(span).unwrap_or_else(policy::max_time)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::{
        clock::{Clock as _, ManualClock},
        config::Settings,
        domain::{email_address::EmailAddress, username::Username},
        operations::CreateInactiveUser,
        random::SystemRandom,
        server::{Outside, open_repository, vestibule},
    };

    /// Two servers on one database and by one clock, each with a schedule that is due once an hour.
    struct Servers {
        clock: Arc<ManualClock>,
        schedules: [Schedule; 2],
        _folder: TempDir,
    }

    impl Servers {
        async fn start(work: Work) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let config = folder.path().join("config.toml");
            let url = format!("sqlite:{}", folder.path().join("vestibule.db").display());
            std::fs::write(&config, format!("database.url = '{url}'\nreminders.days = [3, 6]")).unwrap();
            let settings = Settings::load(&[config], &[]).unwrap();
            let clock = Arc::new(ManualClock::new(Timestamp::from_timestamp(1_800_000_000, 0).unwrap()));
            let outside = Outside { clock: clock.clone(), random: Arc::new(SystemRandom), sender: None };
            let mut schedules = Vec::new();
            for _ in 0..2 {
                let repository = open_repository(&settings).await.unwrap();
                let vestibule = Arc::new(vestibule(&settings, repository, &outside).unwrap());
                schedules.push(Schedule { vestibule, work, interval: TimeDelta::hours(1) });
            }
            Self { clock, schedules: schedules.try_into().ok().unwrap(), _folder: folder }
        }

        async fn register(&self, name: &str) {
            let registration = CreateInactiveUser {
                username: Username::parse(name).unwrap(),
                email: EmailAddress::parse("somebody@example.com").unwrap(),
                password: None,
                send_email: true,
                site: None,
                locale: None,
                call: crate::domain::request::Call::default(),
            };
            self.schedules[0].vestibule.create_inactive_user(registration).await.unwrap();
        }

        async fn look(&self, server: usize) -> Result<Timestamp, RunError> {
            self.schedules[server].run_if_due(self.clock.now(), &CancellationToken::new()).await
        }

        async fn users(&self) -> u64 {
            let repository = &self.schedules[0].vestibule.repository;
            repository
                .count_unverified(&crate::domain::unverified::UnverifiedFilter::default(), self.clock.now())
                .await
                .unwrap()
        }
    }

    #[tokio::test]
    async fn r15_several_servers_together_purge_once_an_interval() {
        let servers = Servers::start(Work::Purge).await;
        servers.register("alice").await;
        servers.clock.advance(TimeDelta::days(7));
        let run_time = servers.clock.now();
        assert_eq!(servers.look(0).await.unwrap(), run_time + TimeDelta::hours(1));
        assert_eq!(servers.users().await, 0);
        servers.clock.advance(TimeDelta::minutes(59));
        for server in [0, 1] {
            assert_eq!(servers.look(server).await.unwrap(), run_time + TimeDelta::hours(1));
        }
        servers.clock.advance(TimeDelta::minutes(1));
        assert_eq!(servers.look(1).await.unwrap(), run_time + TimeDelta::hours(2));
        assert_eq!(servers.look(0).await.unwrap(), run_time + TimeDelta::hours(2));
    }

    #[tokio::test]
    async fn a_crashed_servers_lease_runs_out_and_another_does_the_work() {
        let servers = Servers::start(Work::Purge).await;
        servers.register("alice").await;
        servers.clock.advance(TimeDelta::days(7));
        let now = servers.clock.now();
        let crashed = Uuid::from_u128(1);
        assert_eq!(servers.schedules[0].take_lease(crashed, now).await.unwrap(), Leased::Taken);
        assert_eq!(servers.look(1).await.unwrap(), now + RETRY);
        assert_eq!(servers.users().await, 1);
        servers.clock.advance(LEASE);
        servers.look(1).await.unwrap();
        assert_eq!(servers.users().await, 0);
    }

    #[tokio::test]
    async fn x22_a_clock_that_jumped_purges_nobody_by_itself_and_leaves_no_lease() {
        let servers = Servers::start(Work::Purge).await;
        servers.register("alice").await;
        servers.clock.go_wrong(TimeDelta::days(30));
        assert!(matches!(servers.look(0).await, Err(RunError::Clock(_))));
        assert_eq!(servers.users().await, 1);
        servers.clock.go_wrong(TimeDelta::days(-30));
        servers.clock.advance(TimeDelta::days(7));
        servers.look(1).await.unwrap();
        assert_eq!(servers.users().await, 0);
    }

    #[tokio::test]
    async fn u6_each_rung_reminds_once_whichever_server_looks() {
        let servers = Servers::start(Work::Reminders).await;
        servers.register("alice").await;
        let mut reminded = Vec::new();
        for _ in 0..7 {
            servers.clock.advance(TimeDelta::days(1));
            let mut count = 0;
            for schedule in &servers.schedules {
                count += schedule.step().await.unwrap().count;
            }
            reminded.push(count);
        }
        assert_eq!(reminded, [0, 0, 1, 0, 0, 1, 0]);
        servers.clock.go_wrong(TimeDelta::days(-4));
        assert!(matches!(servers.schedules[0].step().await, Err(RunError::Remind(LadderError::Clock(_)))));
    }
}
