//! The development mailbox: the mails of this process in a browser, and as JSON for tests.
//!
//! It shows keys to whoever asks on this machine, so only `vestibule dev` builds one.

mod api;
mod cursor;
mod front;
mod held;
mod links;
mod pages;
mod parameters;
mod problem;
mod sender;

use std::{future::IntoFuture as _, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, middleware};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;

use self::{held::HeldMails, pages::Pages, problem::Problem, sender::MailboxSender};
use crate::{
    domain::{
        activation_key::ActivationKey,
        mail::{MailKind, MailText},
    },
    mail::MailSender,
    random::{self, Random},
};

/// How long answers have to get out once the mailbox is told to stop.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// A mailbox that listens, and shows nothing before it is served.
pub struct Mailbox {
    /// Where it listens; the port that was taken if 0 was asked for.
    pub address: SocketAddr,
    listener: TcpListener,
    mails: Arc<HeldMails>,
}

/// What every page and every answer is made of.
struct Site {
    /// Where the mailbox is reached; nothing that was meant for elsewhere is answered.
    address: SocketAddr,
    mails: Arc<HeldMails>,
    pages: Pages,
    /// The command that registers somebody, for whoever has no mails yet.
    registering: String,
}

impl Mailbox {
    /// Listens on `address`, which has to be on this machine.
    pub async fn open(address: SocketAddr, random: &dyn Random) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "keys are shown on this machine only"));
        }
        let listener = TcpListener::bind(address).await?;
        let mails = Arc::new(HeldMails::new(random::number(random)));
        Ok(Self { address: listener.local_addr()?, listener, mails })
    }

    /// A sender that holds each mail here and hands it on to `next`.
    pub fn sender(&self, next: Arc<dyn MailSender>) -> impl MailSender + 'static {
        MailboxSender::new(Arc::clone(&self.mails), next)
    }

    /// Serves until `stop`; then whoever waits for a mail is told so, and what doesn't end by itself is left.
    pub async fn serve(self, registering: String, stop: CancellationToken) {
        let mails = Arc::clone(&self.mails);
        let site =
            Arc::new(Site { address: self.address, mails: self.mails, pages: Pages::new(), registering });
        let stopped = stop.clone();
        let closed = async move {
            stopped.cancelled().await;
            mails.close();
        };
        let serving = axum::serve(self.listener, routes(site)).with_graceful_shutdown(closed);
        let cut = async {
            stop.cancelled().await;
            sleep(LAST_ANSWERS).await;
        };
        tokio::select! {
            // Connections that can't be accepted are waited out in there; it never fails.
            _ = serving.into_future() => {}
            () = cut => {}
        }
    }
}

/// The key that a mail carries, for the kinds that carry one.
pub fn find_key(kind: MailKind, text: &MailText) -> Option<ActivationKey> {
    match kind {
        MailKind::Activation | MailKind::Reminder | MailKind::EmailVerification => {}
        MailKind::PrimaryEmailChanged => return None,
    }
    // From the end: a username may look like a key, and the embedded template shows it first.
    text.body().rsplit(|c: char| !c.is_ascii_alphanumeric()).find_map(ActivationKey::parse)
}

fn routes(site: Arc<Site>) -> Router {
    let router = Router::new().merge(api::routes()).merge(pages::routes());
    router
        .fallback(async || Problem::not_found("There is nothing here."))
        .method_not_allowed_fallback(async || Problem::method())
        .layer(middleware::from_fn_with_state(Arc::clone(&site), front::guard))
        .with_state(site)
}
