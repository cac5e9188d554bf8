//! A mail server of our own: it speaks enough ESMTP to be left mails, keeps them, and misbehaves on request.
//! Tests wait for what it has seen; nothing here sleeps.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't be set up has failed")]

pub mod tls;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mailparse::{MailAddr, MailHeaderMap as _};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time,
};
use tokio_rustls::TlsAcceptor;

/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a server that behaves says to EHLO …
const CAPABILITIES: &str = "250-sink.example\r\n250-8BITMIME\r\n250 AUTH PLAIN";
/// … and what before it has encrypted.
const CAPABILITIES_WITH_TLS: &str = "250-sink.example\r\n250-STARTTLS\r\n250 8BITMIME";

/// A mail server on a free port of this machine; it stops when it is dropped.
pub struct SmtpSink {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// How many mails `next_mail` has returned.
    returned: AtomicUsize,
    _server: JoinSet<()>,
}

/// Where in a conversation a client is: what it has said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it has connected.
    Greeting,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// The message and its final dot.
    Message,
    Quit,
}

/// What the server does instead of what it should.
#[derive(Debug, Clone)]
pub enum Action {
    /// Answers this line or these lines. 2xx and 3xx have their usual effect.
    Reply(String),
    /// Sends these bytes and carries on.
    Raw(Vec<u8>),
    /// Sends one line without end.
    Endless,
    /// Never answers.
    Stall,
    /// Closes the connection.
    Drop,
    /// Keeps the message, and closes the connection instead of saying so.
    KeepAndDrop,
    /// Keeps the message, and says so when it is told to.
    KeepAndHold(watch::Receiver<bool>),
    /// Answers as it should, a byte a second.
    Dribble,
    /// Says to go on, and resets the connection in the middle of the message.
    ResetInData,
}

/// A mail as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub recipients: Vec<String>,
    /// Headers and body, without the dots that SMTP adds.
    pub data: Vec<u8>,
}

/// A mail as its reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedMail {
    pub recipient: String,
    pub subject: String,
    /// The plain text, decoded, its lines ended by LF.
    pub body: String,
    /// The HTML, decoded, its lines ended by LF.
    pub html: Option<String>,
    /// Without its angle brackets.
    pub message_id: String,
}

/// When the conversation is encrypted.
#[derive(Clone)]
pub enum Encryption {
    Never,
    /// From the first byte.
    Implicit(TlsAcceptor),
    /// Once the client asks for it.
    StartTls(TlsAcceptor),
}

/// A connection, encrypted or not.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

struct Shared {
    encryption: Encryption,
    /// How many connections it takes at once, and how many it has.
    most_connections: AtomicUsize,
    connections: AtomicUsize,
    rules: Mutex<Vec<Rule>>,
    kept: watch::Sender<Vec<ReceivedMail>>,
    steps: watch::Sender<Vec<Step>>,
}

struct Rule {
    step: Step,
    action: Action,
    /// Only for mails to a recipient who ends like this.
    recipient: Option<String>,
    /// Only once this many mails have been kept.
    after: usize,
    /// Only so many times more.
    times: usize,
}

impl SmtpSink {
    /// Starts a server that behaves.
    pub async fn start() -> Self {
        Self::start_encrypted(Encryption::Never).await
    }

