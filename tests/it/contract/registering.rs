//! Registering: R1, R2, R6, X7, X8, X9.

use vestibule::{
    domain::{activation_key::KeyDigest, locale::Locale, mail::MailId, user::User},
    repository::{NewRegistration, RegisterRefusal, StorageError},
};

use super::{
    people::{
        activate_by_hand, activation, email, find, issue, mail, password_hash, register, register_active,
        registration, registration_at, seconds, start, tick, username, verify_another_address, window,
    },
    store::Store,
};

pub async fn r1_a_registration_stores_user_address_profile_key_mail_and_event(store: Store) {
    let registration = registration("Alice", "Alice@Example.com");
    let user = store.register(&registration).await.unwrap().unwrap();
    assert_eq!(user, registration.user());
    assert_eq!(find(&store, &user).await, Some(user.clone()));
    assert_eq!(store.counts().await, [1, 1, 0, 1, 1, 1]);
    let key = store.find_key(&registration.digest).await.unwrap().unwrap();
    assert_eq!((key.user, key.email_taken), (user.clone(), false));
    assert_eq!(
        store.texts("SELECT email FROM email_addresses WHERE is_primary AND verify_time IS NULL").await,
        ["Alice@example.com"]
    );
    assert_eq!(
        store.texts("SELECT recipient FROM mails WHERE state = 'QUEUED'").await,
        ["Alice@example.com"]
    );
    assert_eq!(store.texts("SELECT email_domain FROM users").await, ["example.com"]);
}

pub async fn a_users_locale_is_kept_with_it(store: Store) {
    let german = Locale::parse("de-AT").unwrap();
    let registration =
        NewRegistration { locale: Some(german.clone()), ..registration("alice", "alice@example.com") };
    let user = store.register(&registration).await.unwrap().unwrap();
    assert_eq!(user.locale.as_ref(), Some(&german));
    assert_eq!(find(&store, &user).await, Some(user.clone()));
    let activated = store.activate(&activation(registration.digest, start())).await.unwrap().unwrap();
    assert_eq!(activated.locale, Some(german));
    let deleted = store.delete_user(user.id, start()).await.unwrap().unwrap();
    assert_eq!(deleted, activated);
}

/// Provokes a failure in the middle of a registration by what must be unique, and expects `before` to stand.
async fn assert_nothing_is_left(store: &Store, name: &str, taken: (KeyDigest, MailId, User)) {
    let before = store.contents().await;
    let (digest, mail_id, user) = taken;
    let mut same_key = registration_at(name, "bob@example.com", start() + window());
    same_key.digest = digest;
    let mut same_mail = registration_at(name, "bob@example.com", start() + window());
    same_mail.mail.as_mut().unwrap().id = mail_id;
    let mut same_user = registration_at(name, "bob@example.com", start() + window());
    same_user.user_id = user.id;
    for registration in [same_key, same_mail, same_user] {
        let error = store.register(&registration).await.unwrap_err();
        assert!(matches!(error, StorageError::Database(_)), "{error:?}");
        assert_eq!(store.contents().await, before);
    }
}

pub async fn r1_a_registration_that_fails_midway_leaves_nothing(store: Store) {
    let alice = registration("alice", "alice@example.com");
    let user = store.register(&alice).await.unwrap().unwrap();
    assert_nothing_is_left(&store, "bob", (alice.digest, alice.mail.unwrap().id, user)).await;
}

pub async fn r1_a_registration_that_fails_midway_keeps_whoever_was_to_give_way(store: Store) {
    let alice = registration("alice", "alice@example.com");
    let user = store.register(&alice).await.unwrap().unwrap();
    register(&store, "bob", "bob@example.com").await;
    assert_nothing_is_left(&store, "bob", (alice.digest, alice.mail.unwrap().id, user)).await;
}

pub async fn r2_without_a_mail_none_is_queued(store: Store) {
    let mut registration = registration("alice", "alice@example.com");
    registration.mail = None;
    store.register(&registration).await.unwrap().unwrap();
    assert_eq!(store.counts().await, [1, 1, 0, 1, 0, 1]);
}

