//! The connections: accepts them, as many as there are places, and cuts those that only stand in the way.
//!
//! The framework's own loop spins while the process has no file left, takes whatever comes, and waits for ever
//! for a peer that connects and says nothing, or that never reads its answers.

use std::{
    convert::Infallible,
    io::{self, IoSlice},
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// How long to wait before trying again what the machine has no means for.
const ACCEPT_DELAY: Duration = Duration::from_millis(100);
/// How long something has to be well before the next time is worth another line in the log.
const CALM: Duration = Duration::from_mins(1);
/// How long the preface is that every HTTP/2 connection begins with, in bytes. Of HTTP/1.1, no request that has a Host
/// is shorter.
const PREFACE: usize = 24;

/// How long a peer may keep a connection waiting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// From being accepted until so much is there as the preface of HTTP/2 has.
    pub preface: Duration,
    /// Without taking a byte of what is written to it.
    pub write: Duration,
}

/// What ends connections from this side.
#[derive(Debug, Clone, Default)]
pub(super) struct Cuts {
    /// Those that have not begun to speak: nothing of theirs is under way.
    pub unopened: CancellationToken,
    /// All.
    pub all: CancellationToken,
}

/// The connections, one after the other.
pub(super) struct Incoming {
    listener: Arc<Listener>,
    accepting: Option<Pin<Box<dyn Future<Output = Connection> + Send>>>,
}

struct Listener {
    tcp: TcpListener,
    max_connections: usize,
    places: Arc<Semaphore>,
    patience: Patience,
    cuts: Cuts,
    crowded: Trouble,
    failing: Trouble,
}

/// A connection, which keeps its place until it is dropped.
pub(super) struct Connection {
    tcp: TcpStream,
    opening: Option<Opening>,
    stalled: Option<Pin<Box<Sleep>>>,
    patience: Patience,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: Option<OwnedSemaphorePermit>,
}

/// What holds until the preface is there.
struct Opening {
    missing: usize,
    deadline: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// Something that goes wrong over and over, and is told of once.
#[derive(Default)]
struct Trouble {
    last: Mutex<Option<Instant>>,
}

impl Incoming {
    /// Accepts what comes to `tcp`, at most `max_connections` at once.
    pub fn new(tcp: TcpListener, max_connections: usize, patience: Patience, cuts: Cuts) -> Self {
        let max_connections = max_connections.min(Semaphore::MAX_PERMITS);
        let listener = Listener {
            tcp,
            max_connections,
            places: Arc::new(Semaphore::new(max_connections)),
            patience,
            cuts,
            crowded: Trouble::default(),
            failing: Trouble::default(),
        };
        Self { listener: Arc::new(listener), accepting: None }
    }
}

impl Stream for Incoming {
    type Item = Result<Connection, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let listener = Arc::clone(&self.listener);
        let accepting =
            self.accepting.get_or_insert_with(|| Box::pin(async move { listener.accept().await }));
        let connection = ready!(accepting.as_mut().poll(context));
        self.accepting = None;
        Poll::Ready(Some(Ok(connection)))
    }
}

impl Listener {
    async fn accept(&self) -> Connection {
        if self.places.available_permits() == 0 && self.crowded.is_news() {
            tracing::warn!(max_connections = self.max_connections, "every connection is taken");
        }
        // Whoever comes now waits in the kernel's queue, which costs neither a file nor a turn.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match self.tcp.accept().await {
                Ok((tcp, _)) => return Connection::new(tcp, place, self.patience, &self.cuts),
                Err(error) if is_of_the_peer(&error) => {}
                // EMFILE, ENFILE, ENOBUFS, ENOMEM: the peer still waits, so that the next try fails at once, too.
                Err(error) => {
                    if self.failing.is_news() {
                        tracing::warn!(%error, "connections can't be accepted");
                    }
                    sleep(ACCEPT_DELAY).await;
                }
            }
        }
    }
}

/// Whether a peer has gone before it was accepted, which says nothing of the next one.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    [ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted].contains(&error.kind())
}

impl Trouble {
    /// Whether it had been well for a while.
    fn is_news(&self) -> bool {
        let now = Instant::now();
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        last.is_none_or(|last| now - last > CALM)
    }
}

