//! The pages: a list of mails, a mail, what it consists of, and a button that empties the mailbox. None has a script.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};

use super::{
    Site, find_key,
    held::{HeldMail, MAX_MAILS},
    links::{Piece, pieces},
    parameters::Parameters,
    problem::Problem,
};
use crate::domain::{Timestamp, activation_key::ActivationKey, mail::MailId};

/// How many mails a page lists.
const PAGE_SIZE: usize = 100;
/// After how many seconds the list of the newest mails is loaded again.
const REFRESH_SECONDS: u32 = 5;
/// What a browser may do with the HTML of a mail, wherever it is opened: show it.
const MAIL_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox; base-uri 'none'; \
                           form-action 'none'; frame-ancestors 'self'";
const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const STYLE: &str = include_str!("pages/style.css");
const TEMPLATES: [(&str, &str); 4] = [
    ("layout.html", include_str!("pages/layout.html")),
    ("list.html", include_str!("pages/list.html")),
    ("mail.html", include_str!("pages/mail.html")),
    ("problem.html", include_str!("pages/problem.html")),
];

/// The templates of the pages, compiled.
pub struct Pages(Environment<'static>);

type Answer = Result<Response, Problem>;

impl Pages {
    /// Compiles the embedded templates.
    #[expect(clippy::expect_used, reason = "they are embedded, and every test of a page compiles them")]
    pub fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        for (name, text) in TEMPLATES {
            environment.add_template(name, text).expect("an embedded template compiles");
        }
        Self(environment)
    }

    fn render(&self, status: StatusCode, name: &str, context: Value) -> Response {
        match self.0.get_template(name).and_then(|template| template.render(context)) {
            Ok(page) => (status, [(header::CONTENT_TYPE, HTML)], page).into_response(),
            Err(error) => {
                tracing::error!(%error, name, "a page can't be made");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    [(header::CONTENT_TYPE, TEXT)],
                    "The page can't be made.\n",
                )
                    .into_response()
            }
        }
    }
}

/// The pages and what they refer to.
pub fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/", get(list))
        .route("/empty", post(empty))
        .route("/style.css", get(async || ([(header::CONTENT_TYPE, CSS)], STYLE)))
        .route("/mails/{id}", get(show))
        .route("/mails/{id}/html", get(html))
        .route("/mails/{id}/raw", get(raw))
        .route("/mails/{id}/message.eml", get(download))
}

/// A page that says what is wrong.
pub fn problem(pages: &Pages, problem: &Problem) -> Response {
    let reason = problem.status.canonical_reason().unwrap_or("Not done");
    pages.render(problem.status, "problem.html", context! { reason, message => &problem.message })
}

async fn list(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Answer {
    let parameters = Parameters::parse(query.as_deref(), &["before", "refresh"])?;
    let before = parameters.cursor("before", &site.mails)?;
    let refreshed = match parameters.find("refresh") {
        None | Some("on") => before.is_none(),
        Some("off") => false,
        Some(_) => return Err(Problem::parameter("refresh", "must be on or off")),
    };
    let page = site.mails.list(before, None, PAGE_SIZE);
    let older = page.mails.last().filter(|_| page.more).map(|mail| site.mails.cursor(mail).to_string());
    let context = context! {
        mails => page.mails.iter().map(|mail| summary(mail)).collect::<Vec<_>>(),
        older,
        first => before.is_none(),
        refresh_seconds => refreshed.then_some(REFRESH_SECONDS),
        registering => &site.registering,
        max_mails => MAX_MAILS,
    };
    Ok(site.pages.render(StatusCode::OK, "list.html", context))
}

async fn show(State(site): State<Arc<Site>>, id: Result<Path<String>, PathRejection>) -> Answer {
    let mail = find(&site, id)?;
    let text: Vec<_> = pieces(mail.text.body())
        .into_iter()
        .map(|piece| match piece {
            Piece::Link(text) => context! { text, link => true },
            Piece::Plain(text) => context! { text, link => false },
        })
        .collect();
    let key = find_key(mail.kind, &mail.text);
    let context = context! {
        mail => summary(&mail),
        from => &mail.text.from,
        key => key.as_ref().map(ActivationKey::expose),
        text,
        has_html => mail.text.html().is_some(),
        headers => headers(&mail.message),
        message => &mail.message,
    };
    Ok(site.pages.render(StatusCode::OK, "mail.html", context))
}

async fn html(State(site): State<Arc<Site>>, id: Result<Path<String>, PathRejection>) -> Answer {
    let mail = find(&site, id)?;
    let html = mail.text.html().ok_or_else(|| Problem::not_found("The mail has no HTML."))?;
    let headers = [
        (header::CONTENT_TYPE, HTML),
        (header::CONTENT_SECURITY_POLICY, MAIL_POLICY),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    ];
    Ok((headers, html.to_owned()).into_response())
}

async fn raw(State(site): State<Arc<Site>>, id: Result<Path<String>, PathRejection>) -> Answer {
    let mail = find(&site, id)?;
    Ok(([(header::CONTENT_TYPE, TEXT)], mail.message.clone()).into_response())
}

async fn download(State(site): State<Arc<Site>>, id: Result<Path<String>, PathRejection>) -> Answer {
    let mail = find(&site, id)?;
    let headers = [
        (header::CONTENT_TYPE, "message/rfc822".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}.eml\"", mail.id)),
    ];
    Ok((headers, mail.message.clone()).into_response())
}

async fn empty(State(site): State<Arc<Site>>) -> impl axum::response::IntoResponse {
    site.mails.empty();
    (StatusCode::SEE_OTHER, [(header::LOCATION, "/")])
}

fn find(site: &Site, id: Result<Path<String>, PathRejection>) -> Result<Arc<HeldMail>, Problem> {
    let id = id.ok().and_then(|Path(id)| MailId::parse(&id).ok());
    id.and_then(|id| site.mails.find(id)).ok_or_else(Problem::no_such_mail)
}

fn summary(mail: &HeldMail) -> Value {
    context! {
        id => mail.id.to_string(),
        kind => mail.kind.as_str().replace('_', " "),
        recipient => &mail.recipient,
        subject => &mail.text.subject,
        time => shown(mail.create_time),
        machine_time => mail.create_time.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}

fn shown(time: Timestamp) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// The headers of a message, each on one line however it was folded.
fn headers(message: &str) -> Vec<Value> {
    let head =
        message.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ").replace("\r\n\t", " ");
    head.split("\r\n")
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| context! { name, value })
        .collect()
}