pub async fn r6_user_registered_is_appended_once(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.register(&registration("alice", "other@example.com")).await.unwrap().unwrap_err();
    assert_eq!(store.events(alice.id.0).await, ["user_registered"]);
    assert_eq!(store.count("events").await, 1);
}

pub async fn x7_a_username_in_use_is_refused_and_nothing_stored(store: Store) {
    register(&store, "alice", "alice@example.com").await;
    let before = store.contents().await;
    let refusal = store.register(&registration("alice", "other@example.com")).await.unwrap().unwrap_err();
    assert_eq!(refusal, RegisterRefusal::UsernameTaken);
    assert_eq!(store.contents().await, before);
}

pub async fn x7_usernames_equal_in_case_and_width_are_one(store: Store) {
    let (alice, _) = register(&store, "Alice", "alice@example.com").await;
    for spelling in ["alice", "ALICE", "\u{ff21}lice"] {
        let refusal = store.register(&registration(spelling, "other@example.com")).await.unwrap();
        assert_eq!(refusal.unwrap_err(), RegisterRefusal::UsernameTaken, "{spelling}");
        let found = store.find_user_by_username(username(spelling).key()).await.unwrap();
        assert_eq!(found.as_ref(), Some(&alice), "{spelling}");
    }
    // The dotless i is no i, whatever a database's lower() says.
    register(&store, "mike", "mike@example.com").await;
    store.register(&registration("m\u{131}ke", "other@example.com")).await.unwrap().unwrap();
}

pub async fn x7_an_expired_holder_gives_way_as_if_purged(store: Store) {
    let (old, old_key) = register(&store, "alice", "old@example.com").await;
    let (new, _) = super::people::register_at(&store, "ALICE", "new@example.com", start() + window()).await;
    assert_eq!(store.events(old.id.0).await, ["user_registered", "user_deleted expired"]);
    assert_eq!(store.events(new.id.0).await, ["user_registered"]);
    assert_eq!(find(&store, &old).await, None);
    assert_eq!(find(&store, &new).await, Some(new));
    assert!(store.find_key(&old_key).await.unwrap().is_none());
    assert_eq!(store.counts().await, [1, 1, 0, 1, 1, 3]);
}

pub async fn r10_a_holder_gives_way_at_its_expiry_and_not_a_microsecond_earlier(store: Store) {
    register(&store, "alice", "old@example.com").await;
    let early = registration_at("alice", "new@example.com", start() + window() - tick());
    assert_eq!(store.register(&early).await.unwrap().unwrap_err(), RegisterRefusal::UsernameTaken);
    let due = registration_at("alice", "new@example.com", start() + window());
    store.register(&due).await.unwrap().unwrap();
}

pub async fn x7_an_expired_holder_stays_unless_the_registration_says_that_it_goes(store: Store) {
    register(&store, "alice", "alice@example.com").await;
    let before = store.contents().await;
    let now = start() + window();
    let asking = NewRegistration { give_way: false, ..registration_at("Alice", "new@example.com", now) };
    assert_eq!(store.register(&asking).await.unwrap(), Err(RegisterRefusal::UsernameExpired));
    assert_eq!(store.contents().await, before);
    let early = NewRegistration { now: now - tick(), ..asking };
    assert_eq!(store.register(&early).await.unwrap(), Err(RegisterRefusal::UsernameTaken));
}

pub async fn x7_an_expired_holder_stays_if_the_new_email_is_taken(store: Store) {
    register_active(&store, "owner", "owner@example.com").await;
    register(&store, "alice", "old@example.com").await;
    let before = store.contents().await;
    let refused = registration_at("alice", "owner@example.com", start() + window());
    assert_eq!(store.register(&refused).await.unwrap().unwrap_err(), RegisterRefusal::EmailTaken);
    assert_eq!(store.contents().await, before);
}