    /// Starts a server that behaves, and encrypts.
    pub async fn start_encrypted(encryption: Encryption) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), encryption).await
    }

    /// Starts a server that behaves at an address.
    pub async fn start_at(address: SocketAddr, encryption: Encryption) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let shared = Arc::new(Shared {
            encryption,
            most_connections: AtomicUsize::new(usize::MAX),
            connections: AtomicUsize::new(0),
            rules: Mutex::default(),
            kept: watch::Sender::new(Vec::new()),
            steps: watch::Sender::new(Vec::new()),
        });
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&shared)));
        Self { address, shared, returned: AtomicUsize::new(0), _server: server }
    }

    /// What `mail.smtp.url` says to reach it.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on does `action` at `step`.
    pub fn at(&self, step: Step, action: Action) {
        self.add(Rule { step, action, recipient: None, after: 0, times: usize::MAX });
    }

    /// Does `action` at `step` the next so many times.
    pub fn at_times(&self, times: usize, step: Step, action: Action) {
        self.add(Rule { step, action, recipient: None, after: 0, times });
    }

    /// Does `action` at `step` once it has kept so many mails.
    pub fn at_after(&self, after: usize, step: Step, action: Action) {
        self.add(Rule { step, action, recipient: None, after, times: usize::MAX });
    }

    /// Does `action` at `step` where a mail goes to a recipient that ends like this: an address, or a domain.
    pub fn at_recipient(&self, recipient: &str, step: Step, action: Action) {
        self.add(Rule { step, action, recipient: Some(recipient.to_owned()), after: 0, times: usize::MAX });
    }

    /// From now on turns away whoever connects while it has so many connections.
    pub fn limit_connections(&self, most: usize) {
        self.shared.most_connections.store(most, Ordering::SeqCst);
    }

    /// Behaves again.
    pub fn behave(&self) {
        self.shared.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The next mail that this hasn't returned yet.
    pub async fn next_mail(&self) -> ReceivedMail {
        let index = self.returned.fetch_add(1, Ordering::SeqCst);
        self.mails(index + 1).await.swap_remove(index)
    }

    /// All mails so far, once there are at least `count`.
    pub async fn mails(&self, count: usize) -> Vec<ReceivedMail> {
        wait(&self.shared.kept, "mails", |mails| mails.len() >= count).await
    }

    /// All steps of all conversations so far, once `step` is among them at least `count` times.
    pub async fn steps(&self, step: Step, count: usize) -> Vec<Step> {
        let reached = |steps: &Vec<Step>| steps.iter().filter(|other| **other == step).count() >= count;
        wait(&self.shared.steps, "steps", reached).await
    }

    fn add(&self, rule: Rule) {
        self.shared.rules.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }
}

impl ReceivedMail {
    /// What a reader sees; panics unless it is one well-formed mail to the one recipient of its envelope.
    pub fn parse(&self) -> ParsedMail {
        let text = String::from_utf8(self.data.clone()).expect("a message in ASCII");
        assert!(text.is_ascii() && text.ends_with("\r\n"), "{text:?}");
        for line in text.split("\r\n") {
            assert!(line.len() <= 998 && !line.contains(['\r', '\n', '\0']), "{line:?}");
        }
        let parsed = mailparse::parse_mail(&self.data).expect("a message of RFC 5322");
        let header = |name| {
            let values = parsed.headers.get_all_values(name);
            assert_eq!(values.len(), 1, "one {name}");
            values.concat()
        };
        let recipients = mailparse::addrparse(&header("To")).expect("a list of addresses");
        let recipient = match recipients.as_slice() {
            [MailAddr::Single(recipient)] => recipient.addr.clone(),
            other => panic!("one recipient, not {other:?}"),
        };
        assert_eq!(self.recipients, std::slice::from_ref(&recipient));
        assert!(
            parsed.headers.get_first_value("Bcc").is_none() && parsed.headers.get_first_value("Cc").is_none()
        );
        let mut parts: Vec<_> = parsed.parts().filter(|part| part.subparts.is_empty()).collect();
        assert_eq!(
            parsed.parts().count(),
            if parts.len() == 1 { 1 } else { 3 },
            "a text, or a text and HTML"
        );
        let decoded = |part: &mailparse::ParsedMail<'_>| {
            assert_eq!(part.ctype.charset, "utf-8");
            part.get_body().expect("a body").replace("\r\n", "\n")
        };
        let html = parts.pop_if(|part| part.ctype.mimetype == "text/html").map(decoded);
        assert!(parts.iter().all(|part| part.ctype.mimetype == "text/plain"));
        ParsedMail {
            recipient,
            subject: header("Subject"),
            body: parts.first().map(|part| decoded(part)).expect("a plain text"),
            html,
            message_id: header("Message-ID").trim_matches(['<', '>']).to_owned(),
        }
    }
}

