//! The connections that wait for the next mail.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use tokio::time::{Instant, timeout};

/// How long a server may take to say goodbye, or to clear away a mail, once that mail is settled.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);

/// The idle ones, those that were used last at the end. There are never more than mails are sent at the same time.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Kept>>);

/// A connection over which mails can be sent.
pub(super) struct Kept {
    pub connection: AsyncSmtpConnection,
    /// How many mails have gone over it.
    pub mails: u32,
    since: Instant,
}

impl Pool {
    /// The one that was used last: the others may then become old, and go.
    pub fn take(&self) -> Option<Kept> {
        self.idle().pop()
    }

    pub fn put(&self, mut kept: Kept) {
        kept.since = Instant::now();
        self.idle().push(kept);
    }

    pub fn clear(&self) {
        self.idle().clear();
    }

    /// Takes leave on those that nobody has used for so long.
    pub async fn close_idle(&self, idle_for: Duration) {
        let now = Instant::now();
        let old: Vec<_> = self
            .idle()
            .extract_if(.., |kept| now.saturating_duration_since(kept.since) >= idle_for)
            .collect();
        join_all(old.into_iter().map(Kept::quit)).await;
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    pub fn new(connection: AsyncSmtpConnection) -> Self {
        Self { connection, mails: 0, since: Instant::now() }
    }

    /// Says goodbye, and waits a moment for the answer.
    pub async fn quit(mut self) {
        let _ = timeout(GOODBYE, self.connection.quit()).await;
    }
}
