//! Hands mails to a mail server: one connection for each mail, every step of it within a time of its own and all
//! of it within one timeout, and every failure sorted into those that are about the mail and those that will pass.

mod server;
mod stream;

use std::{fmt, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use lettre::transport::smtp::{
    Error,
    client::AsyncSmtpConnection,
    commands::{Data, Mail, Rcpt},
    response::Severity,
};
use secrecy::SecretString;
use tokio::time::{Instant, timeout, timeout_at};

use self::server::Server;
use super::{
    MailSender, MessageSigner, OutgoingMail, SendError,
    mime::{self, WireMessage},
};
use crate::domain::{Invalid, masking::mask_keys};

/// How long a server may take to say goodbye to a mail that is already settled.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);
/// How much of what a server says goes into an error.
const MAX_ERROR_CHARS: usize = 200;

/// Refusals that speak of the client or the server, not of the mail: a command that isn't known (500, 502)
/// or doesn't fit (503), a host that takes no mail (521), credentials or encryption wanted (530 to 538).
const ABOUT_US: [u16; 8] = [500, 502, 503, 521, 530, 534, 535, 538];

/// Hands mails to a mail server over SMTP.
pub struct SmtpSender {
    server: Server,
    timeout: Duration,
    signer: Option<Arc<dyn MessageSigner>>,
}

/// Where in a conversation something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    /// The greeting and the answer to EHLO.
    Greeting,
    /// Everything up to there, where TLS comes first: lettre does it in one.
    ConnectTls,
    /// The handshake and EHLO after it included.
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    Message,
}

/// What went wrong, with words of the server that aren't fit to be shown yet.
struct Failure {
    step: Step,
    code: Option<u16>,
    text: String,
    /// Whether the server said nothing at all.
    is_silence: bool,
}

/// The time that a conversation has.
#[derive(Debug, Clone, Copy)]
struct Patience {
    timeout: Duration,
    deadline: Instant,
}

impl SmtpSender {
    /// Hands mails to the server that `url` names; each has to be settled within `timeout`.
    pub fn new(url: &SecretString, timeout: Duration) -> Result<Self, Invalid> {
        Ok(Self { server: Server::parse(url)?, timeout, signer: None })
    }

    /// Has each message signed, if there is somebody who signs.
    #[must_use]
    pub fn signed_by(self, signer: Option<Arc<dyn MessageSigner>>) -> Self {
        Self { signer, ..self }
    }
}

