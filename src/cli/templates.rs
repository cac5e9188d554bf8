//! `vestibule templates`: what is wrong with the templates of the settings.

use std::process::ExitCode;

use clap::Subcommand;

use super::{ConfigFiles, FOUND_PROBLEMS, print};
use crate::server;

/// The commands for templates.
#[derive(Debug, Subcommand)]
pub enum TemplatesCommand {
    /// Make every mail and every page of every site in every language for trial, and name every problem.
    ///
    /// Ends with 3 if there is one. Needs no database.
    Check(ConfigFiles),
}

impl TemplatesCommand {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let Self::Check(config) = self;
        let problems = server::check_templates(&config.load(&[])?)?;
        if problems.is_empty() {
            return print("Every mail and every page of every site can be made.");
        }
        print(&problems.join("\n"))?;
        Ok(ExitCode::from(FOUND_PROBLEMS))
    }
}
