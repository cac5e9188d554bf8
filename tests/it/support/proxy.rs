//! A way to a Postgres database that a test can slow down, silence, close, turn to another server, and meddle with.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::sleep,
};

/// What the way does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Carries it on.
    Open,
    /// Carries it on, and every answer a little later.
    Slow(Duration),
    /// Takes it and does nothing, in both directions. A connection that has lost something so is lost for good.
    Silent,
    /// Is not there: connections are cut, and new ones refused.
    Closed,
}

/// The way itself; it is gone when this is dropped.
pub struct Proxy {
    pub url: String,
    way: watch::Sender<Way>,
    target: Arc<Mutex<(String, u16)>>,
    meddlers: Meddlers,
    _carriers: JoinSet<()>,
}

/// Asks a connection to open a transaction behind its client's back, and to say when it has.
type Meddlers = Arc<Mutex<Vec<mpsc::UnboundedSender<oneshot::Sender<()>>>>>;

/// BEGIN in the simple protocol, and how long its answer is.
const BEGIN: &[u8] = b"Q\0\0\0\x0aBEGIN\0";
const BEGUN: usize = 17;
/// What the session that listens calls itself when it begins.
const BELL: &[u8] = b"vestibule-bell";

impl Proxy {
    /// A way to the database of `url`.
    pub async fn to(url: &str) -> Self {
        let database: PgConnectOptions = url.parse().unwrap();
        let target = Arc::new(Mutex::new((database.get_host().to_owned(), database.get_port())));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = database.host(&address.ip().to_string()).port(address.port()).to_url_lossy().into();
        let (way, watched) = watch::channel(Way::Open);
        let meddlers = Meddlers::default();
        let mut carriers = JoinSet::new();
        carriers.spawn(accept(listener, address, target.clone(), watched, meddlers.clone()));
        Self { url, way, target, meddlers, _carriers: carriers }
    }

    /// Changes what the way does, also on the connections that there are.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Where the next connections lead.
    pub fn turn_to(&self, url: &str) {
        let database: PgConnectOptions = url.parse().unwrap();
        *self.target.lock().unwrap() = (database.get_host().to_owned(), database.get_port());
    }

    /// Leaves every session in a transaction that its client knows nothing of, as a broken pooler would.
    pub async fn meddle(&self) {
        let meddlers = std::mem::take(&mut *self.meddlers.lock().unwrap());
        for meddler in meddlers {
            let (done, begun) = oneshot::channel();
            // A connection may be gone.
            if meddler.send(done).is_ok() {
                let _ = begun.await;
            }
        }
    }
}

async fn accept(
    listener: TcpListener,
    address: SocketAddr,
    target: Arc<Mutex<(String, u16)>>,
    mut way: watch::Receiver<Way>,
    meddlers: Meddlers,
) {
    let mut listener = Some(listener);
    let mut carriers = JoinSet::new();
    loop {
        if *way.borrow_and_update() == Way::Closed {
            listener = None;
            carriers.shutdown().await;
            if way.changed().await.is_err() {
                return;
            }
            continue;
        }
        let open = match listener.take() {
            Some(open) => open,
            None => TcpListener::bind(address).await.unwrap(),
        };
        tokio::select! {
            accepted = open.accept() => {
                let target = target.lock().unwrap().clone();
                let (meddler, meddled) = mpsc::unbounded_channel();
                meddlers.lock().unwrap().push(meddler);
                carriers.spawn(carry(accepted.unwrap().0, target, way.clone(), meddled));
            }
            changed = way.changed() => if changed.is_err() { return },
        }
        listener = Some(open);
    }
}

/// Carries one connection until either side hangs up.
async fn carry(
    mut near: TcpStream,
    target: (String, u16),
    way: watch::Receiver<Way>,
    mut meddled: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
) {
    // To somebody who is not there the way is as good as closed.
    let Ok(mut far) = TcpStream::connect(&target).await else { return };
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    // The session that listens makes no calls, so that nothing of theirs can be left in it.
    let mut is_bell = false;
    let (mut lost, mut hidden) = (false, None);
    loop {
        tokio::select! {
            read = near.read(&mut asked) => {
                let Ok(length @ 1..) = read else { break };
                lost |= *way.borrow() == Way::Silent;
                is_bell |= asked[..length].windows(BELL.len()).any(|bytes| bytes == BELL);
                if !lost && far.write_all(&asked[..length]).await.is_err() {
                    break;
                }
            }
            read = far.read(&mut answered) => {
                let Ok(length @ 1..) = read else { break };
                if hidden.is_some() {
                    assert_eq!(length, BEGUN, "nobody else asked anything");
                    let done: oneshot::Sender<()> = hidden.take().unwrap();
                    done.send(()).unwrap();
                    continue;
                }
                let way = *way.borrow();
                lost |= way == Way::Silent;
                if let Way::Slow(delay) = way {
                    sleep(delay).await;
                }
                if !lost && near.write_all(&answered[..length]).await.is_err() {
                    break;
                }
            }
            Some(done) = meddled.recv() => {
                if is_bell {
                    done.send(()).unwrap();
                    continue;
                }
                hidden = Some(done);
                far.write_all(BEGIN).await.unwrap();
            }
        }
    }
    // The far side does not learn that the near side of a lost connection hung up.
    while lost && matches!(far.read(&mut answered).await, Ok(1..)) {}
}
