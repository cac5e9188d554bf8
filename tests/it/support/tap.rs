//! A way to a mail server that keeps every byte that its clients say.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't be set up has failed")]

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time,
};

use super::smtp::SmtpSink;

/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The way itself; it is gone when this is dropped.
pub struct Tap {
    address: SocketAddr,
    said: watch::Sender<Vec<Vec<u8>>>,
    _carriers: JoinSet<()>,
}

/// What a client said to a mail server to leave it one message.
#[derive(Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Every command before the message, each without its line's end.
    pub commands: Vec<String>,
    /// The lines of the message as they came over the wire, stuffed dots and all.
    pub lines: Vec<String>,
}

impl Tap {
    /// A way to a mail server.
    pub async fn to(sink: &SmtpSink) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let said = watch::Sender::new(Vec::new());
        let mut carriers = JoinSet::new();
        carriers.spawn(accept(listener, sink.address(), said.clone()));
        Self { address, said, _carriers: carriers }
    }

    /// What `mail.smtp.url` says to take it.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// What was said in every connection that has ended, once so many have.
    pub async fn said(&self, count: usize) -> Vec<Vec<u8>> {
        let mut said = self.said.subscribe();
        let waited = time::timeout(PATIENCE, said.wait_for(|said| said.len() >= count)).await;
        waited.unwrap_or_else(|_| panic!("too few connections")).expect("the tap lives").clone()
    }
}

impl Conversation {
    /// Reads what was said as strictly as a mail server may: panics unless it is one message and nothing after it.
    pub fn read(said: &[u8]) -> Self {
        let text = std::str::from_utf8(said).expect("a conversation in ASCII");
        assert!(text.is_ascii() && !text.contains('\0'), "{text:?}");
        let lines: Vec<_> =
            text.strip_suffix("\r\n").expect("an end of the last line").split("\r\n").collect();
        for line in &lines {
            assert!(line.len() <= 998 && !line.contains(['\r', '\n']), "{line:?}");
        }
        let is_data = |line: &&&str| **line == "DATA";
        let before: Vec<_> = lines.iter().take_while(|line| **line != "DATA").copied().collect();
        let after = lines.get(before.len() + 1..).expect("a message");
        let message: Vec<_> = after.iter().take_while(|line| **line != ".").copied().collect();
        assert_eq!(after.get(message.len()..), Some(&[".", "QUIT"][..]), "one message, and then goodbye");
        assert_eq!(before.iter().filter(is_data).count(), 0);
        let owned = |lines: Vec<&str>| lines.into_iter().map(ToOwned::to_owned).collect();
        Self { commands: owned(before), lines: owned(message) }
    }

    /// The names of the message's headers, in their order.
    pub fn headers(&self) -> Vec<&str> {
        let headers = self.lines.iter().take_while(|line| !line.is_empty());
        let own = headers.filter(|line| !line.starts_with([' ', '\t']));
        own.map(|line| line.split(':').next().unwrap_or_default()).collect()
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, said: watch::Sender<Vec<Vec<u8>>>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let said = said.clone();
        connections.spawn(async move {
            let kept = carry(client, server).await.unwrap_or_default();
            said.send_modify(|said| said.push(kept));
        });
    }
}

/// Carries both ways until the client has hung up, and returns what it said.
async fn carry(client: TcpStream, server: SocketAddr) -> io::Result<Vec<u8>> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    let back = io::copy(&mut from_server, &mut to_client);
    let forth = async move {
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            // A client that cuts the connection off has ended it, too.
            let count = from_client.read(&mut buffer).await.unwrap_or(0);
            let bytes = buffer.get(..count).unwrap_or_default();
            if bytes.is_empty() {
                return said;
            }
            said.extend_from_slice(bytes);
            let _ = to_server.write_all(bytes).await;
        }
    };
    let (said, _) = tokio::join!(forth, back);
    Ok(said)
}
