//! `vestibule purge-unverified`: what the RPC PurgeUnverified does, straight on the database (U5).

use std::{process::ExitCode, sync::Arc};

use clap::Args;

use super::selected::{Act, Selected, Words};
use crate::{
    domain::unverified::{CallLimit, Tally, UnverifiedFilter},
    operations::{PurgeUnverified, Vestibule},
};

/// Deletes pending users who have verified no address, expired or not; needs a condition.
#[derive(Debug, Args)]
pub struct PurgeUnverifiedCommand {
    #[command(flatten)]
    selected: Selected,
}

struct Purge;

impl PurgeUnverifiedCommand {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        self.selected.run(Words { done: "deleted", count: "purge_count" }, Purge).await
    }
}

impl Act for Purge {
    async fn act(
        &self,
        vestibule: &Arc<Vestibule>,
        filter: UnverifiedFilter,
        force: bool,
        limit: CallLimit,
    ) -> anyhow::Result<Tally> {
        Ok(vestibule.purge_unverified(PurgeUnverified { filter, force, limit, deadline: None }).await?)
    }
}
