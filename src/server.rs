//! The composition root: builds everything out of the settings, serves, and drains.

mod dkim;
mod http1;
mod incoming;
mod mails;
mod ops;
mod page;
mod settings;
mod sites;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport};

use self::incoming::{Cuts, Incoming, Patience};
use crate::{
    causes::Causes,
    clock::{Clock, SystemClock},
    config::Settings,
    grpc::{self, Calls, Health, Watches, front::FrontDoor},
    mail::MailSender,
    metrics::Metrics,
    ops::Told,
    random::{Random, SystemRandom},
    repository::Repository,
    workers::{
        Workers,
        event_sequencer::EventSequencer,
        mail_bell,
        mail_outbox::{Attempts, MailOutbox},
        sweeper::Sweeper,
    },
};

pub use mails::{Preview, PreviewedMail, check_templates, preview_mail};
pub use settings::{open_existing_repository, open_repository, vestibule};

/// How often the database is asked whether it is there.
const READINESS_INTERVAL: Duration = Duration::from_secs(1);
/// How many calls one connection may have open at once.
const MAX_CONCURRENT_STREAMS: u32 = 200;
/// How long the headers of a call may be, names and values together, in bytes.
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;
/// How long a frame may be, in bytes: the least that HTTP/2 allows to ask for.
const MAX_FRAME_BYTES: u32 = 16 * 1024;
/// How much of its requests a peer may send ahead of their being read, in bytes: of a call and …
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// … of all calls of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// How many calls that it has taken back a peer may have waiting; with more it is hung up on.
const MAX_PENDING_RESETS: usize = 20;
/// How many calls a peer may have ended by breaking the protocol; with more it is hung up on. Without a number
/// of ours there would be no limit.
const MAX_ERROR_RESETS: usize = 100;
/// How long the peer of an HTTP/2 connection may be silent: a ping after, and the answer within.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long a peer may keep a connection waiting.
const PATIENCE: Patience = Patience { preface: Duration::from_secs(10), write: Duration::from_secs(30) };
/// How long the last answers of a drain have to get out before every connection is cut.
const LAST_ANSWERS: Duration = Duration::from_millis(500);
/// How long a stop may go on after the drain's time is over.
const CLOSING: Duration = Duration::from_millis(500);

/// What stands outside the settings: time, chance, and for `dev` and tests a sender of their own.
#[derive(Clone)]
pub struct Outside {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Replaces the settings' sender.
    pub sender: Option<Arc<dyn MailSender>>,
}

/// A server that is running.
#[derive(Debug)]
pub struct Server {
    /// Where it listens; the port that was taken if the settings say 0.
    pub address: SocketAddr,
    /// Where the activation page is, if it is on.
    pub page: Option<SocketAddr>,
    /// Where the operator's port is, if it is on.
    pub ops: Option<SocketAddr>,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

/// What a drain has to bring to an end.
struct Running {
    serving: JoinHandle<Result<(), transport::Error>>,
    calls: Calls,
    workers: Workers,
    health: Health,
    repository: Arc<dyn Repository>,
    cuts: Cuts,
}

impl Default for Outside {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock::default()), random: Arc::new(SystemRandom), sender: None }
    }
}

impl Server {
    /// Builds everything and starts to listen. Health says `NOT_SERVING` until the database answers.
    pub async fn start(settings: &Settings, outside: Outside) -> anyhow::Result<Self> {
        let page = page::listen(settings).await?;
        Self::start_with_page(settings, outside, page).await
    }

