//! What is answered when something can't be: JSON below `/api/`, a page elsewhere. `front` gives it its form.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

/// Why a request is not done.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// A sentence or two for a developer.
    pub message: String,
    /// The parameter that is wrong, if one is.
    pub parameter: Option<String>,
}

impl Problem {
    /// A problem that no parameter is to blame for.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), parameter: None }
    }

    /// A parameter that can't be meant; `rule` goes on after its name.
    pub fn parameter(name: &str, rule: &str) -> Self {
        Self {
            parameter: Some(name.to_owned()),
            ..Self::new(StatusCode::BAD_REQUEST, format!("{name} {rule}."))
        }
    }

    /// Something that is not there.
    pub fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// A mail that is not there, or no longer.
    pub fn no_such_mail() -> Self {
        Self::not_found("There is no such mail. The mailbox holds the newest 1,000 of this process.")
    }

    /// A method that means nothing here.
    pub fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "This can't be done here.")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
