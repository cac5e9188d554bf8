//! Vestibule holds the people who have registered and not yet proved that an email address is theirs.
//!
//! The modules stand in reading order: nouns and rules, the doors to the world, the store, the acts,
//! the wire, and what runs it all.

pub mod domain;

pub mod bell;
pub mod causes;
pub mod clock;
pub mod hashing;
pub mod mail;
pub mod metrics;
pub mod random;
pub mod sealing;
pub mod templates;

pub mod repository;

pub mod operations;

pub mod grpc;
pub mod ops;
pub mod page;
pub mod workers;

pub mod config;
pub mod telemetry;

pub mod server;

pub mod mailbox;

pub mod cli;