async fn wait<T: Clone>(seen: &watch::Sender<T>, what: &str, enough: impl FnMut(&T) -> bool) -> T {
    let mut seen = seen.subscribe();
    let waited = time::timeout(PATIENCE, seen.wait_for(enough)).await;
    waited.unwrap_or_else(|_| panic!("too few {what}")).expect("the sink lives").clone()
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut conversations = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        conversations.spawn(async move {
            // A client that hangs up is no failure of the server.
            let stream: Box<dyn Io> = match &shared.encryption {
                Encryption::Never | Encryption::StartTls(_) => Box::new(stream),
                Encryption::Implicit(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => Box::new(stream),
                    Err(_) => return,
                },
            };
            let here = shared.connections.fetch_add(1, Ordering::SeqCst);
            let is_full = here >= shared.most_connections.load(Ordering::SeqCst);
            let mut conversation = Conversation::new(stream, Arc::clone(&shared));
            let _ = if is_full {
                conversation.write(b"421 4.7.0 too many connections\r\n").await
            } else {
                conversation.run().await
            };
            shared.connections.fetch_sub(1, Ordering::SeqCst);
        });
        while conversations.try_join_next().is_some() {}
    }
}

/// One client, and the mail that it is about to leave.
struct Conversation {
    stream: BufReader<Box<dyn Io>>,
    is_encrypted: bool,
    shared: Arc<Shared>,
    from: Option<String>,
    recipients: Vec<String>,
}

impl Conversation {
    fn new(stream: Box<dyn Io>, shared: Arc<Shared>) -> Self {
        let is_encrypted = matches!(shared.encryption, Encryption::Implicit(_));
        Self { stream: BufReader::new(stream), is_encrypted, shared, from: None, recipients: Vec::new() }
    }

