//! `vestibule serve`

use std::{net::SocketAddr, process::ExitCode};

use clap::Args;

use super::{ConfigFiles, asked_to_stop, listen_flag};
use crate::{
    config::{ConfigError, Settings},
    server::{Outside, Server},
    telemetry,
};

/// Serves until SIGTERM or SIGINT, then drains.
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    config: ConfigFiles,
    /// The address to serve gRPC on; overrides grpc.listen.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

impl Serve {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let flags: Vec<_> = listen_flag(self.listen).into_iter().collect();
        let settings = self.config.load(&flags)?;
        start_logging(&settings)?;
        let stop = asked_to_stop();
        let server = Server::start(&settings, Outside::default()).await?;
        server.run_until(stop).await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Starts logging as the settings say.
pub fn start_logging(settings: &Settings) -> Result<(), ConfigError> {
    telemetry::start(settings.log.format, &settings.log.filter)
        .map_err(|error| ConfigError(format!("log.filter: {error}")))
}
