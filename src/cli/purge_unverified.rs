//! `vestibule purge-unverified`: what the RPC PurgeUnverified does, straight on the database (U5).

use std::{io::Write as _, io::stderr, process::ExitCode, sync::Arc};

use clap::Args;

use super::{
    USAGE,
    selected::{Act, Selected, Words},
};
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
        if !self.selected.is_selective() {
            // Beyond "unverified", which is everybody there is (U5).
            let conditions = "--created-before, --created-after, --idle-since, --expired, --email-domain, --prefix or --site";
            writeln!(stderr(), "vestibule: purge-unverified needs a condition: {conditions}")?;
            return Ok(ExitCode::from(USAGE));
        }
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
