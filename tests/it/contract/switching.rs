//! Switching users by hand, deleting them, and their logins: X1, X15, X16, U7.

use vestibule::{
    domain::{
        profile::KeyRefusal,
        unverified::PurgeScope,
        user::{User, UserId, UserState},
    },
    repository::{ActivateRefusal, UserRefusal},
};

use super::{
    people::{
        activation, find, issue, register, register_active, registration_at, seconds, start, tick, unique_id,
        verify_another_address, window,
    },
    store::{Store, TABLES},
};

fn nobody() -> UserId {
    UserId(unique_id())
}

pub async fn x1_a_pending_user_is_made_active_by_hand_and_nothing_verified(store: Store) {
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    let now = start() + window() + seconds(1);
    let active = store.activate_user(alice.id, now).await.unwrap().unwrap();
    let expected = User { state: UserState::Active, activate_time: Some(now), ..alice.clone() };
    assert_eq!(active, expected);
    assert_eq!(find(&store, &alice).await, Some(expected));
    assert_eq!(store.count("verified_email_addresses").await, 0);
    assert_eq!(store.count("email_addresses WHERE verify_time IS NOT NULL").await, 0);
    assert_eq!(store.events(alice.id.0).await, ["user_registered", "user_activated"]);
    // R11: whoever clicks the link now is told so.
    let clicked = store.activate(&activation(key, now + seconds(1))).await.unwrap();
    let refusal = KeyRefusal::AlreadyActivated { user_id: alice.id, activate_time: now };
    assert_eq!(clicked, Err(ActivateRefusal::Key(refusal)));
}

pub async fn x1_who_is_active_or_disabled_is_not_made_active_by_hand(store: Store) {
    let (active, _) = register_active(&store, "active", "active@example.com").await;
    let (disabled, _) = register(&store, "disabled", "disabled@example.com").await;
    store.disable_user(disabled.id, start() + seconds(1)).await.unwrap().unwrap();
    let before = store.contents().await;
    let now = start() + seconds(9);
    assert_eq!(store.activate_user(active.id, now).await.unwrap(), Ok(active));
    assert_eq!(store.activate_user(disabled.id, now).await.unwrap(), Err(UserRefusal::Disabled));
    assert_eq!(store.activate_user(nobody(), now).await.unwrap(), Err(UserRefusal::UserNotFound));
    assert_eq!(store.contents().await, before);
}

pub async fn x1_enabling_takes_a_user_back_to_where_it_was(store: Store) {
    let (pending, _) = register(&store, "pending", "pending@example.com").await;
    let (active, key) = register_active(&store, "active", "active@example.com").await;
    let (by_hand, _) = register(&store, "by-hand", "by-hand@example.com").await;
    let by_hand = store.activate_user(by_hand.id, start() + seconds(1)).await.unwrap().unwrap();
    for user in [pending, active.clone(), by_hand] {
        store.disable_user(user.id, start() + seconds(2)).await.unwrap().unwrap();
        let enabled = store.enable_user(user.id, start() + seconds(3)).await.unwrap();
        assert_eq!(enabled, Some(user.clone()));
        assert_eq!(find(&store, &user).await, Some(user.clone()));
        let events = store.events(user.id.0).await;
        assert_eq!(events[events.len() - 2..], ["user_disabled", "user_enabled"]);
    }
    // X13: a spent key still says who is active since when.
    let activate_time = active.activate_time.unwrap();
    let refusal = KeyRefusal::AlreadyActivated { user_id: active.id, activate_time };
    let clicked = store.activate(&activation(key, start() + seconds(4))).await.unwrap();
    assert_eq!(clicked, Err(ActivateRefusal::Key(refusal)));
    assert_eq!(store.count("verified_email_addresses").await, 1);
}

pub async fn x15_keys_that_died_with_a_disabling_stay_dead(store: Store) {
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    let further = issue(&alice, start() + seconds(1));
    store.issue_key(&further).await.unwrap().unwrap();
    store.disable_user(alice.id, start() + seconds(2)).await.unwrap().unwrap();
    store.enable_user(alice.id, start() + seconds(3)).await.unwrap().unwrap();
    for digest in [key, further.digest] {
        let clicked = store.activate(&activation(digest, start() + seconds(4))).await.unwrap();
        assert_eq!(clicked, Err(ActivateRefusal::UnknownKey));
    }
    // The window is what it was, and in it a new key works.
    let new = issue(&alice, start() + seconds(5));
    assert_eq!(store.issue_key(&new).await.unwrap(), Ok(alice));
    store.activate(&activation(new.digest, start() + window() - tick())).await.unwrap().unwrap();
}

