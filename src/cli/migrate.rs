//! `vestibule migrate`

use std::process::ExitCode;

use super::{ConfigFiles, print, serve::start_logging};
use crate::server;

pub async fn run(config: &ConfigFiles) -> anyhow::Result<ExitCode> {
    let settings = config.load(&[])?;
    start_logging(&settings)?;
    let repository = server::open_repository(&settings).await?;
    repository.migrate().await?;
    repository.close().await;
    print("The schema is up to date.")
}
