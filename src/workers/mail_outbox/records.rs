//! The outcomes that are still to be recorded. They are recorded together, one batch at a time, and are not given up
//! while the process lives: a mail that was taken and not recorded is sent again.

use std::{mem, sync::Arc, time::Duration};

use tokio::{
    task::{self, JoinSet},
    time::sleep,
};

use crate::{
    causes::Causes,
    clock::Clock,
    domain::{
        delivery::{Settled, Settlement},
        mail::MailId,
    },
    repository::{Repository, StorageError},
};

/// How many outcomes go together at most.
const BATCH: usize = 256;
/// How long after a failure recording is tried again, at first …
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// … and at most.
const MAX_DELAY: Duration = Duration::from_secs(5);
/// How often an outcome is tried alone that the database refuses.
const ATTEMPTS: u32 = 5;

/// What is to be recorded.
pub(super) struct Records {
    repository: Arc<dyn Repository>,
    clock: Arc<dyn Clock>,
    gathered: Vec<Settled>,
    /// The batch under way.
    recording: Option<(task::Id, Arc<[Settled]>)>,
}

impl Records {
    pub fn new(repository: Arc<dyn Repository>, clock: Arc<dyn Clock>) -> Self {
        Self { repository, clock, gathered: Vec::new(), recording: None }
    }

    pub fn add(&mut self, settled: Settled) {
        self.gathered.push(settled);
    }

    /// Begins to record what has gathered, unless the batch before is still under way.
    pub fn begin<T: Send + 'static>(&mut self, jobs: &mut JoinSet<T>, done: fn() -> T) {
        if self.recording.is_some() || self.gathered.is_empty() {
            return;
        }
        let rest = self.gathered.split_off(self.gathered.len().min(BATCH));
        let batch: Arc<[Settled]> = mem::replace(&mut self.gathered, rest).into();
        let recorded = Arc::clone(&batch);
        let (repository, clock) = (Arc::clone(&self.repository), Arc::clone(&self.clock));
        let recording = jobs.spawn(async move {
            record(&*repository, &*clock, &recorded).await;
            done()
        });
        self.recording = Some((recording.id(), batch));
    }

    /// What an attempt has come to, if that is still to be recorded. A mail that was only given back can begin anew.
    pub fn find(&self, mail: MailId) -> Option<&Settlement> {
        let recording = self.recording.iter().flat_map(|(_, batch)| batch.iter());
        let mut ended = self.gathered.iter().chain(recording).filter(|settled| settled.lease.id == mail);
        let is_outcome = |settlement: &&Settlement| !matches!(settlement, Settlement::Returned { .. });
        ended.find_map(|settled| Some(&settled.settlement).filter(is_outcome))
    }

    /// A job has ended; nothing follows if it was none of these.
    pub fn ended(&mut self, id: task::Id) {
        self.recording.take_if(|(recording, _)| *recording == id);
    }
}

/// Records a batch; and if the database refuses it, each outcome alone, so that one that can't be recorded holds up no
/// other.
async fn record(repository: &dyn Repository, clock: &dyn Clock, batch: &[Settled]) {
    let mut delay = FIRST_DELAY;
    loop {
        match repository.settle_mails(batch, clock.now()).await {
            Ok(recorded) => {
                for settled in batch.iter().filter(|settled| !recorded.contains(&settled.lease.id)) {
                    let id = settled.lease.id;
                    tracing::info!(mail_id = %id, "the mail's user is gone, or its lease is somebody else's");
                }
                return;
            }
            Err(error) => {
                tracing::warn!(mails = batch.len(), error = %Causes(&error), "outcomes of mails can't be recorded");
                if !matches!(error, StorageError::Unavailable(_) | StorageError::Conflict(_)) {
                    break;
                }
            }
        }
        sleep(delay).await;
        delay = (2 * delay).min(MAX_DELAY);
    }
    for settled in batch {
        alone(repository, clock, settled).await;
    }
}

/// Records one outcome, or leaves it when its lease runs out: the mail is sent again then.
async fn alone(repository: &dyn Repository, clock: &dyn Clock, settled: &Settled) {
    for _ in 0..ATTEMPTS {
        match repository.settle_mails(std::slice::from_ref(settled), clock.now()).await {
            Ok(_) => return,
            Err(error) => {
                tracing::error!(mail_id = %settled.lease.id, error = %Causes(&error), "a mail's outcome can't be recorded");
                sleep(FIRST_DELAY).await;
            }
        }
    }
}
