//! TLS to a mail server: whose certificate is taken, for both ways to begin.

use std::{
    io,
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

/// What is asked of the server's certificate.
pub(super) struct Tls {
    name: ServerName<'static>,
    /// For TLS from the first byte, over a stream of ours.
    config: Arc<ClientConfig>,
    /// For STARTTLS, which the mail library does itself.
    pub parameters: TlsParameters,
}

/// A connection that was encrypted from the first byte.
#[derive(Debug)]
pub(super) struct Encrypted(TlsStream<Stream>);

impl Tls {
    /// The certificate has to name `host`, and to be trusted by the machine or signed by one of `roots` (PEM).
    pub fn new(host: &str, roots: Option<&[u8]>) -> Result<Self, Invalid> {
        let unusable = |error: &dyn std::fmt::Display| {
            Invalid::new(format!("must be reachable over TLS, which can't be set up: {error}"))
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| unusable(&error))?;
        let mut store = RootCertStore::empty();
        // What the machine trusts, as far as it can be read: without any of it no certificate is taken.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let mut parameters = TlsParameters::builder(host.to_owned());
        for root in CertificateDer::pem_slice_iter(roots.unwrap_or_default()) {
            let root = root.map_err(|error| unusable(&error))?;
            let certificate = Certificate::from_der(root.to_vec()).map_err(|error| unusable(&error))?;
            parameters = parameters.add_root_certificate(certificate);
            store.add(root).map_err(|error| unusable(&error))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_root_certificates(store)
            .with_no_client_auth();
        let parameters = parameters.build().map_err(|error| unusable(&error))?;
        Ok(Self { name, config: Arc::new(config), parameters })
    }

    /// Shakes hands over a new connection.
    pub async fn encrypt(&self, stream: Stream) -> io::Result<Encrypted> {
        TlsConnector::from(Arc::clone(&self.config)).connect(self.name.clone(), stream).await.map(Encrypted)
    }
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
