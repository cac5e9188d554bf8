//! `/verify/{key}`: verifies a further address when the button is pressed. What the key would do is not looked at before.

use std::sync::Arc;

use axum::extract::State;
use secrecy::ExposeSecret as _;

use super::{
    ActivationPage,
    activate::{KeyPath, read},
    faults,
    shown::Shown,
};
use crate::{
    domain::user_email_address::VerificationRefusal,
    operations::VerifyEmailAddressError,
    templates::{Page, Refusal},
};

/// Where the page is.
pub const PATH: &str = "/verify/{key}";

/// Shows the button, whatever the key.
pub async fn show() -> Shown {
    Page::Verify.into()
}

/// Verifies the address.
pub async fn press(State(page): State<Arc<ActivationPage>>, key: KeyPath) -> Shown {
    let key = read(key);
    let verified =
        page.work
            .run(page.deadline(), |vestibule| async move {
                vestibule.verify_email_address(key.expose_secret()).await
            })
            .await;
    match verified {
        Ok(Ok(_)) => Page::Verified { before: false }.into(),
        Ok(Err(VerifyEmailAddressError::Key(refusal))) => match refusal {
            VerificationRefusal::AlreadyVerified { .. } => Page::Verified { before: true }.into(),
            VerificationRefusal::Disabled => Page::NotVerified(Refusal::Disabled).into(),
            VerificationRefusal::Expired { .. } => Page::NotVerified(Refusal::Expired).into(),
            VerificationRefusal::EmailTaken => Page::NotVerified(Refusal::Taken).into(),
        },
        Ok(Err(VerifyEmailAddressError::UnknownKey)) => Page::NotVerified(Refusal::Unknown).into(),
        Ok(Err(VerifyEmailAddressError::Storage(error))) => faults::storage(&error, true).into(),
        Err(error) => faults::unfinished(&error, true).into(),
    }
}