#[async_trait]
impl MailSender for SmtpSender {
    async fn send(&self, mail: &OutgoingMail<'_>) -> Result<(), SendError> {
        let message = mime::form_signed(mail, self.signer.as_deref())?;
        let patience = Patience { timeout: self.timeout, deadline: Instant::now() + self.timeout };
        let mut connection = None;
        let outcome = async {
            let connection = connection.insert(self.server.connect(patience).await?);
            deliver(connection, message, patience).await
        }
        .await;
        // Who has fallen silent in the middle of something doesn't take a goodbye for one.
        let is_silent = outcome.as_ref().is_err_and(|failure| failure.is_silence);
        if let Some(mut connection) = connection.filter(|_| !is_silent) {
            let _ = timeout(QUIT_TIMEOUT, connection.quit()).await;
        }
        outcome.map_err(|failure| failure.classify(self.server.password()))
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

impl Patience {
    /// Takes a step within its time. Nothing in lettre is bounded but the TCP handshake.
    async fn step<T>(
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

async fn deliver(
    connection: &mut AsyncSmtpConnection,
    message: WireMessage,
    patience: Patience,
) -> Result<(), Failure> {
    let completion = Severity::PositiveCompletion;
    let WireMessage { sender, recipient, text } = message;
    let mut talk = Talk { connection, patience };
    talk.say(Step::Mail, Mail::new(Some(sender), Vec::new()), completion).await?;
    talk.say(Step::Rcpt, Rcpt::new(recipient, Vec::new()), completion).await?;
    talk.say(Step::Data, Data, Severity::PositiveIntermediate).await?;
    // One write of ours, not two of lettre's: without TCP_NODELAY, which can't be set below implicit TLS,
    // the second would wait 40 ms for the ACK of the first.
    talk.say(Step::Message, stuff_dots(&text), completion).await
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

impl Step {
    fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::Greeting => "greeting",
            Self::ConnectTls => "connecting over TLS",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Message => "message",
        }
    }

    /// Whether a refusal at this step is one of this mail or its recipient. MAIL names the sender only,
    /// the same for every mail of a site: what is wrong there is for the operator to mend.
    fn is_about_the_mail(self) -> bool {
        match self {
            Self::Connect | Self::Greeting | Self::ConnectTls | Self::StartTls | Self::Auth | Self::Mail => {
                false
            }
            Self::Rcpt | Self::Data | Self::Message => true,
        }
    }
}

impl Failure {
    fn at(step: Step) -> impl FnOnce(Error) -> Self {
        move |error| {
            let code = error.status().map(u16::from);
            // What a server says to our credentials may repeat them, encoded.
            let text = match (code, std::error::Error::source(&error)) {
                _ if step == Step::Auth && !error.is_client() => String::new(),
                (Some(_), Some(said)) => said.to_string(),
                (Some(_), None) => String::new(),
                (None, _) => error.to_string(),
            };
            Self { step, code, text, is_silence: false }
        }
    }

    fn connecting(error: &io::Error) -> Self {
        Self { step: Step::Connect, code: None, text: error.to_string(), is_silence: false }
    }

    fn silence(step: Step, waited: Duration) -> Self {
        Self { step, code: None, text: format!("no answer within {waited:.1?}"), is_silence: true }
    }

    fn classify(self, password: Option<&str>) -> SendError {
        let code = self.code.map(|code| format!(" {code}")).unwrap_or_default();
        let said = clean(&self.text, password);
        let text = format!("{}:{code} {said}", self.step.as_str()).trim_end().to_owned();
        let refused = self.code.is_some_and(|code| code >= 500 && !ABOUT_US.contains(&code));
        if refused && self.step.is_about_the_mail() {
            SendError::Permanent(text)
        } else {
            SendError::Transient(text)
        }
    }
}

/// A piece of what a server said that is fit for a log: it may have repeated the mail.
fn clean(text: &str, password: Option<&str>) -> String {
    let mut text: String = text.chars().filter(|c| !c.is_control()).collect();
    // Masking a shorter one would garble every error, and give it away by where the masks are.
    if let Some(password) = password.filter(|password| password.len() >= 4) {
        text = text.replace(password, "***");
    }
    mask_keys(&text).chars().take(MAX_ERROR_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn only_a_refusal_of_the_mail_is_permanent() {
        use Step::{Auth, Connect, ConnectTls, Data, Greeting, Mail, Message, Rcpt, StartTls};
        let is_permanent = |step, code| {
            let failure = Failure { step, code, text: String::new(), is_silence: false };
            matches!(failure.classify(None), SendError::Permanent(_))
        };
        for step in [Connect, Greeting, ConnectTls, StartTls, Auth, Mail, Rcpt, Data, Message] {
            let refused = matches!(step, Rcpt | Data | Message);
            for code in [501, 550, 551, 552, 553, 554, 556] {
                assert_eq!(is_permanent(step, Some(code)), refused, "{step:?} {code}");
            }
            for code in [250, 354, 421, 450, 451, 452, 454, 500, 502, 503, 521, 530, 534, 535, 538] {
                assert!(!is_permanent(step, Some(code)), "{step:?} {code}");
            }
            assert!(!is_permanent(step, None), "{step:?}");
        }
    }

    #[test]
    fn an_error_repeats_neither_key_nor_password_nor_controls() {
        let text = format!("no {KEY}\r\n\u{1b}[2J <{KEY}> hunter2 {}", KEY.to_uppercase());
        assert_eq!(clean(&text, Some("hunter2")), "no ***[2J <***> *** ***");
        assert_eq!(clean("a mailbox", Some("a")), "a mailbox");
        let halves = format!("{} {}", &KEY[..20], &KEY[20..]);
        assert_eq!(clean(&halves, None), "*** ***");
        assert_eq!(clean(&format!("k\0{}\0{}k", &KEY[..20], &KEY[20..]), None), "k***k");
        assert_eq!(clean("SGVsbG8gYWxpY2UsIHRoZSBrZXkgaXMgaGVyZQ==SGVsbG8=", None), "***");
        assert_eq!(clean("5.1.1 queue id A1B2C3D4E5", None), "5.1.1 queue id A1B2C3D4E5");
        assert_eq!(clean(&"ä".repeat(500), None).chars().count(), MAX_ERROR_CHARS);
        let cut = clean(&format!("{}{KEY}", "- ".repeat(99)), None);
        assert!(cut.ends_with("- **") && cut.len() == MAX_ERROR_CHARS, "{cut}");
    }

    #[test]
    fn a_line_that_begins_with_a_dot_gets_another() {
        assert_eq!(stuff_dots("a: b\r\n\r\n.\r\n..x\r\ny.\r\n"), "a: b\r\n\r\n..\r\n...x\r\ny.\r\n.\r\n");
    }

    #[test]
    fn debug_shows_no_password() {
        let url = SecretString::from("smtps://user:hunter2@mail.example");
        let sender = SmtpSender::new(&url, Duration::from_secs(30)).unwrap();
        assert_eq!(format!("{sender:?}"), "SmtpSender { server: mail.example:465, timeout: 30s, .. }");
    }
}
