//! The TCP stream below a conversation. It guards against three things that lettre leaves open:
//! waiting 40 ms for an ACK, a reply without end, and replies smuggled in ahead of TLS.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, lookup_host},
    time,
};

/// How much a server may say between two things that we say.
const MAX_REPLY_BYTES: usize = 128 * 1024;
/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// A connection to a mail server, in plain text at first or always, or below TLS.
#[derive(Debug)]
pub(super) struct Stream {
    tcp: TcpStream,
    /// What is left of [`MAX_REPLY_BYTES`].
    allowance: usize,
    /// Whether STARTTLS is still to come.
    before_tls: bool,
}

impl Stream {
    /// Connects to the first address that accepts within `timeout`; `before_tls` where STARTTLS will follow.
    pub async fn connect(server: (&str, u16), timeout: Duration, before_tls: bool) -> io::Result<Self> {
        let mut outcome = Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
        for address in lookup_host(server).await? {
            outcome = match time::timeout(timeout, TcpStream::connect(address)).await {
                Ok(outcome) => outcome,
                Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
            };
            if outcome.is_ok() {
                break;
            }
        }
        let tcp = outcome?;
        tcp.set_nodelay(true)?;
        Ok(Self { tcp, allowance: MAX_REPLY_BYTES, before_tls })
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // lettre looks for a line's end before it looks at the length, so the length is bounded here.
        if self.allowance == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the reply is too long")));
        }
        // Byte by byte, so that lettre's buffer never holds more than the reply it waits for: what somebody
        // in between appends to the reply to STARTTLS would otherwise count as said by the server over TLS.
        let most = if self.before_tls { 1 } else { self.allowance };
        let mut bytes = [0; 4096];
        let mut bytes = ReadBuf::new(&mut bytes);
        let mut part = bytes.take(most.min(buffer.remaining()));
        ready!(Pin::new(&mut self.tcp).poll_read(context, &mut part))?;
        buffer.put_slice(part.filled());
        self.allowance -= part.filled().len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.allowance = MAX_REPLY_BYTES;
        self.before_tls &= bytes.first() != Some(&TLS_HANDSHAKE);
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

impl AsyncTokioStream for Stream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }
}
