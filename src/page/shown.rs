//! What a handler says: a page, and the site that it speaks for. `front` gives it its form.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::{
    domain::site::SiteId,
    templates::{Page, Refusal, ResendFault, Trouble},
};

/// A page before it is made.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What it says.
    pub page: Page,
    /// The site of the user whom it is about; if nobody is known, the site of the host speaks.
    pub site: Option<SiteId>,
}

impl Shown {
    /// The status that tells a program what the page tells a person.
    pub fn status(&self) -> StatusCode {
        match &self.page {
            Page::Activate { .. }
            | Page::Activated { .. }
            | Page::Verify
            | Page::Verified { .. }
            | Page::Sent
            | Page::Resend { fault: None, .. } => StatusCode::OK,
            Page::NotActivated(refusal) | Page::NotVerified(refusal) => match refusal {
                Refusal::Unknown => StatusCode::NOT_FOUND,
                Refusal::Expired => StatusCode::GONE,
                Refusal::Taken => StatusCode::CONFLICT,
                Refusal::Disabled => StatusCode::FORBIDDEN,
            },
            Page::Resend { fault: Some(ResendFault::Invalid), .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Page::Resend { fault: Some(ResendFault::Unavailable), .. } => StatusCode::SERVICE_UNAVAILABLE,
            Page::Trouble(trouble) => match trouble {
                Trouble::NotFound => StatusCode::NOT_FOUND,
                Trouble::Method => StatusCode::METHOD_NOT_ALLOWED,
                Trouble::Elsewhere => StatusCode::FORBIDDEN,
                Trouble::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                Trouble::TooSlow => StatusCode::REQUEST_TIMEOUT,
                Trouble::Limited => StatusCode::TOO_MANY_REQUESTS,
                Trouble::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
                Trouble::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    /// Speaks for the site of the user whom it is about.
    pub fn of_site(self, site: SiteId) -> Self {
        Self { site: Some(site), ..self }
    }
}

impl From<Page> for Shown {
    fn from(page: Page) -> Self {
        Self { page, site: None }
    }
}

impl From<Trouble> for Shown {
    fn from(trouble: Trouble) -> Self {
        Page::Trouble(trouble).into()
    }
}

impl IntoResponse for Shown {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
