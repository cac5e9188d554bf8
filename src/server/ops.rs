//! The operator's port out of the settings.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    PATIENCE, http1,
    incoming::{Cuts, Incoming},
};
use crate::{
    config::{ConfigError, Settings},
    ops::{self, Told},
};

/// How many connections are served at once: a scraper, a kubelet and a curious operator need no more.
pub(super) const MAX_CONNECTIONS: usize = 16;

/// The port, which is open.
pub(super) struct OpenOps {
    /// Where it is.
    pub address: SocketAddr,
    incoming: Incoming,
    routes: axum::Router,
}

/// Listens where the settings say, if they do.
pub(super) async fn open(settings: &Settings, told: Told, cuts: Cuts) -> anyhow::Result<Option<OpenOps>> {
    let listen = &settings.ops.listen;
    if listen.is_empty() {
        return Ok(None);
    }
    let rule = "ops.listen must be an address with a port, such as 127.0.0.1:9464, or empty";
    let address: SocketAddr = listen.parse().map_err(|_| ConfigError(rule.to_owned()))?;
    let listener = TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "metrics open");
    let incoming = Incoming::new(listener, MAX_CONNECTIONS, PATIENCE, cuts);
    Ok(Some(OpenOps { address, incoming, routes: ops::routes(told) }))
}

/// Serves it, if there is one, until `stop`.
pub(super) async fn serve(open: Option<OpenOps>, stop: CancellationToken) {
    if let Some(open) = open {
        http1::serve(open.incoming, open.routes, stop).await;
    }
}
