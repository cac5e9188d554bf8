//! The part of a conversation that is about one mail.

use std::{fmt, time::Duration};

use lettre::transport::smtp::{
    client::AsyncSmtpConnection,
    commands::{Data, Mail, Rcpt, Rset},
    response::Severity,
};
use tokio::time::{Instant, timeout_at};

use super::failure::{Failure, Step};
use crate::mail::mime::WireMessage;

/// The time that a conversation has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub timeout: Duration,
    pub deadline: Instant,
}

impl Patience {
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, deadline: Instant::now() + timeout }
    }

    /// Takes a step within its time. Nothing in lettre is bounded but the TCP handshake.
    pub async fn step<T>(
        self,
        step: Step,
        taken: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        let now = Instant::now();
        // After the final dot there is all that is left: a server that is cut off there may have taken the mail,
        // and would be left it a second time.
        let until =
            if step == Step::Message { self.deadline } else { self.deadline.min(now + self.timeout / 2) };
        let outcome = timeout_at(until, taken).await;
        outcome.unwrap_or_else(|_| Err(Failure::silence(step, until.saturating_duration_since(now))))
    }
}

/// Hands over one mail.
pub(super) async fn deliver(
    connection: &mut AsyncSmtpConnection,
    message: &WireMessage,
    patience: Patience,
) -> Result<(), Failure> {
    let completion = Severity::PositiveCompletion;
    let mut talk = Talk { connection, patience };
    talk.say(Step::Mail, Mail::new(Some(message.sender.clone()), Vec::new()), completion).await?;
    talk.say(Step::Rcpt, Rcpt::new(message.recipient.clone(), Vec::new()), completion).await?;
    talk.say(Step::Data, Data, Severity::PositiveIntermediate).await?;
    // One write of ours, not two of lettre's, and so one packet where it fits.
    talk.say(Step::Message, stuff_dots(&message.text), completion).await
}

/// Clears away a mail that was refused, so that the next one can begin.
pub(super) async fn reset(connection: &mut AsyncSmtpConnection, patience: Patience) -> Result<(), Failure> {
    Talk { connection, patience }.say(Step::Reset, Rset, Severity::PositiveCompletion).await
}

/// A conversation under way.
struct Talk<'a> {
    connection: &'a mut AsyncSmtpConnection,
    patience: Patience,
}

impl Talk<'_> {
    /// Says one thing and takes only the kind of answer that belongs to it, since after any other,
    /// lettre's included, the two sides would talk past each other.
    async fn say(
        &mut self,
        step: Step,
        command: impl fmt::Display + Send,
        expected: Severity,
    ) -> Result<(), Failure> {
        let said = async { self.connection.command(command).await.map_err(Failure::at(step)) };
        let answer = self.patience.step(step, said).await?;
        if answer.code().severity == expected {
            return Ok(());
        }
        let text = "is no answer to that".to_owned();
        Err(Failure { step, code: Some(answer.code().into()), text, is_silence: false })
    }
}

/// The message with its end, and no line before that which could be taken for the end (RFC 5321, 4.5.2).
fn stuff_dots(text: &str) -> String {
    format!("{}.\r\n", text.replace("\r\n.", "\r\n.."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_begins_with_a_dot_gets_another() {
        assert_eq!(stuff_dots("a: b\r\n\r\n.\r\n..x\r\ny.\r\n"), "a: b\r\n\r\n..\r\n...x\r\ny.\r\n.\r\n");
    }
}