impl Connection {
    fn new(tcp: TcpStream, place: Option<OwnedSemaphorePermit>, patience: Patience, cuts: &Cuts) -> Self {
        // Fails for a peer that is gone already, which the first read tells.
        let _ = tcp.set_nodelay(true);
        let opening = Opening {
            missing: PREFACE,
            deadline: Box::pin(sleep(patience.preface)),
            cut: Box::pin(cuts.unopened.clone().cancelled_owned()),
        };
        Self {
            tcp,
            opening: Some(opening),
            stalled: None,
            patience,
            cut: Box::pin(cuts.all.clone().cancelled_owned()),
            _place: place,
        }
    }

    /// Whom it leads to, unless that is gone.
    pub fn peer(&self) -> Option<IpAddr> {
        self.tcp.peer_addr().ok().map(|peer| peer.ip())
    }

    fn poll_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    /// Writes, unless the peer has not taken a byte for too long: it would hold its place and its answers for ever,
    /// and no ping can tell, since none gets through.
    fn poll_writing(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(context)?;
        if let Poll::Ready(written) = write(Pin::new(&mut self.tcp), context) {
            self.stalled = None;
            return Poll::Ready(written);
        }
        let patience = self.patience.write;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Opening {
    fn poll_over(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.deadline.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if self.cut.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_cut(context)?;
        if let Some(opening) = &mut self.opening {
            opening.poll_over(context)?;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(context, buffer))?;
        if let Some(opening) = &mut self.opening {
            opening.missing = opening.missing.saturating_sub(buffer.filled().len() - before);
        }
        self.opening.take_if(|opening| opening.missing == 0);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(context, |tcp, context| tcp.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(context, |tcp, context| tcp.poll_write_vectored(context, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.tcp.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::timeout,
    };
    use tokio_stream::StreamExt as _;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);
    const SHORT: Duration = Duration::from_millis(50);

    /// A peer and the connection to it.
    async fn accept(patience: Patience, cuts: &Cuts) -> (TcpStream, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut incoming = Incoming::new(listener, 1, patience, cuts.clone());
        let Ok(connection) = incoming.next().await.unwrap();
        (peer, connection)
    }

    async fn open(peer: &mut TcpStream, connection: &mut Connection) {
        peer.write_all(&[0; PREFACE]).await.unwrap();
        connection.read_exact(&mut [0; PREFACE]).await.unwrap();
    }

    async fn end_of<T: std::fmt::Debug>(talk: impl Future<Output = io::Result<T>>) -> io::ErrorKind {
        timeout(LONG, talk).await.unwrap().unwrap_err().kind()
    }

    #[tokio::test]
    async fn a_peer_has_its_time_for_the_preface_and_no_more() {
        let patience = Patience { preface: SHORT, write: LONG };
        let (mut peer, mut connection) = accept(patience, &Cuts::default()).await;
        peer.write_all(&[0; PREFACE - 1]).await.unwrap();
        assert_eq!(end_of(connection.read_exact(&mut [0; PREFACE])).await, io::ErrorKind::TimedOut);
        let (mut peer, mut connection) = accept(patience, &Cuts::default()).await;
        open(&mut peer, &mut connection).await;
        timeout(2 * SHORT, connection.read(&mut [0])).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_for_too_long_is_cut() {
        let patience = Patience { preface: LONG, write: SHORT };
        let (mut peer, mut connection) = accept(patience, &Cuts::default()).await;
        open(&mut peer, &mut connection).await;
        // More than the kernel keeps for the two of them.
        let much = vec![0; 64 * 1024 * 1024];
        let write = connection.write_all(&much);
        assert_eq!(end_of(write).await, io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_cut_wakes_whom_it_concerns() {
        let patience = Patience { preface: LONG, write: LONG };
        let cuts = Cuts::default();
        let (_silent, mut unopened) = accept(patience, &cuts).await;
        let (mut peer, mut opened) = accept(patience, &cuts).await;
        open(&mut peer, &mut opened).await;
        let mut reading = Box::pin(opened.read_u8());
        let (ended, ()) = tokio::join!(end_of(unopened.read_u8()), async { cuts.unopened.cancel() });
        assert_eq!(ended, io::ErrorKind::ConnectionAborted);
        timeout(SHORT, &mut reading).await.unwrap_err();
        let (ended, ()) = tokio::join!(end_of(reading), async { cuts.all.cancel() });
        assert_eq!(ended, io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn trouble_is_told_of_once() {
        let trouble = Trouble::default();
        assert!(trouble.is_news());
        assert!(!trouble.is_news());
        *trouble.last.lock().unwrap() = Instant::now().checked_sub(2 * CALM);
        assert!(trouble.is_news());
    }
}
