//! The built program among peers that mean it no good, or that have fallen over: it goes on serving, and it stops
//! when it is told to.

mod crowds;
mod peers;
mod stopping;

use std::path::Path;

use crate::support::{
    process::{Process, serve},
    server::make_keyring,
};

/// A server on an SQLite database in `folder`.
fn start(folder: &Path, environment: &[(&str, &str)]) -> Process {
    make_keyring(folder);
    Process::start(&mut serve(folder, "sqlite:vestibule.db", environment))
}
