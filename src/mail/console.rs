//! Shows mails on standard output, for development.

use std::{
    fmt::Write as _,
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;

use super::{MailSender, OutgoingMail, SendError, mime};

/// How wide the lines above and below a mail are.
const RULE_WIDTH: usize = 72;

/// Says what to show below a mail.
pub type Hint = Box<dyn Fn(&OutgoingMail<'_>) -> Option<String> + Send + Sync>;

/// Shows each mail as a person would read it, between two lines.
pub struct ConsoleSender {
    writer: Mutex<Box<dyn Write + Send>>,
    hint: Option<Hint>,
}

impl ConsoleSender {
    /// Shows mails on standard output.
    pub fn stdout() -> Self {
        Self::new(Box::new(io::stdout()))
    }

    /// Shows mails on `writer`; each is one write.
    pub fn new(writer: Box<dyn Write + Send>) -> Self {
        Self { writer: Mutex::new(writer), hint: None }
    }

    /// Adds what `hint` says below each mail.
    #[must_use]
    pub fn with_hint(self, hint: Hint) -> Self {
        Self { hint: Some(hint), ..self }
    }

    fn show(&self, mail: &OutgoingMail<'_>) -> String {
        let rule = "-".repeat(RULE_WIDTH);
        let mut shown = format!("{rule}\n");
        for (name, value) in
            [("From", mail.text.from.as_str()), ("To", mail.recipient), ("Subject", &mail.text.subject)]
        {
            let _ = writeln!(shown, "{name}: {}", escape(value));
        }
        shown.push('\n');
        push_lines(&mut shown, mail.text.body());
        let _ = writeln!(shown, "{rule}");
        if let Some(hint) = self.hint.as_ref().and_then(|hint| hint(mail)) {
            push_lines(&mut shown, &hint);
        }
        shown
    }
}

#[async_trait]
impl MailSender for ConsoleSender {
    async fn send(&self, mail: &OutgoingMail<'_>) -> Result<(), SendError> {
        // What no mail server would be given isn't shown either.
        mime::form(mail)?;
        let shown = self.show(mail);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer
            .write_all(shown.as_bytes())
            .and_then(|()| writer.flush())
            .map_err(|error| SendError::Unavailable(format!("can't show the mail: {error}")))
    }
}

fn push_lines(shown: &mut String, text: &str) {
    for line in mime::lines(text.trim_end_matches(['\r', '\n'])) {
        shown.push_str(&escape(line));
        shown.push('\n');
    }
}

/// Escapes what a terminal would obey instead of showing it, and what turns its text round.
fn escape(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    for c in line.chars() {
        let obeyed = c.is_control() && c != '\t';
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if obeyed || turns {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use secrecy::SecretString;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        Timestamp,
        mail::{MailId, MailKind, MailText},
    };

    /// Keeps every write apart.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<String>>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    async fn send(sender: &ConsoleSender, subject: &str, body: &str) -> Result<(), SendError> {
        let text = MailText {
            from: "The Shop <shop@shop.example>".into(),
            subject: subject.into(),
            body: SecretString::from(body),
            html: None,
        };
        sender
            .send(&OutgoingMail {
                id: MailId(Uuid::from_u128(1)),
                kind: MailKind::Activation,
                recipient: "alice@example.com",
                create_time: Timestamp::from_timestamp(1_700_000_000, 0).unwrap(),
                text: &text,
            })
            .await
    }

    #[tokio::test]
    async fn a_mail_is_shown_between_two_lines_in_one_write() {
        let writes = Writes::default();
        let sender = ConsoleSender::new(Box::new(writes.clone()))
            .with_hint(Box::new(|mail| Some(format!("next: activate {}", mail.recipient))));
        send(&sender, "Grüße", "Hello alice,\r\n\r\n\tthe key\n").await.unwrap();
        let writes = writes.0.lock().unwrap();
        let [shown] = &writes[..] else { panic!("one write") };
        insta::assert_snapshot!(shown.replace('\t', "<tab>"), @"
        ------------------------------------------------------------------------
        From: The Shop <shop@shop.example>
        To: alice@example.com
        Subject: Grüße

        Hello alice,

        <tab>the key
        ------------------------------------------------------------------------
        next: activate alice@example.com
        ");
    }

    #[tokio::test]
    async fn nobody_drives_a_terminal_through_a_mail() {
        let writes = Writes::default();
        let sender =
            ConsoleSender::new(Box::new(writes.clone())).with_hint(Box::new(|_| Some("\u{1b}c".into())));
        send(
            &sender,
            "s \u{202e}",
            "\u{1b}[2J \u{9b}2J \u{7} \u{8} \0 \u{7f} \u{202e}evil\rover\u{85}x é 😀\tt",
        )
        .await
        .unwrap();
        let shown = writes.0.lock().unwrap().concat();
        assert!(!shown.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')), "{shown:?}");
        insta::assert_snapshot!(shown.replace('\t', "<tab>"), @r"
        ------------------------------------------------------------------------
        From: The Shop <shop@shop.example>
        To: alice@example.com
        Subject: s \u{202e}

        \u{1b}[2J \u{9b}2J \u{7} \u{8} \u{0} \u{7f} \u{202e}evil
        over\u{85}x é 😀<tab>t
        ------------------------------------------------------------------------
        \u{1b}c
        ");
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_tried_again_and_what_cannot_be_formed_is_not() {
        let outcome = send(&ConsoleSender::new(Box::new(Broken)), "s", "key").await;
        assert!(matches!(outcome, Err(SendError::Unavailable(_))), "{outcome:?}");
        let writes = Writes::default();
        let outcome = send(&ConsoleSender::new(Box::new(writes.clone())), "a\nb", "key").await;
        assert!(matches!(outcome, Err(SendError::Permanent(_))), "{outcome:?}");
        assert!(writes.0.lock().unwrap().is_empty());
    }
}
