//! Passes rings of the mail bell on to the other servers on the same database, and hears theirs. It is a hint: where it
//! doesn't work, say behind a pooler that has no place for listeners, workers look once a second.

use std::{mem, sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{bell::MailBell, causes::Causes, repository::Repository};

/// How long after a failure it is tried again.
const DELAY: Duration = Duration::from_secs(10);

/// Passes rings on, until it is stopped.
pub async fn pass_on(repository: Arc<dyn Repository>, bell: Arc<MailBell>, stop: CancellationToken) {
    let mut failing = false;
    while stop.run_until_cancelled(bell.rung_for_others()).await.is_some() {
        match repository.ring_mail_bell().await {
            Ok(()) => failing = false,
            Err(error) => tell(&mut failing, &error, "the other servers can't be told of mails"),
        }
    }
}

/// Hears the rings of others, until it is stopped.
pub async fn listen(repository: Arc<dyn Repository>, bell: Arc<MailBell>, stop: CancellationToken) {
    let mut failing = false;
    while !stop.is_cancelled() {
        let mut ring = || {
            failing = false;
            bell.ring_here();
        };
        let Some(ended) = stop.run_until_cancelled(repository.hear_mail_bell(&mut ring)).await else {
            return;
        };
        if let Err(error) = ended {
            tell(&mut failing, &error, "the other servers can't be heard");
        }
        stop.run_until_cancelled(sleep(DELAY)).await;
    }
}

/// Once for each outage.
fn tell(failing: &mut bool, error: &dyn std::error::Error, what: &str) {
    if !mem::replace(failing, true) {
        tracing::warn!(error = %Causes(error), "{what}: mails wait for a second at most");
    }
}
