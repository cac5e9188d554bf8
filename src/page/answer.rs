//! The form of every answer: a page in the language of whoever reads it, and what a browser may do with it.

use std::time::Duration;

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{ActivationPage, faults, languages::list_languages, places::Place, resend, shown::Shown};
use crate::templates::PageContext;

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
/// How long somebody should wait who comes while nothing can be done, in seconds.
const RETRY_SECONDS: u64 = 10;

/// What every answer has. The key stands in the address of a page, so nothing may keep, frame or pass on that address.
const HEADERS: [(HeaderName, &str); 9] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::VARY, "Accept-Language"),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];
/// For a year, and for this host alone: others of its domain are somebody else's to decide on.
const TRANSPORT_SECURITY: &str = "max-age=31536000";

/// Makes the page.
pub fn render(
    page: &ActivationPage,
    place: &Place,
    shown: &Shown,
    headers: &HeaderMap,
    reference: &str,
) -> Response {
    let vestibule = page.work.vestibule();
    let site = vestibule.sites.find_or_first(shown.site.as_ref().unwrap_or(&place.site));
    let resend_url = format!("{}{}", place.base, resend::PATH);
    let locales = list_languages(headers);
    let rendered = site.map(|site| {
        let context = PageContext { site, locales: &locales, resend_url: &resend_url, reference };
        vestibule.templates.page(&shown.page, &context)
    });
    let mut answer = match rendered {
        Some(Ok(page)) => {
            let mut answer = (shown.status(), [(header::CONTENT_TYPE, HTML)], page.html).into_response();
            insert(&mut answer, header::CONTENT_LANGUAGE, page.locale.as_str());
            insert(&mut answer, header::CONTENT_SECURITY_POLICY, &policy(&page.style_hash));
            answer
        }
        Some(Err(error)) => {
            faults::internal(&error);
            plain(StatusCode::INTERNAL_SERVER_ERROR, "The page can't be made.\n")
        }
        // There is always a first site.
        None => plain(StatusCode::INTERNAL_SERVER_ERROR, "There is no site.\n"),
    };
    if place.secure {
        insert(&mut answer, header::STRICT_TRANSPORT_SECURITY, TRANSPORT_SECURITY);
    }
    if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
        retry_after(&mut answer, Duration::from_secs(RETRY_SECONDS));
    }
    answer
}

/// An answer for whoever is not at the right place, of which nothing of a site is shown.
pub fn misdirected() -> Response {
    plain(StatusCode::MISDIRECTED_REQUEST, "There is no page under this name.\n")
}

/// What every answer has, whatever it is.
pub fn harden(answer: &mut Response) {
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

/// Says when to come again, in whole seconds and rather later than sooner.
pub fn retry_after(answer: &mut Response, wait: Duration) {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    answer.headers_mut().insert(header::RETRY_AFTER, seconds.max(1).into());
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut answer = (status, [(header::CONTENT_TYPE, TEXT)], text).into_response();
    insert(&mut answer, header::CONTENT_SECURITY_POLICY, &policy("'none'"));
    answer
}

/// A page has one style, which is written in it, and sends its form to itself.
fn policy(style: &str) -> String {
    format!(
        "default-src 'none'; style-src {style}; img-src data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}

fn insert(answer: &mut Response, name: HeaderName, value: &str) {
    // Neither a locale nor a hash has anything that a header can't have.
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}
