//! What calls have in common that act on many users: short batches until nobody is left, the limit is reached, or the
//! caller's deadline is near (X18).

use std::{error::Error, time::Duration};

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use crate::{
    causes::Causes,
    domain::{
        page::{Page, PageKey, PageSize},
        unverified::{CallLimit, SAMPLE_SIZE, Tally},
        user::User,
    },
    repository::StorageError,
};

/// How often, and how far apart, a call looks again at users whom somebody else's transaction holds.
const HELD_LOOKS: u32 = 10;
const HELD_DELAY: Duration = Duration::from_millis(20);
/// What is left of a caller's time when the last batch has to be over.
const MARGIN: Duration = Duration::from_millis(50);

/// How much one call may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// How many users at most.
    pub limit: CallLimit,
    /// When the caller stops listening.
    pub deadline: Option<Instant>,
}

/// What one batch came to.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Those to whom it was done.
    pub done: Vec<User>,
    /// Whether there was nobody behind those it looked at; the next batch begins at the first again.
    pub at_end: bool,
}

/// An act on many users, a batch at a time.
#[async_trait]
pub(super) trait Batches: Send + Sync {
    /// What can go wrong in a batch.
    type Error: Error + Send + 'static;

    /// Acts on some users, `limit` at most.
    async fn act(&mut self, limit: u32) -> Result<Batch, Self::Error>;

    /// How many users there are to act on, counted up to `limit`.
    async fn count(&self, limit: u32) -> Result<u32, StorageError>;

    /// A page of them, in the order in which they are acted on.
    async fn list(&self, size: PageSize, after: Option<PageKey>) -> Result<Page<User>, StorageError>;
}

/// Counts whom `run` would act on, and shows the first of them.
pub(super) async fn preview(batches: &impl Batches, limit: CallLimit) -> Result<Tally, StorageError> {
    let limit = limit.get();
    let count = batches.count(limit + 1).await?;
    let mut sample = Vec::new();
    let mut after = None;
    loop {
        let room = usize::try_from(SAMPLE_SIZE.min(limit)).unwrap_or_default().saturating_sub(sample.len());
        if room == 0 {
            break;
        }
        let page = batches.list(PageSize::at_most(room), after).await?;
        sample.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(Tally { count: count.min(limit), sample, more: count > limit })
}

/// Acts batch by batch. An error after the first batch is logged: what was done is done, and the answer has to say so.
pub(super) async fn run<B: Batches>(mut batches: B, bounds: Bounds) -> Result<Tally, B::Error> {
    let limit = bounds.limit.get();
    let mut tally = Tally::default();
    let mut longest = Duration::ZERO;
    let mut held_looks = 0;
    while tally.count < limit {
        let start = Instant::now();
        if bounds.deadline.is_some_and(|deadline| start + longest * 2 + MARGIN >= deadline) {
            break;
        }
        let batch = match batches.act(limit - tally.count).await {
            Ok(batch) => batch,
            Err(error) if tally.count == 0 => return Err(error),
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "a call stopped early");
                tally.more = true;
                return Ok(tally);
            }
        };
        longest = longest.max(start.elapsed());
        if batch.done.is_empty() {
            if !batch.at_end {
                continue;
            }
            // Nobody is left, or those left are held, which for a moment is worth a wait.
            if held_looks == HELD_LOOKS || !batches.count(1).await.is_ok_and(|count| count > 0) {
                break;
            }
            held_looks += 1;
            sleep(HELD_DELAY).await;
            continue;
        }
        held_looks = 0;
        tally.count += u32::try_from(batch.done.len()).unwrap_or(u32::MAX);
        let room = usize::try_from(SAMPLE_SIZE).unwrap_or_default().saturating_sub(tally.sample.len());
        tally.sample.extend(batch.done.into_iter().take(room));
    }
    // Whether there is more is worth an answer even when the time is short; if it can't be had, there may be.
    tally.more = batches.count(1).await.map_or(true, |count| count > 0);
    Ok(tally)
}
