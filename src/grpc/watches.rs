//! The streams of WatchEvents: how many there may be, what each waits for, and how it ends.
//!
//! A task reads for each, and a short queue leads from it to the reader. Whatever ends a watch ends it at once: what
//! waits in the queue is dropped, and the reader goes on from the last position that it got.

use std::{
    convert::Infallible,
    future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    calls::Calls,
    convert,
    front::within_request,
    proto::{Event, WatchEventsResponse},
    status,
};
use crate::{
    domain::event_log::Position,
    operations::{EventPage, EventWatch},
};

/// How many messages wait for a reader.
const QUEUE: usize = 64;
/// How many watches read at the same time: all wake at once, and must leave the database's connections to calls.
const READING: usize = 2;

/// The watches of one server.
#[derive(Debug, Clone)]
pub struct Watches {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    heartbeat: Duration,
    patience: Duration,
    draining: CancellationToken,
}

/// Why a watch is over.
#[derive(Debug)]
enum End {
    /// The server shuts down.
    Draining,
    /// The caller's deadline has passed.
    Deadline,
    /// The reader took nothing for too long.
    Slow,
    /// There is no reader any more.
    Gone,
    /// The log can't be read any further.
    Failed(Box<Status>),
}

impl Watches {
    /// At most `max` at once. One that has nothing to tell sends its position every `heartbeat`; one whose reader takes
    /// nothing for `patience` is cut off; all end when `draining` is cancelled.
    pub fn new(max: usize, heartbeat: Duration, patience: Duration, draining: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        let turns = Arc::new(Semaphore::new(READING));
        Self { places, turns, heartbeat, patience, draining }
    }

    /// A place for one more watch.
    pub fn take_place(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| status::too_many_watches())
    }

    /// Streams what `watch` reads, for at most as long as the caller listens.
    pub fn follow(
        &self,
        calls: &Calls,
        place: OwnedSemaphorePermit,
        watch: EventWatch,
        until: Option<Instant>,
    ) -> WatchStream {
        let (messages, queue) = mpsc::channel(QUEUE);
        let (tell_end, ended) = oneshot::channel();
        let position = watch.position().to_string();
        let outlet = Outlet { messages, patience: self.patience, draining: self.draining.clone(), until };
        let source = Source { calls: calls.clone(), turns: Arc::clone(&self.turns) };
        let heartbeat = self.heartbeat;
        calls.spawn(within_request(async move {
            let Err(end) = feed(&outlet, watch, &source, heartbeat).await;
            tracing::info!(end = end.name(), "a watch ended");
            // Nobody may be there to hear it.
            let _ = tell_end.send(end);
            drop(place);
        }));
        WatchStream { open: Some((queue, ended)), position }
    }
}

/// Reads for one watch until something ends it.
async fn feed(
    outlet: &Outlet,
    mut watch: EventWatch,
    source: &Source,
    heartbeat: Duration,
) -> Result<Infallible, End> {
    outlet.put(message(&watch, None)).await?;
    loop {
        tokio::select! {
            end = outlet.end() => return Err(end),
            () = watch.wait() => {}
            () = sleep(heartbeat) => {
                outlet.put(message(&watch, None)).await?;
                continue;
            }
        }
        let position = watch.position();
        let page = tokio::select! {
            end = outlet.end() => return Err(end),
            page = source.read(position) => page.map_err(|status| End::Failed(Box::new(status)))?,
        };
        for event in &page.events {
            outlet.put(message(&watch, Some(convert::event(position.log, event)))).await?;
        }
        watch.advance(&page);
    }
}

fn message(watch: &EventWatch, event: Option<Event>) -> WatchEventsResponse {
    let position =
        event.as_ref().map_or_else(|| watch.position().to_string(), |event| event.position.clone());
    WatchEventsResponse { position, event }
}

/// Where watches read.
struct Source {
    calls: Calls,
    turns: Arc<Semaphore>,
}

impl Source {
    /// What follows a position, when it is this watch's turn.
    async fn read(&self, position: Position) -> Result<EventPage, Status> {
        let _turn = self.turns.acquire().await.map_err(|closed| status::internal(&closed))?;
        // Run to its end, as every call's work is, also when nobody waits for it any more.
        let page = self.calls.read(None, |vestibule| async move { vestibule.follow_events(position).await });
        page.await?.map_err(status::list_events)
    }
}

/// The way to one reader.
struct Outlet {
    messages: mpsc::Sender<WatchEventsResponse>,
    patience: Duration,
    draining: CancellationToken,
    until: Option<Instant>,
}

impl Outlet {
    /// Queues a message once there is room.
    async fn put(&self, message: WatchEventsResponse) -> Result<(), End> {
        let message = match self.messages.try_send(message) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(message) | TrySendError::Closed(message)) => message,
        };
        tokio::select! {
            end = self.end() => Err(end),
            sent = timeout(self.patience, self.messages.send(message)) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(End::Gone),
                Err(_) => Err(End::Slow),
            },
        }
    }

    /// What ends a watch from outside.
    async fn end(&self) -> End {
        let deadline = async {
            match self.until {
                Some(until) => sleep_until(until).await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            () = self.draining.cancelled() => End::Draining,
            () = deadline => End::Deadline,
            () = self.messages.closed() => End::Gone,
        }
    }
}

impl End {
    /// For the log.
    fn name(&self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Deadline => "deadline",
            Self::Slow => "slow reader",
            Self::Gone => "reader gone",
            Self::Failed(_) => "failed",
        }
    }
}

/// What a reader of WatchEvents gets.
#[derive(Debug)]
pub struct WatchStream {
    open: Option<(mpsc::Receiver<WatchEventsResponse>, oneshot::Receiver<End>)>,
    /// The last that was taken.
    position: String,
}

impl Stream for WatchStream {
    type Item = Result<WatchEventsResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some((queue, ended)) = &mut self.open else { return Poll::Ready(None) };
        if let Poll::Ready(end) = Pin::new(ended).poll(context) {
            self.open = None;
            return Poll::Ready(Some(Err(match end {
                Ok(End::Draining) => status::draining(),
                Ok(End::Deadline) => status::deadline_exceeded(),
                Ok(End::Slow) => status::slow_reader(self.position.clone()),
                Ok(End::Failed(status)) => *status,
                Ok(End::Gone) => return Poll::Ready(None),
                Err(panicked) => status::internal(&panicked),
            })));
        }
        match ready!(queue.poll_recv(context)) {
            Some(message) => {
                self.position.clone_from(&message.position);
                Poll::Ready(Some(Ok(message)))
            }
            // The task is about to tell why it is over.
            None => Poll::Pending,
        }
    }
}
