//! TLS to a mail server: whose certificate is taken, for both ways to begin.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use lettre::transport::smtp::client::{AsyncTokioStream, Certificate, TlsParameters};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use super::stream::Stream;
use crate::domain::Invalid;

/// What is asked of the server's certificate, for TLS from the first byte over a stream of ours.
pub(super) struct Tls {
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

/// A connection that was encrypted from the first byte.
#[derive(Debug)]
pub(super) struct Encrypted(TlsStream<Stream>);

/// The same for STARTTLS, which the mail library does itself.
pub(super) fn starttls_parameters(host: &str, roots: Option<&[u8]>) -> Result<TlsParameters, Invalid> {
    server_name(host)?;
    let mut parameters = TlsParameters::builder(host.to_owned());
    for root in certificates(roots) {
        parameters =
            parameters.add_root_certificate(Certificate::from_der(root?.to_vec()).map_err(unusable)?);
    }
    parameters.build().map_err(unusable)
}

impl Tls {
    /// The certificate has to name `host`, and to be trusted by the machine or signed by one of `roots` (PEM).
    pub fn new(host: &str, roots: Option<&[u8]>) -> Result<Self, Invalid> {
        let name = server_name(host)?;
        let mut store = RootCertStore::empty();
        // What the machine trusts, as far as it can be read: without any of it no certificate is taken.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for root in certificates(roots) {
            store.add(root?).map_err(unusable)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self { name, config: Arc::new(config) })
    }

    /// Shakes hands over a new connection.
    pub async fn encrypt(&self, stream: Stream) -> io::Result<Encrypted> {
        TlsConnector::from(Arc::clone(&self.config)).connect(self.name.clone(), stream).await.map(Encrypted)
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, Invalid> {
    ServerName::try_from(host.to_owned()).map_err(unusable)
}

fn certificates(pem: Option<&[u8]>) -> impl Iterator<Item = Result<CertificateDer<'static>, Invalid>> {
    CertificateDer::pem_slice_iter(pem.unwrap_or_default()).map(|certificate| certificate.map_err(unusable))
}

fn unusable(error: impl fmt::Display) -> Invalid {
    Invalid::new(format!("must be reachable over TLS, which can't be set up: {error}"))
}

/// Whether a file is one of certificates in PEM, at least one, and nothing broken among them.
pub fn holds_certificates(pem: &[u8]) -> bool {
    let mut certificates = CertificateDer::pem_slice_iter(pem).peekable();
    certificates.peek().is_some() && certificates.all(|certificate| certificate.is_ok())
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
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

impl AsyncTokioStream for Encrypted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().0.peer_addr()
    }
}
