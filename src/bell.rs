//! The bell that is rung when a mail was queued.

use std::time::Duration;

use tokio::{sync::Notify, time::sleep};

/// The least time between two rings that are passed on, so that many mails need few of them.
const PAUSE: Duration = Duration::from_millis(50);

/// Wakes the worker of this process, and has the ring passed on to those of others.
#[derive(Debug, Default)]
pub struct MailBell {
    here: Notify,
    elsewhere: Notify,
}

impl MailBell {
    /// A mail was queued, and is there for everybody to see.
    pub fn ring(&self) {
        self.here.notify_one();
        self.elsewhere.notify_one();
    }

    /// Another process has rung.
    pub fn ring_here(&self) {
        self.here.notify_one();
    }

    /// Returns when it was rung since the last time.
    pub async fn rung(&self) {
        self.here.notified().await;
    }

    /// Returns when it was rung in this process since the last time; not too often.
    pub async fn rung_for_others(&self) {
        self.elsewhere.notified().await;
        sleep(PAUSE).await;
    }
}
