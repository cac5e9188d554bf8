//! Health: what the server says of itself, and how the command line asks.

use std::{iter, net::SocketAddr, time::Duration};

use tokio::sync::watch;
use tonic_health::{
    ServingStatus,
    pb::{
        HealthCheckRequest, health_check_response, health_client::HealthClient, health_server::HealthServer,
    },
    server::{HealthReporter, HealthService},
};

use super::SERVICES;

/// The name that answers SERVING as long as the process runs, whatever the database does.
pub const LIVENESS: &str = "liveness";

/// Tells `grpc.health.v1` how the server, and each of its services, is.
#[derive(Debug, Clone)]
pub struct Health {
    reporter: HealthReporter,
    serving: watch::Sender<bool>,
}

impl Health {
    /// Live, and not yet serving.
    pub async fn new() -> Self {
        let health = Self { reporter: HealthReporter::new(), serving: watch::Sender::new(false) };
        health.set_serving(false).await;
        health.reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        health
    }

    /// Says whether calls can be answered.
    pub async fn set_serving(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in iter::once("").chain(SERVICES) {
            self.reporter.set_service_status(name, status).await;
        }
        self.serving.send_replace(serving);
    }

    /// Tells whether calls can be answered, now and whenever that changes.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.serving.subscribe()
    }

    pub(super) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }
}

/// Why nobody knows how a server is.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It can't be reached.
    #[error(transparent)]
    Transport(#[from] tonic::transport::Error),
    /// It answers something else.
    #[error(transparent)]
    Status(#[from] tonic::Status),
}

/// Asks the server at `address` whether it is serving; an error says why that can't be known.
pub async fn probe(address: SocketAddr, timeout: Duration) -> Result<bool, ProbeError> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(timeout)
        .timeout(timeout);
    let mut client = HealthClient::new(endpoint.connect().await?);
    let response = client.check(HealthCheckRequest { service: String::new() }).await?.into_inner();
    Ok(response.status() == health_check_response::ServingStatus::Serving)
}
