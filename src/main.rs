//! The program: everything is in the library, `cli` decides what to run.

use std::process::ExitCode;

fn main() -> ExitCode {
    vestibule::cli::run()
}