/// Expects that long after every window the username is not free.
async fn assert_keeps_the_username(store: &Store, user: &User) {
    let before = store.contents().await;
    let late = registration_at(&user.username, "new@example.com", start() + window() * 100);
    assert_eq!(store.register(&late).await.unwrap().unwrap_err(), RegisterRefusal::UsernameTaken);
    assert_eq!(store.contents().await, before);
}

pub async fn x7_a_holder_who_has_verified_any_address_keeps_the_username(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    verify_another_address(&store, &alice, "second@example.com").await;
    assert_keeps_the_username(&store, &alice).await;
}

pub async fn x7_a_holder_without_a_profile_keeps_the_username(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.delete_profile(alice.id).await.unwrap().unwrap();
    assert_keeps_the_username(&store, &alice).await;
}

pub async fn x7_a_disabled_holder_keeps_the_username(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.disable_user(alice.id, start() + seconds(1)).await.unwrap().unwrap();
    assert_keeps_the_username(&store, &alice).await;
}

pub async fn x7_an_active_holder_keeps_the_username(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    assert_keeps_the_username(&store, &alice).await;
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    activate_by_hand(&store, &bob, start() + seconds(1)).await;
    assert_keeps_the_username(&store, &bob).await;
}

pub async fn x7_a_username_in_use_is_said_before_an_email_taken(store: Store) {
    register_active(&store, "alice", "alice@example.com").await;
    let refusal = store.register(&registration("alice", "alice@example.com")).await.unwrap().unwrap_err();
    assert_eq!(refusal, RegisterRefusal::UsernameTaken);
}

pub async fn x8_an_address_that_somebody_has_verified_is_refused(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    verify_another_address(&store, &alice, "second@example.com").await;
    let before = store.contents().await;
    for address in ["alice@example.com", "alice@EXAMPLE.com", "second@example.com"] {
        let refusal = store.register(&registration("bob", address)).await.unwrap().unwrap_err();
        assert_eq!(refusal, RegisterRefusal::EmailTaken, "{address}");
    }
    assert_eq!(store.contents().await, before);
    // Only the domain has no case.
    store.register(&registration("bob", "Alice@example.com")).await.unwrap().unwrap();
}

pub async fn x8_an_unverified_address_can_be_claimed_by_several(store: Store) {
    for name in ["alice", "bob", "carol"] {
        let (user, key) = register(&store, name, "shared@example.com").await;
        assert!(!store.find_key(&key).await.unwrap().unwrap().email_taken);
        store.issue_key(&issue(&user, start() + seconds(1))).await.unwrap().unwrap();
    }
    assert_eq!(store.find_user_by_verified_email(&email("shared@example.com")).await.unwrap(), None);
    assert_eq!(store.counts().await, [3, 3, 0, 6, 3, 3]);
}

pub async fn x9_the_password_may_be_left_out(store: Store) {
    register(&store, "alice", "alice@example.com").await;
    let mut bob = registration("bob", "bob@example.com");
    bob.password_hash = Some(password_hash("$argon2id$bob"));
    bob.mail = Some(mail(start() + window()));
    store.register(&bob).await.unwrap().unwrap();
    let query = "SELECT username || ' ' || coalesce(password_hash, 'none') FROM users ORDER BY username";
    assert_eq!(store.texts(query).await, ["alice none", "bob $argon2id$bob"]);
}

pub async fn x8_nothing_of_a_displaced_claim_survives(store: Store) {
    let mut squatter = registration("squatter", "alice@example.com");
    squatter.password_hash = Some(password_hash("$argon2id$squatter"));
    store.register(&squatter).await.unwrap().unwrap();
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    store.activate(&activation(key, start() + seconds(1))).await.unwrap().unwrap();
    let owner = store.find_user_by_verified_email(&email("alice@example.com")).await.unwrap().unwrap();
    assert_eq!(owner.id, alice.id);
    let with_password = "SELECT username FROM users WHERE password_hash IS NOT NULL";
    assert_eq!(store.texts(with_password).await, ["squatter"]);
}
