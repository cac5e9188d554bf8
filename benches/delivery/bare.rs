//! The mail library alone: as many connections as the outbox has, each leaving one mail after the other.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use lettre::{
    address::Envelope,
    transport::smtp::{
        client::{AsyncSmtpConnection, AsyncTokioStream},
        extension::ClientId,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::JoinSet,
};

/// A stream that does not wait for ACKs.
#[derive(Debug)]
struct Plain(TcpStream);

/// How many mails a second leave.
pub async fn rate(mails: usize, connections: usize, server: SocketAddr) -> f64 {
    let mut running = JoinSet::new();
    let start = Instant::now();
    for connection in 0..connections {
        running.spawn(async move {
            let stream = TcpStream::connect(server).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let hello = ClientId::default();
            let mut smtp =
                AsyncSmtpConnection::connect_with_transport(Box::new(Plain(stream)), &hello).await.unwrap();
            for number in (connection..mails).step_by(connections) {
                let recipient = format!("bare{number}@d{}.example", number % 40).parse().unwrap();
                let envelope =
                    Envelope::new(Some("vestibule@localhost".parse().unwrap()), vec![recipient]).unwrap();
                smtp.send(&envelope, message(number).as_bytes()).await.unwrap();
            }
            smtp.quit().await.unwrap();
        });
    }
    running.join_all().await;
    mails as f64 / start.elapsed().as_secs_f64()
}

/// About as long as an activation mail.
fn message(number: usize) -> String {
    let text = "Somebody has registered with this address, and it may have been you.\r\n".repeat(22);
    format!(
        "Message-ID: <{number}@localhost>\r\nFrom: vestibule@localhost\r\nSubject: Activate\r\n\r\n{text}"
    )
}

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl AsyncTokioStream for Plain {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }
}
