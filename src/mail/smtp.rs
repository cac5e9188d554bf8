//! Hands mails to a mail server: over connections that are kept for the next mail, every step within a time of its own
//! and each mail within one timeout, and every failure sorted into those of the server, those that are about the mail
//! for now, and those that are about it for good.

mod conversation;
mod failure;
mod pool;
mod server;
mod stream;
mod tls;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use secrecy::SecretString;

use self::{
    conversation::{Patience, deliver, reset},
    failure::Failure,
    pool::{Kept, Pool},
    server::Server,
};
use super::{
    MailSender, MessageSigner, OutgoingMail, SendError,
    mime::{self, WireMessage},
};
use crate::domain::Invalid;

/// How many mails go over one connection: relays have limits of their own, most of a hundred.
const MAX_MAILS: u32 = 100;

pub use tls::holds_certificates;

/// Hands mails to a mail server over SMTP.
pub struct SmtpSender {
    server: Server,
    timeout: Duration,
    pool: Pool,
    signer: Option<Arc<dyn MessageSigner>>,
}

impl SmtpSender {
    /// Hands mails to the server that `url` names; each has to be settled within `timeout`. A certificate is taken that
    /// the machine trusts, or that one of `roots` (PEM) has signed.
    pub fn new(url: &SecretString, timeout: Duration, roots: Option<&[u8]>) -> Result<Self, Invalid> {
        Ok(Self { server: Server::parse(url, roots)?, timeout, pool: Pool::default(), signer: None })
    }

    /// Has each message signed, if there is somebody who signs.
    #[must_use]
    pub fn signed_by(self, signer: Option<Arc<dyn MessageSigner>>) -> Self {
        Self { signer, ..self }
    }

    /// Hands over a mail on a connection that was kept, or else on a new one.
    async fn deliver(&self, message: &WireMessage, patience: Patience) -> Result<(), Failure> {
        if let Some(mut kept) = self.pool.take() {
            let outcome = deliver(&mut kept.connection, message, patience).await;
            // A server may hang up on whoever is idle; nothing of the mail was said by then.
            if !outcome.as_ref().is_err_and(Failure::is_stale) {
                return self.done(kept, outcome).await;
            }
            // The others have been idle for longer.
            self.pool.clear();
        }
        let mut kept = Kept::new(self.server.connect(patience).await?);
        let outcome = deliver(&mut kept.connection, message, patience).await;
        self.done(kept, outcome).await
    }

    /// Keeps the connection for the next mail if both sides agree on where they are, and takes leave otherwise.
    async fn done(&self, mut kept: Kept, outcome: Result<(), Failure>) -> Result<(), Failure> {
        kept.mails += 1;
        let is_in_step = match &outcome {
            Ok(()) => true,
            Err(failure) if failure.is_refusal() => {
                reset(&mut kept.connection, Patience::new(pool::GOODBYE)).await.is_ok()
            }
            // Who has fallen silent in the middle of something doesn't take a goodbye for one.
            Err(failure) if failure.is_silence => return outcome,
            Err(_) => false,
        };
        if is_in_step && kept.mails < MAX_MAILS {
            self.pool.put(kept);
        } else {
            kept.quit().await;
        }
        outcome
    }
}

#[async_trait]
impl MailSender for SmtpSender {
    async fn send(&self, mail: &OutgoingMail<'_>) -> Result<(), SendError> {
        let message = mime::form_signed(mail, self.signer.as_deref())?;
        let outcome = self.deliver(&message, Patience::new(self.timeout)).await;
        outcome.map_err(|failure| failure.classify(self.server.password()))
    }

    async fn close_idle(&self, idle_for: Duration) {
        self.pool.close_idle(idle_for).await;
    }
}

impl fmt::Debug for SmtpSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpSender")
            .field("server", &format_args!("{}", self.server))
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_password() {
        let url = SecretString::from("smtps://user:hunter2@mail.example");
        let sender = SmtpSender::new(&url, Duration::from_secs(30), None).unwrap();
        assert_eq!(format!("{sender:?}"), "SmtpSender { server: mail.example:465, timeout: 30s, .. }");
    }
}
