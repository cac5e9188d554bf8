//! The integration tests, one binary: what they need is built and started once.

mod contract;
mod support;