    /// The same, with the activation page, if there is to be one, on a port that is open already.
    pub async fn start_with_page(
        settings: &Settings,
        outside: Outside,
        page: Option<TcpListener>,
    ) -> anyhow::Result<Self> {
        let repository = open_repository(settings).await?;
        let vestibule = Arc::new(vestibule(settings, repository, &outside)?);
        let sender = match &outside.sender {
            Some(sender) => Arc::clone(sender),
            None => settings::mail_sender(settings, &vestibule.sites)?,
        };
        let metrics = Arc::new(Metrics::default());
        let outbox = MailOutbox {
            repository: Arc::clone(&vestibule.repository),
            attempts: Attempts {
                sender,
                keyring: Arc::clone(&vestibule.keyring),
                clock: Arc::clone(&vestibule.clock),
                clock_guard: Arc::clone(&vestibule.clock_guard),
                random: Arc::clone(&vestibule.random),
                timeout: Duration::from_secs(settings.mail.timeout_seconds),
            },
            mail_bell: Arc::clone(&vestibule.mail_bell),
            places: usize::try_from(settings.mail.concurrency).unwrap_or(usize::MAX),
            metrics: metrics.mail.clone(),
        };
        let health = Health::new().await;
        let calls = Calls::new(Arc::clone(&vestibule));
        let stop = CancellationToken::new();
        let door = FrontDoor::new(
            settings::anonymous(settings),
            Duration::from_secs(settings.grpc.call_seconds),
            stop.clone(),
            Arc::clone(&outside.random),
        );
        let routes = grpc::routes(&calls, watches(settings, stop.clone()), &health)?;
        let listener = TcpListener::bind(settings.grpc.listen)
            .await
            .with_context(|| format!("can't listen on {}", settings.grpc.listen))?;
        let address = listener.local_addr()?;
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
        let cuts = Cuts { unopened: stop.clone(), all: CancellationToken::new() };
        let page = page.map(|page| page::open(settings, calls.work(), page, cuts.clone())).transpose()?;
        let page_address = page.as_ref().map(|page| page.address);
        let ops = ops::open(settings, Told { metrics, serving: health.watch() }, cuts.clone()).await?;
        let ops_address = ops.as_ref().map(|ops| ops.address);
        let workers = Workers::default();
        workers.spawn("mail_outbox", move |stop| outbox.clone().run(stop));
        let (told, bell) = (Arc::clone(&vestibule.repository), Arc::clone(&vestibule.mail_bell));
        workers
            .spawn("mail_bell", move |stop| mail_bell::pass_on(Arc::clone(&told), Arc::clone(&bell), stop));
        let (heard, bell) = (Arc::clone(&vestibule.repository), Arc::clone(&vestibule.mail_bell));
        workers.spawn("mail_bell_of_others", move |stop| {
            mail_bell::listen(Arc::clone(&heard), Arc::clone(&bell), stop)
        });
        let sequencer = EventSequencer {
            repository: Arc::clone(&vestibule.repository),
            appended: Arc::clone(&vestibule.events_appended),
            numbered: vestibule.events_numbered.clone(),
        };
        workers.spawn("event_sequencer", move |stop| sequencer.clone().run(stop));
        if let Some(trimmer) = settings::event_trimmer(settings, &vestibule) {
            workers.spawn("event_trimmer", move |stop| trimmer.clone().run(stop));
        }
        let sweeper = Sweeper {
            repository: Arc::clone(&vestibule.repository),
            clock: Arc::clone(&vestibule.clock),
            clock_guard: Arc::clone(&vestibule.clock_guard),
        };
        workers.spawn("sweeper", move |stop| sweeper.clone().run(stop));
        let (watched, reported) = (Arc::clone(&vestibule.repository), health.clone());
        // Until the drain begins, not until it ends: a server that drains must not call itself serving.
        let draining = stop.clone();
        workers.spawn("readiness", move |_| {
            watch_readiness(Arc::clone(&watched), reported.clone(), draining.clone())
        });
        settings::spawn_schedules(settings, &vestibule, &workers);
        let incoming = Incoming::new(listener, settings::max_connections(settings), PATIENCE, cuts.clone());
        let serving = serve(door, routes, incoming, stop.clone());
        let ended = stop.clone();
        let serving = async move {
            let serving = async {
                let served = serving.await;
                // The other ports do not outlive what they belong to.
                ended.cancel();
                served
            };
            tokio::join!(serving, http1::serve(page, ended.clone()), http1::serve(ops, ended.clone())).0
        };
        let repository = Arc::clone(&vestibule.repository);
        let drain = Duration::from_secs(settings.grpc.drain_seconds);
        let stopped = stop.clone();
        #[expect(clippy::disallowed_methods, reason = "tracked: Server waits for it")]
        let task = tokio::spawn(async move {
            let mut serving = tokio::spawn(serving);
            tokio::select! {
                // Being stopped comes first: a server without connections ends at once when it is, and
                // what runs beside it must be waited for all the same.
                biased;
                () = stopped.cancelled() => {}
                ended = &mut serving => return Ok(ended??),
            }
            Running { serving, calls, workers, health, repository, cuts }.drain(drain).await
        });
        Ok(Self { address, page: page_address, ops: ops_address, stop, task })
    }