    async fn run(mut self) -> io::Result<()> {
        self.answer(Step::Greeting, "220 sink.example ESMTP").await?;
        while let Some(line) = self.read_line().await? {
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => {
                    self.reset();
                    let offers_tls =
                        matches!(self.shared.encryption, Encryption::StartTls(_)) && !self.is_encrypted;
                    let capabilities = if offers_tls { CAPABILITIES_WITH_TLS } else { CAPABILITIES };
                    self.answer(Step::Ehlo, capabilities).await?;
                }
                "STARTTLS" => {
                    if let Encryption::StartTls(acceptor) = self.shared.encryption.clone() {
                        if self.answer(Step::StartTls, "220 2.0.0 go on").await? {
                            self.encrypt(&acceptor).await?;
                        }
                    } else if self.answer(Step::StartTls, "502 5.5.1 no TLS here").await? {
                        // It has none, so it can't say anything more.
                        return std::future::pending().await;
                    }
                }
                "AUTH" => {
                    self.answer(Step::Auth, "235 2.7.0 welcome").await?;
                }
                "MAIL" => self.mail(rest).await?,
                "RCPT" => self.rcpt(rest).await?,
                "DATA" => self.data().await?,
                "RSET" => {
                    self.reset();
                    self.write(b"250 2.0.0 forgotten\r\n").await?;
                }
                "NOOP" => self.write(b"250 2.0.0 nothing done\r\n").await?,
                "QUIT" => {
                    self.answer(Step::Quit, "221 2.0.0 bye").await?;
                    return Ok(());
                }
                _ => self.write(b"500 5.5.2 unknown command\r\n").await?,
            }
        }
        Ok(())
    }

    async fn encrypt(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        let (nothing, _) = tokio::io::duplex(1);
        let plain = std::mem::replace(&mut self.stream, BufReader::new(Box::new(nothing))).into_inner();
        self.stream = BufReader::new(Box::new(acceptor.accept(plain).await?));
        self.is_encrypted = true;
        Ok(())
    }

    async fn mail(&mut self, rest: &str) -> io::Result<()> {
        if self.from.is_some() {
            return self.write(b"503 5.5.1 one mail at a time\r\n").await;
        }
        if self.answer(Step::Mail, "250 2.1.0 sender ok").await? {
            self.from = Some(address(rest));
        }
        Ok(())
    }

    async fn rcpt(&mut self, rest: &str) -> io::Result<()> {
        if self.from.is_none() {
            return self.write(b"503 5.5.1 MAIL first\r\n").await;
        }
        self.recipients.push(address(rest));
        if !self.answer(Step::Rcpt, "250 2.1.5 recipient ok").await? {
            self.recipients.pop();
        }
        Ok(())
    }

    async fn data(&mut self) -> io::Result<()> {
        if self.recipients.is_empty() {
            return self.write(b"503 5.5.1 RCPT first\r\n").await;
        }
        if !self.answer(Step::Data, "354 go on, end with a dot").await? {
            return Ok(());
        }
        let data = self.read_message().await?;
        let from = self.from.take().unwrap_or_default();
        let mail = ReceivedMail { from, recipients: self.recipients.clone(), data };
        let action = self.action(Step::Message);
        let keep = match &action {
            None | Some(Action::KeepAndDrop | Action::KeepAndHold(_) | Action::Dribble) => true,
            Some(Action::Reply(reply)) => reply.starts_with('2'),
            Some(Action::Raw(_) | Action::Endless | Action::Stall | Action::Drop | Action::ResetInData) => {
                false
            }
        };
        if keep {
            self.shared.kept.send_modify(|kept| kept.push(mail));
        }
        self.reset();
        self.perform(action, "250 2.0.0 queued as 4T3BQ2").await?;
        Ok(())
    }

    fn reset(&mut self) {
        self.from = None;
        self.recipients.clear();
    }

    /// Answers as it should or as it was told to; true if the client may take that for a yes.
    async fn answer(&mut self, step: Step, reply: &str) -> io::Result<bool> {
        let action = self.action(step);
        self.perform(action, reply).await
    }

    /// Notes the step, and finds the first rule for it.
    fn action(&self, step: Step) -> Option<Action> {
        self.shared.steps.send_modify(|steps| steps.push(step));
        let kept = self.shared.kept.borrow().len();
        let mut rules = self.shared.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let rule = rules.iter_mut().find(|rule| {
            let addressed =
                rule.recipient.as_ref().is_none_or(|end| self.recipients.iter().any(|to| to.ends_with(end)));
            rule.step == step && rule.times > 0 && rule.after <= kept && addressed
        })?;
        rule.times -= 1;
        Some(rule.action.clone())
    }

    async fn perform(&mut self, action: Option<Action>, reply: &str) -> io::Result<bool> {
        let reply = match action {
            None => reply.to_owned(),
            Some(Action::Reply(reply)) => reply,
            Some(Action::KeepAndHold(mut released)) => {
                released.wait_for(|released| *released).await.map_err(io::Error::other)?;
                reply.to_owned()
            }
            Some(Action::Dribble) => {
                for byte in format!("{reply}\r\n").bytes() {
                    self.write(&[byte]).await?;
                    time::sleep(Duration::from_secs(1)).await;
                }
                return Ok(true);
            }
            Some(Action::Raw(bytes)) => {
                self.write(&bytes).await?;
                return Ok(false);
            }
            Some(Action::Endless) => loop {
                self.write(&[b'x'; 4096]).await?;
            },
            Some(Action::Stall) => std::future::pending().await,
            Some(Action::ResetInData) => {
                self.write(b"354 go on\r\n").await?;
                // A connection that is closed with something unread is reset.
                self.stream.get_mut().read_u8().await?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Some(Action::Drop | Action::KeepAndDrop) => return Err(io::ErrorKind::ConnectionAborted.into()),
        };
        self.write(format!("{reply}\r\n").as_bytes()).await?;
        Ok(reply.starts_with(['2', '3']))
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes).await?;
        self.stream.get_mut().flush().await
    }

    async fn read_line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let count = self.stream.read_until(b'\n', &mut line).await?;
        Ok((count > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned()))
    }

    /// Reads up to CRLF dot CRLF, and to nothing less, and takes the added dots away.
    async fn read_message(&mut self) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        let mut at_line_start = true;
        loop {
            let mut line = Vec::new();
            if self.stream.read_until(b'\n', &mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if at_line_start && line == b".\r\n" {
                return Ok(message);
            }
            let added = at_line_start && line.first() == Some(&b'.');
            message.extend_from_slice(line.get(usize::from(added)..).unwrap_or_default());
            at_line_start = line.ends_with(b"\r\n");
        }
    }
}

/// What stands between the angle brackets.
fn address(rest: &str) -> String {
    let inside = rest.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map(|(address, _)| address.to_owned()).unwrap_or_default()
}
