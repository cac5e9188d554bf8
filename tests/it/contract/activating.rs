//! Activating, and looking at a key without using it: R7 to R12, X8, X9, X13, X14.

use vestibule::{
    domain::{
        activation_key::KeyDigest,
        profile::{KeyRefusal, RegistrationProfile},
        user::{User, UserState},
    },
    repository::{ActivateRefusal, Activation},
};

use super::{
    people::{
        activate_by_hand, activation, digest, email, find, issue, password_hash, register, register_active,
        registration, seconds, start, tick, verify_another_address, window,
    },
    store::Store,
};

/// Tries a key, expects a refusal, and that nothing has changed.
async fn refused(store: &Store, activation: &Activation) -> ActivateRefusal {
    let before = store.contents().await;
    let refusal = store.activate(activation).await.unwrap().unwrap_err();
    assert_eq!(store.contents().await, before);
    refusal
}

/// What a key answers that nobody can use any more since then.
fn activated_already(user: &User, since: chrono::DateTime<chrono::Utc>) -> ActivateRefusal {
    ActivateRefusal::Key(KeyRefusal::AlreadyActivated { user_id: user.id, activate_time: since })
}

pub async fn r7_activating_makes_the_user_active_and_the_address_verified(store: Store) {
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    let now = start() + seconds(1);
    let active = store.activate(&activation(key, now)).await.unwrap().unwrap();
    let profile = alice.profile.map(|profile| RegistrationProfile { activate_time: Some(now), ..profile });
    let expected = User {
        state: UserState::Active,
        activate_time: Some(now),
        email_verified: true,
        profile,
        ..alice.clone()
    };
    assert_eq!(active, expected);
    assert_eq!(find(&store, &alice).await, Some(expected.clone()));
    let owner = store.find_user_by_verified_email(&email("alice@example.com")).await.unwrap();
    assert_eq!(owner, Some(expected));
    let verified = format!("email_addresses WHERE verify_time = {}", store.at(now));
    assert_eq!(store.count(&verified).await, 1);
    assert_eq!(store.count("users WHERE any_email_verified").await, 1);
}

pub async fn r7_activating_one_user_changes_no_other(store: Store) {
    let (bob, bobs_key) = register(&store, "bob", "shared@example.com").await;
    let (_, key) = register(&store, "alice", "shared@example.com").await;
    store.activate(&activation(key, start() + seconds(1))).await.unwrap().unwrap();
    assert_eq!(find(&store, &bob).await, Some(bob.clone()));
    assert_eq!(store.events(bob.id.0).await, ["user_registered"]);
    assert_eq!(store.find_key(&bobs_key).await.unwrap().unwrap().user, bob);
    assert_eq!(store.count("email_addresses WHERE verify_time IS NULL").await, 1);
}

pub async fn r7_a_key_verifies_the_address_it_was_issued_for_and_no_other(store: Store) {
    let (alice, key) = register(&store, "alice", "old@example.com").await;
    let id = store.id(alice.id.0);
    store
        .execute(format!(
            "UPDATE users SET email = 'new@example.com', email_domain = 'example.com' WHERE id = {id}"
        ))
        .await;
    store.execute("UPDATE email_addresses SET is_primary = false").await;
    store
        .execute(format!(
            "INSERT INTO email_addresses (user_id, email, is_primary, create_time)
             VALUES ({id}, 'new@example.com', true, {})",
            store.at(start())
        ))
        .await;
    let active = store.activate(&activation(key, start() + seconds(1))).await.unwrap().unwrap();
    assert!(!active.email_verified);
    assert_eq!(store.texts("SELECT email FROM verified_email_addresses").await, ["old@example.com"]);
    let verified = "SELECT email FROM email_addresses WHERE verify_time IS NOT NULL";
    assert_eq!(store.texts(verified).await, ["old@example.com"]);
    assert_eq!(store.count("users WHERE any_email_verified").await, 1);
}

pub async fn r7_every_key_of_the_profile_is_spent(store: Store) {
    let (alice, first) = register(&store, "alice", "alice@example.com").await;
    let further = issue(&alice, start() + seconds(1));
    store.issue_key(&further).await.unwrap().unwrap();
    let now = start() + seconds(2);
    store.activate(&activation(further.digest, now)).await.unwrap().unwrap();
    for key in [first, further.digest] {
        let refusal = refused(&store, &activation(key, start() + seconds(3))).await;
        assert_eq!(refusal, activated_already(&alice, now));
    }
}