    /// Drains, and returns when the server has stopped.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await?
    }

    /// Serves until `signal`, then drains; an error if the server stopped by itself.
    pub async fn run_until(mut self, signal: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::select! {
            ended = &mut self.task => return ended?,
            () = signal => {}
        }
        self.stop().await
    }
}

impl Running {
    /// Lets the calls and the mails come to their end for `span`, and then ends everything, whatever a peer does.
    async fn drain(mut self, span: Duration) -> anyhow::Result<()> {
        tracing::info!(seconds = span.as_secs(), "draining");
        let deadline = Instant::now() + span;
        let end = deadline + CLOSING;
        self.health.set_serving(false).await;
        // At the same time: a call that takes long must not have the worker begin mails meanwhile.
        let work = async { tokio::join!(self.calls.wait(), self.workers.stop()) };
        let finished = timeout_at(deadline, work).await.is_ok();
        if !finished {
            tracing::warn!("the drain's time is over; what was left is cut off");
            self.cuts.all.cancel();
        }
        // A connection ends by itself with the last of its calls, unless its peer watches or says nothing.
        let answered = end.min(Instant::now() + LAST_ANSWERS);
        let mut ended = timeout_at(answered, &mut self.serving).await;
        if ended.is_err() {
            self.cuts.all.cancel();
            ended = timeout_at(end, &mut self.serving).await;
        }
        if let Ok(ended) = ended {
            ended??;
        }
        if finished {
            // Whoever was let in before the drain may have begun after its calls were waited for.
            let closed = async {
                self.calls.wait().await;
                self.repository.close().await;
            };
            let _ = timeout_at(end, closed).await;
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Serves what comes in until `stop`, and then until its connections have ended.
fn serve(
    door: FrontDoor,
    routes: Routes,
    incoming: Incoming,
    stop: CancellationToken,
) -> impl Future<Output = Result<(), transport::Error>> {
    transport::Server::builder()
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .http2_max_header_list_size(MAX_HEADER_LIST_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(MAX_ERROR_RESETS))
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .layer(door)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
}

/// How many watches of events there may be, and how they go on.
fn watches(settings: &Settings, draining: CancellationToken) -> Watches {
    let events = &settings.events;
    Watches::new(
        usize::try_from(events.max_watches).unwrap_or(usize::MAX),
        Duration::from_secs(events.heartbeat_seconds),
        Duration::from_secs(events.reader_seconds),
        draining,
    )
}

/// Tells health what the database says, until the server stops.
async fn watch_readiness(repository: Arc<dyn Repository>, health: Health, stop: CancellationToken) {
    let mut was_ready = None;
    loop {
        let (ready, reason) = match repository.is_ready().await {
            Ok(true) => (true, String::new()),
            Ok(false) => (false, "the schema is not up to date; run: vestibule migrate".to_owned()),
            Err(error) => (false, Causes(&error).to_string()),
        };
        if stop.is_cancelled() {
            return;
        }
        if was_ready.replace(ready) != Some(ready) {
            health.set_serving(ready).await;
            if ready {
                tracing::info!("serving");
            } else {
                tracing::warn!(reason, "not serving");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(READINESS_INTERVAL) => {}
        }
    }
}
