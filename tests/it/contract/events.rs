//! Events: each is of the transaction that it tells of (X5).

use vestibule::{
    domain::{delivery::Settlement, unverified::PurgeScope},
    repository::StorageError,
};

use super::{
    people::{activation, register, registration, seconds, start, unique_id, window},
    store::Store,
};

pub async fn x5_an_act_that_cannot_be_told_of_is_not_done(store: Store) {
    let (_, digest) = register(&store, "alice", "alice@example.com").await;
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    let (now, token) = (start() + seconds(1), unique_id());
    let mail = store.claim_mails(now, now + seconds(30), token, 1).await.unwrap().mails.remove(0);
    let scope = PurgeScope { now: start() + window(), include_disabled: false };

    let before = store.contents().await;
    store.execute("ALTER TABLE events RENAME TO events_elsewhere").await;
    let refused = |act: &str, error: Option<StorageError>| {
        assert!(matches!(error, Some(StorageError::Database(_))), "{act}: {error:?}");
    };
    refused("register", store.register(&registration("carol", "carol@example.com")).await.err());
    refused("give way", store.register(&late_registration("bob")).await.err());
    refused("activate", store.activate(&activation(digest, now)).await.err());
    refused("disable", store.disable_user(bob.id, now).await.err());
    refused("settle", store.settle_mail(mail.id, token, &Settlement::Delivered, now).await.err());
    refused("purge", store.purge(scope, 10).await.err());
    store.execute("ALTER TABLE events_elsewhere RENAME TO events").await;
    assert_eq!(store.contents().await, before);
}

/// A registration of somebody's username after the window.
fn late_registration(name: &str) -> vestibule::repository::NewRegistration {
    super::people::registration_at(name, "somebody@example.com", start() + window())
}