pub async fn r7_a_user_who_verified_the_address_before_can_still_activate(store: Store) {
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    let id = store.id(alice.id.0);
    store.execute(format!("INSERT INTO verified_email_addresses VALUES ('alice@example.com', {id})")).await;
    store.execute("UPDATE users SET email_verified = true, any_email_verified = true").await;
    let active = store.activate(&activation(key, start() + seconds(1))).await.unwrap().unwrap();
    assert_eq!((active.state, active.email_verified), (UserState::Active, true));
    assert_eq!(store.count("verified_email_addresses").await, 1);
}

pub async fn r8_an_unknown_key_activates_nobody(store: Store) {
    register(&store, "alice", "alice@example.com").await;
    let refusal = refused(&store, &activation(digest(), start() + seconds(1))).await;
    assert_eq!(refusal, ActivateRefusal::UnknownKey);
}

pub async fn r9_an_expired_key_changes_nothing(store: Store) {
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    let late = Activation {
        digest: key,
        password_hash: Some(password_hash("$argon2id$late")),
        now: start() + window() + seconds(1),
    };
    let expire_time = start() + window();
    assert_eq!(refused(&store, &late).await, ActivateRefusal::Key(KeyRefusal::Expired { expire_time }));
    assert_eq!(find(&store, &alice).await, Some(alice));
}

pub async fn r10_a_key_is_expired_at_its_instant_and_not_a_microsecond_earlier(store: Store) {
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    let expire_time = start() + window();
    let refusal = refused(&store, &activation(key, expire_time)).await;
    assert_eq!(refusal, ActivateRefusal::Key(KeyRefusal::Expired { expire_time }));
    let now = expire_time - tick();
    let active = store.activate(&activation(key, now)).await.unwrap().unwrap();
    assert_eq!((active.id, active.activate_time), (alice.id, Some(now)));
}

pub async fn r10_a_window_of_zero_days_is_over_at_once(store: Store) {
    let mut registration = registration("alice", "alice@example.com");
    registration.expire_time = start();
    store.register(&registration).await.unwrap().unwrap();
    let refusal = refused(&store, &activation(registration.digest, start())).await;
    assert_eq!(refusal, ActivateRefusal::Key(KeyRefusal::Expired { expire_time: start() }));
}

pub async fn r11_a_spent_key_says_who_is_active_since_when(store: Store) {
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    let now = start() + seconds(1);
    store.activate(&activation(key, now)).await.unwrap().unwrap();
    // Long after the window too: spent comes before expired.
    for later in [now, now + seconds(1), start() + window() * 2] {
        assert_eq!(refused(&store, &activation(key, later)).await, activated_already(&alice, now));
    }
}

pub async fn r11_a_user_made_active_by_hand_gets_the_same_answer(store: Store) {
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    let by_hand = start() + seconds(1);
    activate_by_hand(&store, &alice, by_hand).await;
    for later in [start() + seconds(2), start() + window() * 2] {
        assert_eq!(refused(&store, &activation(key, later)).await, activated_already(&alice, by_hand));
    }
}

pub async fn r11_no_key_activates_a_disabled_user(store: Store) {
    let (alice, pending_key) = register(&store, "alice", "alice@example.com").await;
    let (bob, spent_key) = register_active(&store, "bob", "bob@example.com").await;
    for (user, key) in [(alice, pending_key), (bob, spent_key)] {
        store.disable_user(user.id, start() + seconds(2)).await.unwrap().unwrap();
        for now in [start() + seconds(3), start() + window() * 2] {
            let refusal = refused(&store, &activation(key, now)).await;
            assert_eq!(refusal, ActivateRefusal::Key(KeyRefusal::Disabled));
        }
    }
}

pub async fn r11_the_answers_come_in_order(store: Store) {
    let (alice, key) = register(&store, "alice", "shared@example.com").await;
    register_active(&store, "bob", "shared@example.com").await;
    let refusal = |now| {
        let (store, activation) = (store.clone(), activation(key, now));
        async move { refused(&store, &activation).await }
    };
    let (in_time, late) = (start() + seconds(2), start() + window());
    assert_eq!(refusal(in_time).await, ActivateRefusal::Key(KeyRefusal::EmailTaken));
    assert_eq!(refusal(late).await, ActivateRefusal::Key(KeyRefusal::Expired { expire_time: late }));
    activate_by_hand(&store, &alice, start() + seconds(3)).await;
    assert_eq!(refusal(late).await, activated_already(&alice, start() + seconds(3)));
    store.disable_user(alice.id, start() + seconds(4)).await.unwrap().unwrap();
    assert_eq!(refusal(late).await, ActivateRefusal::Key(KeyRefusal::Disabled));
    store.execute(format!("DELETE FROM users WHERE id = {}", store.id(alice.id.0))).await;
    assert_eq!(refusal(late).await, ActivateRefusal::UnknownKey);
}

