//! `vestibule users remind`: what the RPC RemindUnverified does, straight on the database (U6).

use std::{process::ExitCode, sync::Arc};

use clap::Args;

use crate::{
    cli::selected::{Act, Selected, Words},
    domain::{
        request::Call,
        unverified::{CallLimit, Tally, UnverifiedFilter},
    },
    operations::{RemindUnverified, Vestibule},
};

/// Mails pending users a further activation key and starts their windows again.
#[derive(Debug, Args)]
pub struct Remind {
    #[command(flatten)]
    selected: Selected,
}

struct Reminders;

impl Remind {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        self.selected.run(Words { done: "reminded", count: "remind_count" }, Reminders).await
    }
}

impl Act for Reminders {
    async fn act(
        &self,
        vestibule: &Arc<Vestibule>,
        filter: UnverifiedFilter,
        force: bool,
        limit: CallLimit,
    ) -> anyhow::Result<Tally> {
        let call = Call::default();
        let reminders = RemindUnverified { filter, force, limit, deadline: None, call };
        let tally = vestibule.remind_unverified(reminders).await?;
        vestibule.announce_mails().await;
        Ok(tally)
    }
}
