//! Finding users and disabling them: X1, X15, X23, R10.

use vestibule::domain::user::{User, UserId, UserState};

use super::{
    people::{
        activate_by_hand, email, find, log_in, register, register_active, register_at, seconds, start, tick,
        unique_id, username, verify_another_address, window,
    },
    store::Store,
};

pub async fn a_user_is_found_by_id_and_by_username(store: Store) {
    let (alice, _) = register(&store, "Alice", "alice@example.com").await;
    register(&store, "bob", "bob@example.com").await;
    assert_eq!(find(&store, &alice).await, Some(alice.clone()));
    assert_eq!(store.find_user_by_username(username("aLICE").key()).await.unwrap(), Some(alice));
    assert_eq!(store.find_user(UserId(unique_id())).await.unwrap(), None);
    assert_eq!(store.find_user_by_username(username("carol").key()).await.unwrap(), None);
}

pub async fn x21_instants_are_kept_to_the_microsecond_from_year_1_to_9999(store: Store) {
    let first: chrono::DateTime<chrono::Utc> = "0001-01-01T00:00:00Z".parse().unwrap();
    let last = "9999-12-31T23:59:59.999999Z".parse().unwrap();
    let mut registration = super::people::registration_at("alice", "alice@example.com", first);
    registration.expire_time = last;
    registration.mail = None;
    let alice = store.register(&registration).await.unwrap().unwrap();
    log_in(&store, &alice, start()).await;
    let found = find(&store, &alice).await.unwrap();
    assert_eq!(found, User { last_login_time: Some(start()), ..registration.user() });
}

pub async fn x23_by_email_only_the_user_who_has_verified_it_is_found(store: Store) {
    let shared = email("shared@example.com");
    register(&store, "alice", "shared@example.com").await;
    assert_eq!(store.find_user_by_verified_email(&shared).await.unwrap(), None);
    let (bob, _) = register_active(&store, "bob", "shared@example.com").await;
    assert_eq!(store.find_user_by_verified_email(&shared).await.unwrap(), Some(bob.clone()));
    verify_another_address(&store, &bob, "second@example.com").await;
    let found = store.find_user_by_verified_email(&email("second@example.com")).await.unwrap();
    assert_eq!(found, Some(bob));
}

/// The usernames of an address's pending claims.
async fn claims(store: &Store, after: chrono::Duration, limit: u32) -> Vec<String> {
    let users =
        store.list_pending_claims(&email("shared@example.com"), start() + after, limit).await.unwrap();
    users.into_iter().map(|user| user.username).collect()
}

pub async fn x23_pending_claims_come_latest_first_and_limited(store: Store) {
    for (second, name) in ["alice", "bob", "carol", "dave"].into_iter().enumerate() {
        let now = start() + seconds(i64::try_from(second).unwrap());
        register_at(&store, name, "shared@example.com", now).await;
    }
    register(&store, "erin", "erin@example.com").await;
    assert_eq!(claims(&store, seconds(9), 3).await, ["dave", "carol", "bob"]);
    assert_eq!(claims(&store, seconds(9), 10).await, ["dave", "carol", "bob", "alice"]);
    assert_eq!(claims(&store, seconds(9), 0).await, [""; 0]);
}

pub async fn r10_a_claim_is_live_until_a_microsecond_before_its_expiry(store: Store) {
    register(&store, "alice", "shared@example.com").await;
    assert_eq!(claims(&store, window() - tick(), 3).await, ["alice"]);
    assert_eq!(claims(&store, window(), 3).await, [""; 0]);
}

pub async fn x23_only_pending_users_with_a_profile_claim(store: Store) {
    let (without, _) = register(&store, "without", "shared@example.com").await;
    store.delete_profile(without.id).await.unwrap().unwrap();
    let (disabled, _) = register(&store, "disabled", "shared@example.com").await;
    store.disable_user(disabled.id, start() + seconds(1)).await.unwrap().unwrap();
    let (by_hand, _) = register(&store, "by-hand", "shared@example.com").await;
    activate_by_hand(&store, &by_hand, start() + seconds(1)).await;
    register(&store, "pending", "shared@example.com").await;
    assert_eq!(claims(&store, seconds(2), 10).await, ["pending"]);
}

pub async fn x23_nobody_claims_what_another_has_verified(store: Store) {
    let (alice, _) = register(&store, "alice", "shared@example.com").await;
    let (bob, _) = register_active(&store, "bob", "bob@example.com").await;
    // A pending user may have verified the address before: that is no other user.
    let (mine, his) = (store.id(alice.id.0), store.id(bob.id.0));
    store
        .execute(format!("INSERT INTO verified_email_addresses VALUES ('shared@example.com', {mine})"))
        .await;
    assert_eq!(claims(&store, seconds(2), 10).await, ["alice"]);
    store
        .execute(format!("UPDATE verified_email_addresses SET user_id = {his} WHERE user_id = {mine}"))
        .await;
    assert_eq!(claims(&store, seconds(2), 10).await, [""; 0]);
}

pub async fn x1_a_pending_or_active_user_can_be_disabled(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let (bob, _) = register_active(&store, "bob", "bob@example.com").await;
    let now = start() + seconds(2);
    for user in [alice, bob] {
        let disabled = store.disable_user(user.id, now).await.unwrap().unwrap();
        let expected = User { state: UserState::Disabled, disable_time: Some(now), ..user.clone() };
        assert_eq!(disabled, expected);
        assert_eq!(find(&store, &user).await, Some(expected));
        assert_eq!(store.events(user.id.0).await.last().unwrap(), "user_disabled");
    }
    assert_eq!(store.count("events WHERE kind = 'user_disabled'").await, 2);
}

pub async fn x1_disabling_twice_changes_nothing_the_second_time(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let disabled = store.disable_user(alice.id, start() + seconds(1)).await.unwrap().unwrap();
    let before = store.contents().await;
    let again = store.disable_user(alice.id, start() + seconds(2)).await.unwrap().unwrap();
    assert_eq!(again, disabled);
    assert_eq!(store.contents().await, before);
}

pub async fn nobody_is_disabled_who_is_not_there(store: Store) {
    assert_eq!(store.disable_user(UserId(unique_id()), start()).await.unwrap(), None);
    assert_eq!(store.count("events").await, 0);
}
