//! The integration tests, one binary: what they need is built and started once.

#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that goes wrong panics, and its name says what it is about"
)]

mod access;
mod cli;
mod contract;
mod crash;
mod delivery;
mod events;
mod faults;
mod hostile;
mod identity;
mod interleavings;
mod journeys;
mod mailbox;
mod million;
mod model;
mod ops;
mod page;
mod races;
mod rules;
mod siege;
mod smtp;
mod support;
mod tidy;
mod tour;
