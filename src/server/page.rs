//! The activation page out of the settings: where it listens, and what it is told.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    PATIENCE, http1,
    incoming::{Cuts, Incoming},
};
use crate::{
    config::{ConfigError, Settings},
    domain::site::SiteId,
    operations::Work,
    page::{self, PageSettings, Routes},
};

/// The page, on a port that is open.
pub(super) struct OpenPage {
    /// Where it listens.
    pub address: SocketAddr,
    incoming: Incoming,
    routes: Routes,
}

/// Listens where the settings say, if they do.
pub(super) async fn listen(settings: &Settings) -> anyhow::Result<Option<TcpListener>> {
    let listen = &settings.page.listen;
    if listen.is_empty() {
        return Ok(None);
    }
    let rule = "page.listen must be an address with a port, such as 127.0.0.1:8080, or empty";
    let address: SocketAddr = listen.parse().map_err(|_| ConfigError(rule.to_owned()))?;
    let listener = TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))?;
    Ok(Some(listener))
}

/// The page of the settings' sites, which accepts nobody before it is served.
pub(super) fn open(
    settings: &Settings,
    work: &Work,
    listener: TcpListener,
    cuts: Cuts,
) -> anyhow::Result<OpenPage> {
    let sites = page::list_sites(&work.vestibule().sites);
    if sites.is_empty() {
        let sentence =
            "page.listen: no site has an activation_url that ends in /activate/{key}, so there is no page";
        return Err(ConfigError(sentence.to_owned()).into());
    }
    let address = listener.local_addr()?;
    let sites: Vec<_> = sites.iter().map(SiteId::as_str).collect();
    tracing::info!(%address, sites = sites.join(", "), "page open");
    let max_connections = usize::try_from(settings.page.max_connections).unwrap_or(usize::MAX);
    let page_settings = PageSettings {
        requests_per_minute: NonZeroU32::new(settings.page.requests_per_minute),
        trusted_proxies: usize::try_from(settings.page.trusted_proxies).unwrap_or(usize::MAX),
        call_timeout: Duration::from_secs(settings.grpc.call_seconds),
    };
    Ok(OpenPage {
        address,
        incoming: Incoming::new(listener, max_connections, PATIENCE, cuts),
        routes: page::routes(work.clone(), page_settings),
    })
}

/// Serves the page, if there is one, until `stop`, and then until its last answers are out.
pub(super) async fn serve(page: Option<OpenPage>, stop: CancellationToken) {
    if let Some(page) = page {
        http1::serve(page.incoming, page.routes, stop).await;
    }
}
