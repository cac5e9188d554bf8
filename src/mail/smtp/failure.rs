//! What goes wrong between us and a mail server, and whose fault it is.

use std::{io, time::Duration};

use lettre::transport::smtp::Error;

use crate::{domain::masking::mask_keys, mail::SendError};

/// The server ends the conversation, whatever was said.
const CLOSING: u16 = 421;

/// How much of what a server says goes into an error.
const MAX_ERROR_CHARS: usize = 200;

/// Refusals that speak of the client or the server, not of the mail: a command that isn't known (500, 502)
/// or doesn't fit (503), a host that takes no mail (521), credentials or encryption wanted (530 to 538).
const ABOUT_US: [u16; 8] = [500, 502, 503, 521, 530, 534, 535, 538];

/// Where in a conversation something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    /// The greeting and the answer to EHLO.
    Greeting,
    /// The handshake, where TLS comes first.
    ConnectTls,
    /// The handshake and EHLO after it included.
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    Message,
    /// Clearing away what was refused.
    Reset,
}

/// What went wrong, with words of the server that aren't fit to be shown yet.
pub(super) struct Failure {
    pub step: Step,
    pub code: Option<u16>,
    pub text: String,
    /// Whether the server said nothing at all.
    pub is_silence: bool,
}

impl Step {
    fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::Greeting => "greeting",
            Self::ConnectTls => "TLS",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Message => "message",
            Self::Reset => "RSET",
        }
    }

    /// Where in the conversation this is: before a mail, at its sender, which is the same for every mail of a site, or at
    /// its recipient and its text.
    fn part(self) -> Part {
        match self {
            Self::Connect | Self::Greeting | Self::ConnectTls | Self::StartTls | Self::Auth | Self::Reset => {
                Part::Server
            }
            Self::Mail => Part::Sender,
            Self::Rcpt | Self::Data | Self::Message => Part::Mail,
        }
    }
}

/// What a step is about.
enum Part {
    Server,
    Sender,
    Mail,
}

impl Failure {
    pub fn at(step: Step) -> impl FnOnce(Error) -> Self {
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

    pub fn connecting(step: Step, error: &io::Error) -> Self {
        Self { step, code: None, text: error.to_string(), is_silence: false }
    }

    pub fn silence(step: Step, waited: Duration) -> Self {
        Self { step, code: None, text: format!("no answer within {waited:.1?}"), is_silence: true }
    }

    /// Whether the server has said no, so that both sides still agree on where they are.
    pub fn is_refusal(&self) -> bool {
        self.code.is_some_and(|code| code >= 400 && code != CLOSING)
    }

    /// Whether a connection that was kept had ended, before anything of the mail was said.
    pub fn is_stale(&self) -> bool {
        matches!(self.step, Step::Mail) && !self.is_silence && self.code.is_none_or(|code| code == CLOSING)
    }

    pub fn classify(self, password: Option<&str>) -> SendError {
        let code = self.code.map(|code| format!(" {code}")).unwrap_or_default();
        let said = clean(&self.text, password);
        let text = format!("{}:{code} {said}", self.step.as_str()).trim_end().to_owned();
        // A reply of another kind than belongs to the command is no answer either.
        let refused = self.code.filter(|code| *code >= 400);
        match (self.step.part(), refused) {
            (Part::Sender, Some(code)) if ABOUT_US.contains(&code) => SendError::Unavailable(text),
            (Part::Server, _) | (Part::Sender, None | Some(CLOSING)) => SendError::Unavailable(text),
            // It may be said of one recipient alone, so that the mail has to wait its turn like any other.
            (Part::Mail, Some(code)) if ABOUT_US.contains(&code) => SendError::Transient(text),
            (Part::Mail, None | Some(CLOSING)) => SendError::Interrupted(text),
            (Part::Mail, Some(500..)) if !is_relaying_refused(&self.text) => SendError::Permanent(text),
            (Part::Sender | Part::Mail, Some(_)) => SendError::Transient(text),
        }
    }
}

/// Whether a relay says that it does not relay for us, which its settings or ours can mend. Servers have no code of
/// their own for it, but all have the word; where the recipient itself is unknown (5.1.x), it is about that.
fn is_relaying_refused(text: &str) -> bool {
    text.to_ascii_lowercase().contains("relay") && !text.trim_start().starts_with("5.1.")
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
    fn whose_fault_it_is() {
        use Step::{Auth, Connect, ConnectTls, Data, Greeting, Mail, Message, Rcpt, Reset, StartTls};
        let class = |step, code| {
            let failure = Failure { step, code, text: String::new(), is_silence: false };
            match failure.classify(None) {
                SendError::Unavailable(_) => "server",
                SendError::Interrupted(_) => "broken off",
                SendError::Transient(_) => "for now",
                SendError::Permanent(_) => "for good",
            }
        };
        for step in [Connect, Greeting, ConnectTls, StartTls, Auth, Reset] {
            for code in [None, Some(250), Some(354), Some(421), Some(450), Some(535), Some(550), Some(554)] {
                assert_eq!(class(step, code), "server", "{step:?} {code:?}");
            }
        }
        for (code, at_mail, at_mails_own) in [
            (None, "server", "broken off"),
            (Some(250), "server", "broken off"),
            (Some(354), "server", "broken off"),
            (Some(421), "server", "broken off"),
            (Some(450), "for now", "for now"),
            (Some(451), "for now", "for now"),
            (Some(452), "for now", "for now"),
            (Some(454), "for now", "for now"),
            (Some(501), "for now", "for good"),
            (Some(550), "for now", "for good"),
            (Some(552), "for now", "for good"),
            (Some(554), "for now", "for good"),
        ] {
            assert_eq!(class(Mail, code), at_mail, "{code:?}");
            for step in [Rcpt, Data, Message] {
                assert_eq!(class(step, code), at_mails_own, "{step:?} {code:?}");
            }
        }
        for code in ABOUT_US {
            assert_eq!(class(Mail, Some(code)), "server", "{code}");
            for step in [Rcpt, Data, Message] {
                assert_eq!(class(step, Some(code)), "for now", "{step:?} {code}");
            }
        }
    }

    #[test]
    fn a_relay_that_does_not_relay_is_not_the_recipients_fault() {
        for (text, refused) in [
            ("5.7.1 <a@example.com>: Relay access denied", true),
            ("relay not permitted", true),
            ("5.7.64 TenantAttribution; Relay Access Denied", true),
            ("5.7.1 Relaying denied", true),
            (
                "5.1.1 <a@example.com>: Recipient address rejected: User unknown in relay recipient table",
                false,
            ),
            ("5.1.1 no such user", false),
            ("5.7.1 spam", false),
        ] {
            let text = text.to_owned();
            let failure = Failure { step: Step::Rcpt, code: Some(554), text, is_silence: false };
            assert_eq!(matches!(failure.classify(None), SendError::Transient(_)), refused);
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
}
