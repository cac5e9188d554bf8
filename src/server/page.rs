//! The activation page out of the settings: where it listens, and what it is told.

use std::{num::NonZeroU32, time::Duration};

use tokio::net::TcpListener;

use super::{
    http1::{self, OpenPort},
    incoming::Cuts,
};
use crate::{
    config::{ConfigError, Settings},
    domain::site::SiteId,
    operations::Work,
    page::{self, PageSettings},
};

/// Listens where the settings say, if they do.
pub(super) async fn listen(settings: &Settings) -> anyhow::Result<Option<TcpListener>> {
    http1::listen("page.listen", &settings.page.listen, "127.0.0.1:8080").await
}

/// The page of the settings' sites, which accepts nobody before it is served.
pub(super) fn open(
    settings: &Settings,
    work: &Work,
    listener: TcpListener,
    cuts: Cuts,
) -> anyhow::Result<OpenPort> {
    let sites = page::list_sites(&work.vestibule().sites);
    if sites.is_empty() {
        let sentence =
            "page.listen: no site has an activation_url that ends in /activate/{key}, so there is no page";
        return Err(ConfigError(sentence.to_owned()).into());
    }
    let sites: Vec<_> = sites.iter().map(SiteId::as_str).collect();
    let max_connections = usize::try_from(settings.page.max_connections).unwrap_or(usize::MAX);
    let page_settings = PageSettings {
        requests_per_minute: NonZeroU32::new(settings.page.requests_per_minute),
        trusted_proxies: usize::try_from(settings.page.trusted_proxies).unwrap_or(usize::MAX),
        call_timeout: Duration::from_secs(settings.grpc.call_seconds),
    };
    let port = OpenPort::new(listener, max_connections, cuts, page::routes(work.clone(), page_settings))?;
    tracing::info!(address = %port.address, sites = sites.join(", "), "page open");
    Ok(port)
}
