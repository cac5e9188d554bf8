//! `/activate/{key}`: shows what the key would do, and does it when the button is pressed.

use std::sync::Arc;

use axum::extract::{Path, State, rejection::PathRejection};
use secrecy::{ExposeSecret as _, SecretString};

use super::{ActivationPage, faults, shown::Shown};
use crate::{
    domain::profile::KeyRefusal,
    operations::{ActivateError, InspectActivationKeyError},
    templates::{Page, Refusal},
};

/// Where the page is.
pub const PATH: &str = "/activate/{key}";

/// The last part of a path; what can't be read is no key, and treated as any other that is none (X11).
pub type KeyPath = Result<Path<SecretString>, PathRejection>;

/// Says what pressing the button would do, and changes nothing.
pub async fn show(State(page): State<Arc<ActivationPage>>, key: KeyPath) -> Shown {
    inspect(&page, read(key)).await
}

/// Activates.
pub async fn press(State(page): State<Arc<ActivationPage>>, key: KeyPath) -> Shown {
    let key = read(key);
    let own = key.clone();
    let activated = page
        .work
        .run(page.deadline(), |vestibule| async move { vestibule.activate(own.expose_secret(), None).await })
        .await;
    match activated {
        Ok(Ok(user)) => Shown::from(Page::Activated { before: false }).of_site(user.site),
        // Looking says the same, and whose site it is.
        Ok(Err(ActivateError::UnknownKey | ActivateError::Key(_))) => inspect(&page, key).await,
        Ok(Err(ActivateError::Storage(error))) => faults::storage(&error, true).into(),
        // Neither a password nor a code was given.
        Ok(Err(
            error @ (ActivateError::PasswordRejected(_)
            | ActivateError::CodeRejected
            | ActivateError::Overloaded(_)),
        )) => faults::internal(&error).into(),
        Err(error) => faults::unfinished(&error, true).into(),
    }
}

/// The key of a path.
pub fn read(key: KeyPath) -> SecretString {
    key.map(|Path(key)| key).unwrap_or_default()
}

async fn inspect(page: &ActivationPage, key: SecretString) -> Shown {
    let inspected = page
        .work
        .read(page.deadline(), |vestibule| async move {
            vestibule.inspect_activation_key(key.expose_secret()).await
        })
        .await;
    match inspected {
        Ok(Ok(inspected)) => {
            let page = match inspected.outcome {
                Ok(()) => Page::Activate { expire_time: inspected.expire_time },
                Err(KeyRefusal::AlreadyActivated { .. }) => Page::Activated { before: true },
                Err(KeyRefusal::Disabled) => Page::NotActivated(Refusal::Disabled),
                Err(KeyRefusal::Expired { .. }) => Page::NotActivated(Refusal::Expired),
                Err(KeyRefusal::EmailTaken) => Page::NotActivated(Refusal::Taken),
            };
            Shown::from(page).of_site(inspected.site)
        }
        Ok(Err(InspectActivationKeyError::UnknownKey)) => Page::NotActivated(Refusal::Unknown).into(),
        Ok(Err(InspectActivationKeyError::Storage(error))) => faults::storage(&error, false).into(),
        Err(error) => faults::unfinished(&error, false).into(),
    }
}