pub async fn r12_user_activated_is_appended_after_success_and_only_then(store: Store) {
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    refused(&store, &activation(key, start() + window())).await;
    assert_eq!(store.events(alice.id.0).await, ["user_registered"]);
    store.activate(&activation(key, start() + seconds(1))).await.unwrap().unwrap();
    refused(&store, &activation(key, start() + seconds(1))).await;
    assert_eq!(store.events(alice.id.0).await, ["user_registered", "user_activated"]);
}

pub async fn x8_the_first_to_activate_keeps_the_address(store: Store) {
    let (_, first) = register(&store, "alice", "shared@example.com").await;
    let (bob, second) = register(&store, "bob", "shared@example.com").await;
    let winner = store.activate(&activation(second, start() + seconds(1))).await.unwrap().unwrap();
    let refusal = refused(&store, &activation(first, start() + seconds(2))).await;
    assert_eq!(refusal, ActivateRefusal::Key(KeyRefusal::EmailTaken));
    let owner = store.find_user_by_verified_email(&email("shared@example.com")).await.unwrap();
    assert_eq!((winner.id, owner.map(|owner| owner.id)), (bob.id, Some(bob.id)));
}

pub async fn x8_an_address_verified_beside_a_primary_one_is_taken_too(store: Store) {
    let (_, key) = register(&store, "alice", "wanted@example.com").await;
    let (bob, _) = register_active(&store, "bob", "bob@example.com").await;
    verify_another_address(&store, &bob, "wanted@example.com").await;
    let refusal = refused(&store, &activation(key, start() + seconds(2))).await;
    assert_eq!(refusal, ActivateRefusal::Key(KeyRefusal::EmailTaken));
}

pub async fn x9_a_password_given_at_activation_replaces_the_first(store: Store) {
    for (name, first, then, last) in [
        ("alice", Some("first"), Some("then"), "then"),
        ("bob", Some("first"), None, "first"),
        ("carol", None, Some("then"), "then"),
        ("dave", None, None, "none"),
    ] {
        let mut registration = registration(name, &format!("{name}@example.com"));
        registration.password_hash = first.map(password_hash);
        let user = store.register(&registration).await.unwrap().unwrap();
        let mut activation = activation(registration.digest, start() + seconds(1));
        activation.password_hash = then.map(password_hash);
        store.activate(&activation).await.unwrap().unwrap();
        let hash =
            format!("SELECT coalesce(password_hash, 'none') FROM users WHERE id = {}", store.id(user.id.0));
        assert_eq!(store.texts(hash).await, [last], "{name}");
    }
}

/// Looks at a key, and expects that it has changed nothing.
async fn inspected(store: &Store, key: &KeyDigest) -> Option<(User, bool)> {
    let before = store.contents().await;
    let status = store.find_key(key).await.unwrap();
    assert_eq!(store.contents().await, before);
    status.map(|status| (status.user, status.email_taken))
}

pub async fn x14_looking_at_a_key_shows_its_user_and_changes_nothing(store: Store) {
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    assert_eq!(inspected(&store, &key).await, Some((alice, false)));
    assert_eq!(inspected(&store, &digest()).await, None);
    let active = store.activate(&activation(key, start() + seconds(1))).await.unwrap().unwrap();
    assert_eq!(inspected(&store, &key).await, Some((active.clone(), false)));
    let disabled = store.disable_user(active.id, start() + seconds(2)).await.unwrap().unwrap();
    assert_eq!(inspected(&store, &key).await, Some((disabled, false)));
}

pub async fn x14_looking_at_a_key_says_whether_another_user_has_its_address(store: Store) {
    let (alice, key) = register(&store, "alice", "shared@example.com").await;
    let (_, winning) = register_active(&store, "bob", "shared@example.com").await;
    assert_eq!(inspected(&store, &key).await, Some((alice, true)));
    assert!(!inspected(&store, &winning).await.unwrap().1);
}
