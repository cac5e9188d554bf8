//! `vestibule man`: the manual, a page for the program and one for each command.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_mangen::{Man, generate_to};

use super::{Cli, print};

#[derive(Debug, Args)]
pub struct ManPages {
    /// Write a page for the program and one for each of its commands into this folder; without it, the program's
    /// page goes to standard output.
    #[arg(long, value_name = "FOLDER")]
    directory: Option<PathBuf>,
}

impl ManPages {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(directory) = self.directory {
            generate_to(Cli::command(), &directory)
                .with_context(|| format!("the pages can't be written to {}", directory.display()))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut page = Vec::new();
        Man::new(Cli::command()).render(&mut page)?;
        print(String::from_utf8(page)?.trim_end())
    }
}
