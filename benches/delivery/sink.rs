//! A mail server that takes mails as fast as it can, or after a while, or not.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

/// How the server is today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Takes everything, and thinks so long about each answer.
    Good(Duration),
    /// Takes a connection and says nothing.
    Silent,
    /// Has no time for anybody.
    Closing,
    /// Puts every recipient off.
    Later,
    /// Refuses a tenth of the recipients for now and a tenth for good, by the last digit before the at sign.
    Mixed,
}

/// A mail server on a free port.
pub struct Sink {
    pub address: SocketAddr,
    taken: Arc<Mutex<HashMap<String, Instant>>>,
    server: JoinHandle<()>,
}

impl Sink {
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(Mutex::new(HashMap::new()));
        let taking = Arc::clone(&taken);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, mood, Arc::clone(&taking)));
            }
        });
        Self { address, taken, server }
    }

    /// When each recipient's mail was taken.
    pub fn taken(&self) -> HashMap<String, Instant> {
        self.taken.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.taken.lock().unwrap().len()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(stream: TcpStream, mood: Mood, taken: Arc<Mutex<HashMap<String, Instant>>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    match mood {
        Mood::Silent => return std::future::pending().await,
        Mood::Closing => return stream.get_mut().write_all(b"421 4.3.2 not now\r\n").await,
        Mood::Good(_) | Mood::Later | Mood::Mixed => {}
    }
    stream.get_mut().write_all(b"220 sink.example ESMTP\r\n").await?;
    let (mut line, mut recipient) = (Vec::new(), String::new());
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let reply: &[u8] = match line.get(..4).unwrap_or_default() {
            b"EHLO" => b"250-sink.example\r\n250 8BITMIME\r\n",
            b"RCPT" => {
                let text = String::from_utf8_lossy(&line);
                recipient = text.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                let last = recipient.split('@').next().and_then(|local| local.chars().last());
                match (mood, last) {
                    (Mood::Later, _) | (Mood::Mixed, Some('0')) => b"451 4.3.0 later\r\n",
                    (Mood::Mixed, Some('1')) => b"550 5.1.1 no such user\r\n",
                    _ => b"250 2.1.5 ok\r\n",
                }
            }
            b"DATA" => {
                stream.get_mut().write_all(b"354 go on\r\n").await?;
                loop {
                    line.clear();
                    if stream.read_until(b'\n', &mut line).await? == 0 {
                        return Ok(());
                    }
                    if line == b".\r\n" {
                        break;
                    }
                }
                think(mood).await;
                taken.lock().unwrap().insert(std::mem::take(&mut recipient), Instant::now());
                b"250 2.0.0 taken\r\n"
            }
            b"QUIT" => return stream.get_mut().write_all(b"221 2.0.0 bye\r\n").await,
            _ => b"250 2.0.0 ok\r\n",
        };
        if !reply.starts_with(b"250 2.0.0 taken") {
            think(mood).await;
        }
        stream.get_mut().write_all(reply).await?;
    }
}

async fn think(mood: Mood) {
    if let Mood::Good(pause) = mood
        && !pause.is_zero()
    {
        sleep(pause).await;
    }
}
