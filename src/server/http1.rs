//! Ports that speak HTTP/1.1, which is what an ingress speaks to whatever stands behind it. TLS is the ingress's matter.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    time::Duration,
};

use anyhow::Context as _;
use axum::Router;
use hyper::{
    Request,
    body::Incoming as Body,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    PATIENCE,
    incoming::{Connection, Cuts, Incoming},
};
use crate::{config::ConfigError, page::Peer};

/// How long the head of a request may take to come, from the moment when the connection has nothing else to do.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// How long the head of a request may be, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// A port that is open, and accepts nobody before it is served.
pub(super) struct OpenPort {
    /// Where it is.
    pub address: SocketAddr,
    incoming: Incoming,
    routes: Router,
}

impl OpenPort {
    /// What `routes` answers, over so many connections at once.
    pub fn new(
        listener: TcpListener,
        max_connections: usize,
        cuts: Cuts,
        routes: Router,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self { address, incoming: Incoming::new(listener, max_connections, PATIENCE, cuts), routes })
    }
}

/// Listens where the setting `key` says, if it does.
pub(super) async fn listen(key: &str, listen: &str, example: &str) -> anyhow::Result<Option<TcpListener>> {
    if listen.is_empty() {
        return Ok(None);
    }
    let rule = || ConfigError(format!("{key} must be an address with a port, such as {example}, or empty"));
    let address: SocketAddr = listen.parse().map_err(|_| rule())?;
    let listener = TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))?;
    Ok(Some(listener))
}

/// Serves a port, if there is one, until `stop`, and then until the last answers are out.
pub(super) async fn serve(port: Option<OpenPort>, stop: CancellationToken) {
    let Some(OpenPort { mut incoming, routes, .. }) = port else { return };
    let connections = TaskTracker::new();
    loop {
        let connection = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            next = incoming.next() => match next {
                Some(Ok(connection)) => connection,
                None => break,
            },
        };
        connections.spawn(converse(connection, routes.clone(), stop.clone()));
    }
    // Nobody waits in a queue that is not emptied any more.
    drop(incoming);
    connections.close();
    connections.wait().await;
}

/// Answers what one peer asks for, until it has asked enough or `stop`.
async fn converse(connection: Connection, routes: Router, stop: CancellationToken) {
    let peer = Peer(connection.peer().unwrap_or(IpAddr::from([0; 4])));
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |mut request: Request<Body>| {
        request.extensions_mut().insert(peer);
        routes.call(request)
    });
    let talk = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(connection), service);
    let mut talk = pin!(talk);
    // How a peer ends is its own matter: it goes away, falls silent, or speaks something else.
    tokio::select! {
        _ = talk.as_mut() => return,
        () = stop.cancelled() => {}
    }
    talk.as_mut().graceful_shutdown();
    let _ = talk.await;
}
