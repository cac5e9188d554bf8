//! What every request passes and every answer gets: nothing is done that another site asks for, under any name
//! that another site could give this machine (DNS rebinding), and no answer is kept, framed or run.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{self, HOST, ORIGIN},
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use super::{
    Site,
    api::{self, PREFIX},
    pages,
    problem::Problem,
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// What a browser may do with an answer that says nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// What every answer has that doesn't say otherwise.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Refuses what comes from elsewhere, gives problems their form, and sets the headers of every answer.
pub async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let as_json = request.uri().path().starts_with(PREFIX);
    let mut answer = match refusal(&request, site.address) {
        Some(refused) => refused.into_response(),
        None => next.run(request).await,
    };
    if let Some(problem) = answer.extensions_mut().remove::<Problem>() {
        let shown = if as_json {
            let body = json!({ "error": problem.message, "parameter": problem.parameter });
            api::answer(problem.status, &body)
        } else {
            pages::problem(&site.pages, &problem)
        };
        // What was said beside the problem, such as the methods there are, is kept.
        let said = std::mem::take(answer.headers_mut());
        answer = shown;
        for (name, value) in &said {
            answer.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
    }
    for (name, value) in HEADERS {
        answer.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    answer
}

fn refusal(request: &Request, address: SocketAddr) -> Option<Problem> {
    let Some(host) = own_host(request, address) else {
        let message = format!(
            "Only localhost and addresses of this machine are served, with the port {}.",
            address.port()
        );
        return Some(Problem::new(StatusCode::MISDIRECTED_REQUEST, message));
    };
    comes_from_elsewhere(request, host)
        .then(|| Problem::new(StatusCode::FORBIDDEN, "Another site asked for this, which only this one may."))
}

/// The one Host of the request, if it is a name that nobody else can give to this machine.
fn own_host(request: &Request, address: SocketAddr) -> Option<&str> {
    let host = only(request.headers(), &HOST)?.to_str().ok()?;
    let authority: Authority = host.parse().ok()?;
    let elsewhere = request.uri().authority().is_some_and(|named| *named != authority);
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    let on_this_machine = name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let port = authority.port_u16().unwrap_or(80);
    (on_this_machine && port == address.port() && !elsewhere && !host.contains('@')).then_some(host)
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether a page of another site asks. Programs say nothing of the kind; browsers can't leave it out.
fn comes_from_elsewhere(request: &Request, host: &str) -> bool {
    let headers = request.headers();
    let says = |name: &HeaderName, value: &str| headers.get(name).is_some_and(|said| said == value);
    let same_origin = says(&SEC_FETCH_SITE, "same-origin");
    let own_origin = match headers.get(ORIGIN) {
        None => true,
        // A form of ours has this origin, since no page of ours sends a referrer.
        Some(origin) if origin == "null" => same_origin,
        Some(origin) => {
            origin.to_str().is_ok_and(|origin| origin.eq_ignore_ascii_case(&format!("http://{host}")))
        }
    };
    let own_site = same_origin || says(&SEC_FETCH_SITE, "none") || !headers.contains_key(&SEC_FETCH_SITE);
    if own_origin && own_site {
        return false;
    }
    // Following a link to a page shows it to the person alone, who may have it in a chat or a document.
    let follows_link = request.method() == Method::GET
        && !request.uri().path().starts_with(PREFIX)
        && says(&SEC_FETCH_MODE, "navigate")
        && says(&SEC_FETCH_DEST, "document");
    !(own_origin && follows_link)
}
