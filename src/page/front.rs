//! What every request passes before its page, and every answer after it.
//!
//! There are no cookies and nobody is logged in: the key in the path is all the authority there is, and a page of
//! somebody else's doesn't know it. An attacker's page can have its visitors press the button for a key of the attacker's
//! own, which activates the attacker's account, as the attacker could alone; whoever registers with another person's
//! address has no key at all, since it goes to that address. A form of another site is refused all the same: nobody
//! should be led to press a button without having seen it, and nobody's visitors be lent out to ask for mails from as
//! many addresses as they have.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::{MatchedPath, Request, State},
    http::{HeaderName, Method, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::{
    ActivationPage, answer,
    client::{Peer, find_client},
    places::Place,
    resend,
    shown::Shown,
};
use crate::{random, templates::Trouble};

/// How long what a form sends may be, in bytes: an address is the most that one sends.
const MAX_BODY_BYTES: usize = 4096;
/// How long the body of a request may take to come.
const BODY_PATIENCE: Duration = Duration::from_secs(10);
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what comes to the wrong host, too often, from elsewhere, or without end; gives pages their form; and writes
/// one line to the log, in which the path stands as it is routed and never as it was asked for.
pub async fn guard(State(page): State<Arc<ActivationPage>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let reference = random::uuid_v4(&*page.work.vestibule().random).to_string();
    let matched: Option<MatchedPath> = request.extensions().get().cloned();
    let route = matched.as_ref().map_or("other", MatchedPath::as_str);
    let span = tracing::info_span!("page", id = reference, method = %request.method(), route);
    async {
        let mut answer = match page.places.find(&request) {
            Some(place) => pass(&page, place, route, request, next, &reference).await,
            None => answer::misdirected(),
        };
        answer::harden(&mut answer);
        let milliseconds = (begun.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        tracing::info!(status = answer.status().as_u16(), milliseconds, "page answered");
        answer
    }
    .instrument(span)
    .await
}

async fn pass(
    page: &ActivationPage,
    place: &Place,
    route: &str,
    request: Request,
    next: Next,
    reference: &str,
) -> Response {
    let headers = request.headers().clone();
    let mut said = match admit(page, request).await {
        Ok(request) if place.has(route) => next.run(request).await,
        Ok(_) => Shown::from(Trouble::NotFound).into_response(),
        Err(refusal) => refusal,
    };
    let Some(shown) = said.extensions_mut().remove::<Shown>() else { return said };
    let mut answer = answer::render(page, place, &shown, &headers, reference);
    // What was said beside the page, such as the methods there are, is kept; but its length was none.
    said.headers_mut().remove(header::CONTENT_LENGTH);
    for (name, value) in said.headers() {
        answer.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    answer
}

/// The request with all of its body, if it may go on.
async fn admit(page: &ActivationPage, request: Request) -> Result<Request, Response> {
    let posts = request.method() == Method::POST;
    if let Some(limiter) = &page.limiter {
        let peer = request.extensions().get().map_or(IpAddr::from([0; 4]), |peer: &Peer| peer.0);
        let client = find_client(peer, request.headers(), page.settings.trusted_proxies);
        let mails = posts && request.uri().path().ends_with(resend::PATH);
        let weight = if mails { resend::WEIGHT } else { 1 };
        limiter.count(client, weight).map_err(|wait| {
            let mut refusal = Shown::from(Trouble::Limited).into_response();
            answer::retry_after(&mut refusal, wait);
            refusal
        })?;
    }
    if !posts {
        return Ok(request);
    }
    if comes_from_elsewhere(&request) {
        return Err(Shown::from(Trouble::Elsewhere).into_response());
    }
    let (head, body) = request.into_parts();
    match timeout(BODY_PATIENCE, to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(body)) => Ok(Request::from_parts(head, Body::from(body))),
        Ok(Err(_)) => Err(Shown::from(Trouble::TooLarge).into_response()),
        Err(_) => Err(Shown::from(Trouble::TooSlow).into_response()),
    }
}

/// Whether a page that is not ours sends a form. Our own ones say so by themselves in every browser of today; Origin says
/// nothing, since it is `null` where no referrer is sent.
fn comes_from_elsewhere(request: &Request) -> bool {
    let sites = request.headers().get_all(SEC_FETCH_SITE);
    !sites.iter().all(|site| site == "same-origin" || site == "none")
}
