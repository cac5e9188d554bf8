//! The activation page: what a person sees who follows the link of a mail.
//!
//! Looking at it changes nothing, whatever looks and how often, so that a program that opens the links of mails activates
//! nobody; pressing its button activates (X14). The button is answered with a page and not with a redirection: the key
//! then stands in the path of the request alone, where it was, and pressing the button again says that it is done (X13).
//!
//! No password is asked for. Whether there is one is nothing that a link should tell, and a site that registers people
//! without one asks for it after their first visit (X9).

mod activate;
mod answer;
mod client;
mod faults;
mod front;
mod languages;
mod limiter;
mod places;
mod resend;
mod shown;
mod verify;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use axum::{Router, middleware, routing::get};
use tokio::time::Instant;

use self::{limiter::Limiter, places::Places, shown::Shown};
use crate::{
    domain::site::{SiteId, Sites},
    operations::Work,
    templates::Trouble,
};

pub use client::Peer;

/// What the paths of a site's pages end with.
const PATHS: [&str; 3] = [activate::PATH, verify::PATH, resend::PATH];

/// What answers requests.
pub type Routes = Router;

/// What the settings say of the page.
#[derive(Debug, Clone, Copy)]
pub struct PageSettings {
    /// How many requests of one client are answered in a minute; `None` is any number.
    pub requests_per_minute: Option<NonZeroU32>,
    /// How many proxies that are believed stand in front.
    pub trusted_proxies: usize,
    /// How long an operation may take.
    pub call_timeout: Duration,
}

/// What every page is made of.
struct ActivationPage {
    work: Work,
    places: Places,
    limiter: Option<Limiter>,
    settings: PageSettings,
}

impl ActivationPage {
    /// Until when an operation that begins now is waited for.
    fn deadline(&self) -> Option<Instant> {
        Instant::now().checked_add(self.settings.call_timeout)
    }
}

/// The sites whose activation link leads here: those whose `activation_url` ends in `/activate/{key}`.
pub fn list_sites(sites: &Sites) -> Vec<SiteId> {
    Places::new(sites).sites()
}

/// The pages of those sites, each where its link leads.
pub fn routes(work: Work, settings: PageSettings) -> Routes {
    let places = Places::new(&work.vestibule().sites);
    let limiter = settings.requests_per_minute.map(Limiter::new);
    let mut router = Router::new();
    for base in places.bases() {
        router = router
            .route(&format!("{base}{}", activate::PATH), get(activate::show).post(activate::press))
            .route(&format!("{base}{}", verify::PATH), get(verify::show).post(verify::press))
            .route(&format!("{base}{}", resend::PATH), get(resend::show).post(resend::send));
    }
    let page = Arc::new(ActivationPage { work, places, limiter, settings });
    router
        .method_not_allowed_fallback(async || Shown::from(Trouble::Method))
        .layer(middleware::from_fn_with_state(Arc::clone(&page), front::guard))
        .with_state(page)
}
