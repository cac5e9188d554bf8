//! What an operator's programs ask over plain HTTP: what is counted, whether the process lives, whether it serves.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use tokio::sync::watch;

use crate::metrics::Metrics;

/// The text format that [`Metrics::text`] speaks.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is told.
#[derive(Debug, Clone)]
pub struct Told {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether calls can be answered.
    pub serving: watch::Receiver<bool>,
}

/// `/metrics`, `/livez` and `/readyz`.
pub fn routes(told: Told) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        // Whoever answers is alive.
        .route("/livez", get(async || "live\n"))
        .route("/readyz", get(ready))
        .with_state(told)
}

async fn metrics(State(told): State<Told>) -> impl IntoResponse {
    ([(CONTENT_TYPE, OPENMETRICS)], told.metrics.text())
}

async fn ready(State(told): State<Told>) -> (StatusCode, &'static str) {
    if *told.serving.borrow() {
        (StatusCode::OK, "serving\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not serving\n")
    }
}
