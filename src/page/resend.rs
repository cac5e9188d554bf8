//! `/resend`: has another activation mail sent to an address, and says the same whoever has registered with it (X23).

use std::{sync::Arc, time::Duration};

use axum::{body::Bytes, extract::State};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{ActivationPage, faults, shown::Shown};
use crate::{
    domain::{email_address::EmailAddress, request::Call, user::UserName},
    operations::IssueKeyError,
    templates::{Page, ResendFault, Trouble},
};

/// Where the form is.
pub const PATH: &str = "/resend";
/// As much as how many other requests it weighs to have mails sent.
pub const WEIGHT: u32 = 30;
/// The caller that the mails are counted for; no caller of a service has such a name.
const CALLER: &str = "(activation page)";
/// When every answer is given, so that its time doesn't tell whether there was something to send.
const ANSWER_TIME: Duration = Duration::from_millis(500);

/// Shows the form.
pub async fn show() -> Shown {
    Page::Resend { email: String::new(), fault: None }.into()
}

/// Has the mails sent. Full limits are answered as if there were room: they would tell what was asked for before.
pub async fn send(State(page): State<Arc<ActivationPage>>, body: Bytes) -> Shown {
    let answer_time = Instant::now() + ANSWER_TIME;
    let mut fields = form_urlencoded::parse(&body);
    let typed = fields.find(|(name, _)| name == "email").map(|(_, value)| value.trim().to_owned());
    let typed = typed.unwrap_or_default();
    let Ok(email) = EmailAddress::parse(&typed) else {
        return Page::Resend { email: typed, fault: Some(ResendFault::Invalid) }.into();
    };
    let (name, call) = (UserName::Email(email), Call { caller: CALLER.to_owned(), request_id: None });
    let sending = page
        .work
        .run(page.deadline(), |vestibule| async move { vestibule.send_activation_email(&name, &call).await });
    // What takes longer goes on by itself: how long it takes may depend on who has registered.
    let Ok(sent) = timeout_at(answer_time, sending).await else { return Page::Sent.into() };
    let trouble = match sent {
        Ok(Ok(()) | Err(IssueKeyError::MailLimit(_))) => None,
        Ok(Err(IssueKeyError::Storage(error))) => Some(faults::storage(&error, true)),
        // The code of the mail found no slot to be hashed in, be there such a mail or not.
        Ok(Err(IssueKeyError::Overloaded(_))) => Some(Trouble::Unavailable { pressed: true }),
        // Of the others only a template can fail: an address names nobody who could be refused.
        Ok(Err(
            error @ (IssueKeyError::Template(_)
            | IssueKeyError::UserNotFound
            | IssueKeyError::ProfileNotFound
            | IssueKeyError::Key(_)
            | IssueKeyError::Request(_)),
        )) => Some(faults::internal(&error)),
        Err(error) => Some(faults::unfinished(&error, true)),
    };
    sleep_until(answer_time).await;
    match trouble {
        None => Page::Sent.into(),
        // The same button, with what was typed.
        Some(Trouble::Unavailable { .. }) => {
            Page::Resend { email: typed, fault: Some(ResendFault::Unavailable) }.into()
        }
        Some(trouble) => trouble.into(),
    }
}
