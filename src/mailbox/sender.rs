//! The sender that holds mails and hands them on.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::held::HeldMails;
use crate::mail::{self, MailSender, OutgoingMail, SendError};

/// Holds each mail, and then lets another sender have it.
pub struct MailboxSender {
    mails: Arc<HeldMails>,
    next: Arc<dyn MailSender>,
}

impl MailboxSender {
    /// Holds mails in `mails`, and hands them on to `next`.
    pub fn new(mails: Arc<HeldMails>, next: Arc<dyn MailSender>) -> Self {
        Self { mails, next }
    }
}

#[async_trait]
impl MailSender for MailboxSender {
    async fn send(&self, mail: &OutgoingMail<'_>) -> Result<(), SendError> {
        // What no mail server would be given isn't shown either.
        let message = mail::message(mail)?;
        self.mails.hold(mail, message);
        self.next.send(mail).await
    }

    async fn close_idle(&self, idle_for: Duration) {
        self.next.close_idle(idle_for).await;
    }
}
