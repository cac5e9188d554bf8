//! The operator's port out of the settings.

use super::{
    http1::{self, OpenPort},
    incoming::Cuts,
};
use crate::{
    config::Settings,
    ops::{self, Told},
};

/// How many connections are served at once: a scraper, a kubelet and a curious operator need no more.
const MAX_CONNECTIONS: usize = 16;

/// Listens where the settings say, if they do.
pub(super) async fn open(settings: &Settings, told: Told, cuts: Cuts) -> anyhow::Result<Option<OpenPort>> {
    let Some(listener) = http1::listen("ops.listen", &settings.ops.listen, "127.0.0.1:9464").await? else {
        return Ok(None);
    };
    let port = OpenPort::new(listener, MAX_CONNECTIONS, cuts, ops::routes(told))?;
    tracing::info!(address = %port.address, "metrics open");
    Ok(Some(port))
}
