//! Sends the mails that wait: claim what is due, send, settle, sleep until rung or due.
//!
//! One task decides everything; what takes time (the database, the mail server) runs beside it as a job, and comes
//! back as its end. While outcomes are being recorded, further ones gather, and are recorded together.

mod attempt;
mod breaker;
mod domains;
mod hand;
mod log;
mod records;

use std::{mem, sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{
    task::{self, JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use self::{
    attempt::Verdict,
    breaker::{Allowance, Breaker},
    hand::{Hand, Wanted},
    log::{refuse, tell},
    records::Records,
};
use crate::{
    bell::MailBell,
    causes::Causes,
    domain::{
        Timestamp,
        delivery::{MailLease, RestingDomain, Settled, Settlement},
        mail::MailId,
    },
    metrics::{MailMetrics, MailOutcome},
    random,
    repository::{Claim, ClaimRequest, Repository, StorageError},
};

pub use attempt::Attempts;

/// How often a worker looks that nobody rings: for mails of other processes, and for those that are due again.
const POLL: Duration = Duration::from_secs(1);
/// How long a lease lives; it is renewed while its mail is in hand.
const LEASE: TimeDelta = TimeDelta::seconds(30);
/// How often leases are renewed.
const RENEWAL: Duration = Duration::from_secs(10);
/// How long a connection to a mail server that nobody uses is kept.
const KEEP_IDLE: Duration = Duration::from_secs(10);

/// The worker that empties the outbox.
#[derive(Clone)]
pub struct MailOutbox {
    /// Where mails wait.
    pub repository: Arc<dyn Repository>,
    /// How they are sent.
    pub attempts: Attempts,
    /// Rung when a mail was queued.
    pub mail_bell: Arc<MailBell>,
    /// How many mails are sent at the same time.
    pub places: usize,
    /// Told of everything.
    pub metrics: MailMetrics,
}

/// What ran beside the loop, and has ended.
enum Done {
    Claimed { asked: Instant, outcome: Result<Claim, StorageError>, limit: usize },
    Attempted { attempt: u32, age: Duration, settlement: Settlement, verdict: Verdict },
    Recorded,
    Renewed { asked: Instant, leases: Vec<MailLease>, outcome: Result<Vec<MailId>, StorageError> },
    Tidied,
}

/// The loop's state.
struct Loop {
    outbox: MailOutbox,
    jobs: JoinSet<Done>,
    hand: Hand,
    breaker: Breaker,
    records: Records,
    /// Whether something may be due that nobody has looked for.
    is_hungry: bool,
    /// Whether there is something in hand, or known, that was not when mails were last let go.
    has_new: bool,
    claiming: Option<task::Id>,
    renewing: Option<task::Id>,
    tidying: Option<task::Id>,
    /// When the mail server last took part in a mail.
    last_answer: Option<Instant>,
    /// Whether the last look failed: it is told once for each outage, not once a second.
    is_failing: bool,
}

impl MailOutbox {
    /// Sends until it is stopped. What is being sent by then is settled first; what only waits in hand is given back.
    pub async fn run(self, stop: CancellationToken) {
        let mut worker = Loop {
            hand: Hand::new(self.places),
            records: Records::new(Arc::clone(&self.repository), Arc::clone(&self.attempts.clock)),
            outbox: self,
            jobs: JoinSet::new(),
            breaker: Breaker::default(),
            is_hungry: true,
            has_new: false,
            claiming: None,
            renewing: None,
            tidying: None,
            last_answer: None,
            is_failing: false,
        };
        let (mut poll, mut renewal) = (interval(POLL), interval(RENEWAL));
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let bell = Arc::clone(&worker.outbox.mail_bell);
        while !stop.is_cancelled() {
            worker.begin();
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = worker.jobs.join_next_with_id() => worker.take(ended),
                () = bell.rung() => worker.is_hungry = true,
                _ = poll.tick() => worker.look(),
                _ = renewal.tick() => worker.renew(),
            }
        }
        worker.finish().await;
    }
}

impl Loop {
    /// Begins whatever can be begun.
    fn begin(&mut self) {
        let allowance = self.breaker.allowance(Instant::now());
        self.claim(allowance);
        self.send(allowance);
        self.records.begin(&mut self.jobs, || Done::Recorded);
    }

    /// Asks for more mails when there may be some, and when those in hand will soon be sent.
    fn claim(&mut self, allowance: Allowance) {
        if !self.is_hungry || self.claiming.is_some() {
            return;
        }
        let wanted = match allowance {
            Allowance::All => self.hand.wanted(Instant::now()),
            // The one that is to be tried must be in nobody's way.
            Allowance::One if self.hand.is_empty() => Some(Wanted { limit: 1, resting: Vec::new() }),
            Allowance::One | Allowance::None(_) => None,
        };
        let Some(Wanted { limit, resting }) = wanted else { return };
        self.is_hungry = false;
        let outbox = self.outbox.clone();
        let now = outbox.attempts.clock.now();
        let resting = resting.into_iter();
        let resting = resting.map(|(domain, rest)| RestingDomain { domain, until: now + self.jitter(rest) });
        let request = ClaimRequest {
            now,
            lease_expire_time: now + LEASE,
            claim_token: random::uuid_v4(&*outbox.attempts.random),
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            resting: resting.collect(),
        };
        let claiming = self.jobs.spawn(async move {
            let asked = Instant::now();
            Done::Claimed { asked, outcome: outbox.repository.claim_mails(&request).await, limit }
        });
        self.claiming = Some(claiming.id());
    }

    /// Sends mails in hand while there is room.
    fn send(&mut self, allowance: Allowance) {
        if matches!(allowance, Allowance::None(_)) {
            self.give_back_waiting();
            return;
        }
        while let Some(mail) = self.hand.next(Instant::now()) {
            let attempts = self.outbox.attempts.clone();
            let (lease, domain) = (mail.lease(), mail.domain().to_owned());
            let sending = self.jobs.spawn(async move {
                let (settlement, verdict) = attempts.attempt(&mail).await;
                let age = (attempts.clock.now() - mail.create_time).to_std().unwrap_or_default();
                Done::Attempted { attempt: mail.attempt, age, settlement, verdict }
            });
            self.hand.begun(sending.id(), lease, domain, Instant::now());
            self.outbox.metrics.sending.set(self.hand.sending());
        }
        if mem::take(&mut self.has_new) {
            for (lease, rest) in self.hand.drop_excess(Instant::now()) {
                self.give_back(lease, self.outbox.attempts.clock.now() + self.jitter(rest));
            }
        }
    }

    /// Takes in what a job has come to.
    fn take(&mut self, ended: Result<(task::Id, Done), JoinError>) {
        let (id, done) = match ended {
            Ok((id, done)) => (id, Some(done)),
            // A mail whose attempt panicked is sent again when its lease is over; the others must not notice.
            Err(panic) => {
                tracing::error!(error = %panic, "sending mails: a job failed");
                (panic.id(), None)
            }
        };
        for running in [&mut self.claiming, &mut self.renewing, &mut self.tidying] {
            running.take_if(|running| *running == id);
        }
        self.records.ended(id);
        let lease = self.hand.ended(id, Instant::now());
        self.outbox.metrics.sending.set(self.hand.sending());
        match done {
            Some(Done::Claimed { asked, outcome, limit }) => self.claimed(asked, outcome, limit),
            Some(Done::Attempted { attempt, age, settlement, verdict }) => {
                if let Some(lease) = lease {
                    tell(lease.id, attempt, &settlement);
                    if settlement == Settlement::Delivered {
                        self.outbox.metrics.count_delivery(age);
                    }
                    self.settle(lease, settlement);
                }
                self.judge(verdict);
            }
            Some(Done::Renewed { asked, leases, outcome }) => match outcome {
                Ok(renewed) => {
                    let lost = leases.into_iter().filter(|lease| !renewed.contains(&lease.id));
                    self.hand.renewed(asked, &lost.collect::<Vec<_>>());
                }
                Err(error) => tracing::warn!(error = %Causes(&error), "leases on mails can't be renewed"),
            },
            Some(Done::Recorded | Done::Tidied) | None => {}
        }
    }

    fn claimed(&mut self, asked: Instant, outcome: Result<Claim, StorageError>, limit: usize) {
        match outcome {
            Ok(claim) => {
                self.is_failing = false;
                // There may be more where these came from.
                self.is_hungry |= claim.mails.len() + claim.unfit.len() + claim.put_off >= limit;
                for mail in &claim.unfit {
                    if !self.take_over(mail.lease) {
                        self.settle(mail.lease, refuse(mail));
                    }
                }
                for mail in claim.mails {
                    if !self.take_over(mail.lease()) {
                        self.hand.add(mail, asked);
                    }
                }
                self.has_new = true;
            }
            Err(error) => {
                if !mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(error = %Causes(&error), "the outbox can't be read");
                }
            }
        }
    }

    /// Goes on under a new lease with a mail whose old one ran out while it was being sent, or before its outcome could be
    /// recorded. False if it is neither.
    fn take_over(&mut self, lease: MailLease) -> bool {
        if let Some(settlement) = self.records.find(lease.id) {
            let settlement = settlement.clone();
            self.records.add(Settled { lease, settlement });
            return true;
        }
        self.hand.take_over(lease)
    }

    /// Hears what an attempt says of the mail server.
    fn judge(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::NotAsked => {}
            Verdict::Answered => {
                self.last_answer = Some(Instant::now());
                self.hand.answered();
                self.is_hungry |= self.breaker.is_open();
                if self.breaker.answered() {
                    self.outbox.metrics.breaker_open.set(0);
                    self.hand.forget_places();
                    tracing::info!("the mail server answers again");
                }
            }
            // It serves others at this moment: it takes no more of them.
            Verdict::Failed if self.is_serving() => {
                if self.hand.shrink() {
                    tracing::debug!("the mail server takes fewer mails at the same time");
                }
            }
            Verdict::Failed => {
                let jitter = random::number(&*self.outbox.attempts.random);
                if self.breaker.failed(Instant::now(), jitter) {
                    self.outbox.metrics.breaker_open.set(1);
                    self.outbox.metrics.breaker_opened.inc();
                    tracing::error!(
                        "the mail server fails: no mail is sent until it answers, and none is lost"
                    );
                }
            }
        }
    }

    /// Whether the mail server is busy with other mails, and has answered one not longer ago than one may take.
    fn is_serving(&self) -> bool {
        let answered = self.last_answer.is_some_and(|answer| answer.elapsed() < self.outbox.attempts.timeout);
        answered && self.hand.sending() > 0 && !self.breaker.is_open()
    }

    /// What is done once in a while.
    fn look(&mut self) {
        self.is_hungry = true;
        self.hand.look(Instant::now());
        self.has_new = true;
        if self.tidying.is_none() {
            let sender = Arc::clone(&self.outbox.attempts.sender);
            let tidying = self.jobs.spawn(async move {
                sender.close_idle(KEEP_IDLE).await;
                Done::Tidied
            });
            self.tidying = Some(tidying.id());
        }
    }

    fn renew(&mut self) {
        let leases = self.hand.leases();
        if leases.is_empty() || self.renewing.is_some() {
            return;
        }
        let outbox = self.outbox.clone();
        let renewing = self.jobs.spawn(async move {
            let asked = Instant::now();
            let until = outbox.attempts.clock.now() + LEASE;
            let outcome = outbox.repository.renew_mail_leases(&leases, until).await;
            Done::Renewed { asked, leases, outcome }
        });
        self.renewing = Some(renewing.id());
    }

    /// Between half of a time and all of it.
    fn jitter(&self, time: Duration) -> TimeDelta {
        let half = TimeDelta::from_std(time / 2).unwrap_or(TimeDelta::MAX);
        let jitter =
            random::number(&*self.outbox.attempts.random) % half.num_milliseconds().unsigned_abs().max(1);
        half + TimeDelta::milliseconds(i64::try_from(jitter).unwrap_or(0))
    }

    /// Lets go of what is not being sent; it is due again at once.
    fn give_back_waiting(&mut self) {
        let now = self.outbox.attempts.clock.now();
        for mail in self.hand.drop_waiting() {
            self.give_back(mail.lease(), now);
        }
    }

    fn give_back(&mut self, lease: MailLease, next_attempt_time: Timestamp) {
        self.settle(lease, Settlement::Returned { next_attempt_time, error: None });
    }

    fn settle(&mut self, lease: MailLease, settlement: Settlement) {
        let metrics = &self.outbox.metrics;
        match &settlement {
            // Counted with its age.
            Settlement::Delivered => {}
            Settlement::Retry { .. } => metrics.count(MailOutcome::retried),
            Settlement::Returned { .. } => metrics.count(MailOutcome::returned),
            Settlement::Discarded { .. } => metrics.count(MailOutcome::discarded),
            Settlement::Withdrawn => metrics.count(MailOutcome::withdrawn),
        }
        self.records.add(Settled { lease, settlement });
    }

    /// Waits for what is being sent, and records it and all else.
    async fn finish(mut self) {
        let mut renewal = interval(RENEWAL);
        loop {
            // Also what a claim brings that was on its way.
            self.give_back_waiting();
            self.records.begin(&mut self.jobs, || Done::Recorded);
            tokio::select! {
                ended = self.jobs.join_next_with_id() => match ended {
                    Some(ended) => self.take(ended),
                    None => break,
                },
                _ = renewal.tick() => self.renew(),
            }
        }
        self.outbox.attempts.sender.close_idle(Duration::ZERO).await;
    }
}