pub async fn x16_who_is_pending_again_is_purged_once_expired_and_who_is_active_again_never(store: Store) {
    let (pending, _) = register(&store, "pending", "pending@example.com").await;
    let (active, _) = register_active(&store, "active", "active@example.com").await;
    for user in [&pending, &active] {
        store.disable_user(user.id, start() + seconds(2)).await.unwrap().unwrap();
        store.enable_user(user.id, start() + seconds(3)).await.unwrap().unwrap();
    }
    let scope = |now| PurgeScope { now, include_disabled: true };
    assert_eq!(store.purge(scope(start() + window() - tick()), 10).await.unwrap(), []);
    assert_eq!(store.purge(scope(start() + window()), 10).await.unwrap(), [pending]);
    assert_eq!(store.purge(scope(start() + window()), 10).await.unwrap(), []);
    assert_eq!(find(&store, &active).await, Some(active));
}

pub async fn x1_who_is_not_disabled_is_not_enabled(store: Store) {
    let (pending, _) = register(&store, "pending", "pending@example.com").await;
    let (active, _) = register_active(&store, "active", "active@example.com").await;
    let before = store.contents().await;
    for user in [pending, active] {
        assert_eq!(store.enable_user(user.id, start() + seconds(9)).await.unwrap(), Some(user));
    }
    assert_eq!(store.enable_user(nobody(), start()).await.unwrap(), None);
    assert_eq!(store.contents().await, before);
}

pub async fn x20_deleting_leaves_nothing_of_a_user_but_events(store: Store) {
    register_active(&store, "other", "other@example.com").await;
    let others = store.contents().await;
    let (pending, _) = register(&store, "pending", "pending@example.com").await;
    let (active, _) = register_active(&store, "active", "active@example.com").await;
    verify_another_address(&store, &active, "second@example.com").await;
    let (disabled, _) = register(&store, "disabled", "disabled@example.com").await;
    let disabled = store.disable_user(disabled.id, start() + seconds(1)).await.unwrap().unwrap();
    for user in [pending, active.clone(), disabled] {
        assert_eq!(store.delete_user(user.id, start() + seconds(2)).await.unwrap(), Some(user.clone()));
        assert_eq!(store.delete_user(user.id, start() + seconds(3)).await.unwrap(), None);
        assert_eq!(store.events(user.id.0).await.last().unwrap(), "user_deleted requested");
        assert_eq!(find(&store, &user).await, None);
    }
    assert_eq!(store.count("events WHERE kind = 'user_deleted'").await, 3);
    let (_, tables) = TABLES.split_last().unwrap();
    for table in tables {
        let left = store.contents().await.into_iter().filter(|row| row.starts_with(&format!("{table} ")));
        let before = others.iter().filter(|row| row.starts_with(&format!("{table} ")));
        assert!(left.eq(before.cloned()), "{table}");
    }
    // Username and addresses are free.
    let again = registration_at("ACTIVE", "second@example.com", start() + seconds(4));
    store.register(&again).await.unwrap().unwrap();
    store.activate(&activation(again.digest, start() + seconds(5))).await.unwrap().unwrap();
}

pub async fn u7_the_latest_login_counts_in_whatever_order_they_are_told(store: Store) {
    let (pending, _) = register(&store, "pending", "pending@example.com").await;
    let (active, _) = register_active(&store, "active", "active@example.com").await;
    for user in [pending, active] {
        for (told, latest) in [(20, 20), (10, 20), (20, 20), (21, 21)] {
            let recorded = store.record_login(user.id, start() + seconds(told)).await.unwrap();
            let expected = User { last_login_time: Some(start() + seconds(latest)), ..user.clone() };
            assert_eq!(recorded, Ok(expected.clone()));
            assert_eq!(find(&store, &user).await, Some(expected));
        }
        // A login is no event, and changes nothing else.
        assert!(store.events(user.id.0).await.len() <= 2);
    }
}

pub async fn u7_no_login_of_a_disabled_user_is_recorded(store: Store) {
    let (disabled, _) = register(&store, "disabled", "disabled@example.com").await;
    store.disable_user(disabled.id, start() + seconds(1)).await.unwrap().unwrap();
    let before = store.contents().await;
    assert_eq!(store.record_login(disabled.id, start()).await.unwrap(), Err(UserRefusal::Disabled));
    assert_eq!(store.record_login(nobody(), start()).await.unwrap(), Err(UserRefusal::UserNotFound));
    assert_eq!(store.contents().await, before);
}
