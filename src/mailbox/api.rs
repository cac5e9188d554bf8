//! The mails as JSON, for tests: list them, wait for the next one, read one, let go of all.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use super::{
    Site, find_key,
    held::{HeldMail, HeldMails, Next},
    links::list_links,
    parameters::Parameters,
    problem::Problem,
};
use crate::domain::{
    activation_key::ActivationKey,
    mail::{MailId, MailKind},
};

/// What the path of every answer in JSON begins with.
pub const PREFIX: &str = "/api/";
/// How many mails a page has if nothing is said, and at most.
const PAGE_SIZE: u64 = 100;
const MAX_PAGE_SIZE: u64 = 1_000;
/// How many seconds a call waits if nothing is said, and at most.
const TIMEOUT_SECONDS: u64 = 30;
const MAX_TIMEOUT_SECONDS: u64 = 60;

/// What every handler answers.
type Answer = Result<Response, Problem>;

/// The calls of the API.
pub fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/api/mails", get(list).delete(empty))
        .route("/api/mails/next", get(next))
        .route("/api/mails/{id}", get(show))
}

/// An answer in JSON.
pub fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body:#}\n")).into_response()
}

async fn list(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Answer {
    let parameters = Parameters::parse(query.as_deref(), &["recipient", "page_size", "page_token"])?;
    let recipient = parameters.recipient()?;
    let before = parameters.cursor("page_token", &site.mails)?;
    let page_size = parameters.number("page_size", PAGE_SIZE, 1..=MAX_PAGE_SIZE)?;
    // Asked for first: a mail that comes in between is then after it, and not missed.
    let cursor = site.mails.newest();
    let page = site.mails.list(before, recipient.as_ref(), usize::try_from(page_size).unwrap_or(usize::MAX));
    let last = page.mails.last().filter(|_| page.more);
    let body = json!({
        "mails": page.mails.iter().map(|mail| summary(&site.mails, mail)).collect::<Vec<_>>(),
        "next_page_token": last.map(|mail| site.mails.cursor(mail).to_string()),
        "cursor": cursor.to_string(),
    });
    Ok(answer(StatusCode::OK, &body))
}

async fn show(State(site): State<Arc<Site>>, id: Result<Path<String>, PathRejection>) -> Answer {
    let id = id.ok().and_then(|Path(id)| MailId::parse(&id).ok());
    let mail = id.and_then(|id| site.mails.find(id)).ok_or_else(Problem::no_such_mail)?;
    Ok(answer(StatusCode::OK, &whole(&site.mails, &mail)))
}

async fn next(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Answer {
    let parameters = Parameters::parse(query.as_deref(), &["recipient", "after", "timeout_seconds"])?;
    let recipient = parameters.recipient()?;
    let after = parameters.cursor("after", &site.mails)?;
    let seconds = parameters.number("timeout_seconds", TIMEOUT_SECONDS, 0..=MAX_TIMEOUT_SECONDS)?;
    match site.mails.wait_for_next(after, recipient.as_ref(), Duration::from_secs(seconds)).await {
        Next::Mail(mail) => Ok(answer(StatusCode::OK, &whole(&site.mails, &mail))),
        Next::TimedOut => Ok(StatusCode::NO_CONTENT.into_response()),
        Next::Missed => Err(Problem {
            status: StatusCode::GONE,
            ..Problem::parameter("after", "is too old: mails that came after it have given way to newer ones")
        }),
        Next::Closed => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The server stops.")),
        Next::Crowded => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many calls wait for a mail already."))
        }
    }
}

async fn empty(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Answer {
    // Whoever names one recipient means to keep the mails of the others.
    Parameters::parse(query.as_deref(), &[])?;
    site.mails.empty();
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn summary(mails: &HeldMails, mail: &HeldMail) -> Map<String, Value> {
    let fields = [
        ("id", mail.id.to_string()),
        ("cursor", mails.cursor(mail).to_string()),
        ("kind", mail.kind.as_str().to_owned()),
        ("recipient", mail.recipient.clone()),
        ("from", mail.text.from.clone()),
        ("subject", mail.text.subject.clone()),
        ("create_time", mail.create_time.to_rfc3339_opts(SecondsFormat::Micros, true)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

fn whole(mails: &HeldMails, mail: &HeldMail) -> Value {
    let key = find_key(mail.kind, &mail.text);
    let key = key.as_ref().map(ActivationKey::expose);
    let verifies = mail.kind == MailKind::EmailVerification;
    let more = [
        ("text", mail.text.body().into()),
        ("html", mail.text.html().into()),
        ("activation_key", key.filter(|_| !verifies).into()),
        ("verification_key", key.filter(|_| verifies).into()),
        ("links", list_links(mail.text.body(), mail.text.html()).into()),
    ];
    let mut whole = summary(mails, mail);
    whole.extend(more.map(|(name, value)| (name.to_owned(), value)));
    whole.into()
}
