//! Purging: R10, R15, R16, X16, X17, X18.

use vestibule::{
    domain::{
        Timestamp,
        delivery::Settlement,
        unverified::PurgeScope,
        user::{User, UserId},
    },
    repository::ActivateRefusal,
};

use super::{
    people::{
        activate_by_hand, activation, find, issue, mail, register, register_active, register_at,
        registration_at, seconds, start, tick, unique_id, verify_another_address, window,
    },
    store::Store,
};

/// Who is purged at `now`.
pub fn scope(now: Timestamp) -> PurgeScope {
    PurgeScope { now, include_disabled: false }
}

/// Who is purged at `now` when disabled users are asked for.
fn disabled_too(now: Timestamp) -> PurgeScope {
    PurgeScope { now, include_disabled: true }
}

/// Which purge takes a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Spared,
    GoesIfDisabledAreAskedFor,
    Goes,
}

/// Holds the store's only user against each purge at `now`: count, list and deletion must agree (X17).
async fn assert_fate(store: &Store, user: &User, now: Timestamp, fate: Fate) {
    for (scope, goes_from) in [(scope(now), Fate::Goes), (disabled_too(now), Fate::GoesIfDisabledAreAskedFor)]
    {
        let user = find(store, user).await.expect("an earlier purge has spared the user");
        let expected = if fate >= goes_from { vec![user.clone()] } else { Vec::new() };
        let count = u32::try_from(expected.len()).unwrap();
        assert_eq!(store.count_purgeable(scope, 10).await.unwrap(), count, "{scope:?}");
        assert_eq!(store.list_purgeable(scope, 10).await.unwrap(), expected, "{scope:?}");
        assert_eq!(store.purge(scope, 10).await.unwrap(), expected, "{scope:?}");
        if fate >= goes_from {
            assert_eq!(find(store, &user).await, None);
            assert_eq!(store.events(user.id.0).await.last().unwrap(), "user_deleted expired");
            return;
        }
        assert_eq!(find(store, &user).await, Some(user));
    }
}

/// Long after every window.
fn late() -> Timestamp {
    start() + window() * 100
}

pub async fn x16_a_pending_user_goes_once_the_key_has_expired(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    assert_fate(&store, &alice, late(), Fate::Goes).await;
}

pub async fn r16_a_pending_user_in_time_is_spared(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    assert_fate(&store, &alice, start() + seconds(1), Fate::Spared).await;
}

pub async fn r10_a_user_goes_at_the_expiry_and_not_a_microsecond_earlier(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    assert_fate(&store, &alice, start() + window() - tick(), Fate::Spared).await;
    assert_fate(&store, &alice, start() + window(), Fate::Goes).await;
}

pub async fn r10_a_disabled_user_goes_at_the_expiry_and_not_a_microsecond_earlier(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.disable_user(alice.id, start() + seconds(1)).await.unwrap().unwrap();
    assert_fate(&store, &alice, start() + window() - tick(), Fate::Spared).await;
    assert_fate(&store, &alice, start() + window(), Fate::GoesIfDisabledAreAskedFor).await;
}

pub async fn r13_a_pending_user_without_a_profile_is_spared_however_old(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.delete_profile(alice.id).await.unwrap().unwrap();
    assert_fate(&store, &alice, late(), Fate::Spared).await;
}

pub async fn x16_a_pending_user_with_any_verified_address_is_spared(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    verify_another_address(&store, &alice, "second@example.com").await;
    assert_fate(&store, &alice, late(), Fate::Spared).await;
}

pub async fn x16_a_pending_user_with_the_primary_address_verified_is_spared(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.execute("UPDATE users SET email_verified = true, any_email_verified = true").await;
    assert_fate(&store, &alice, late(), Fate::Spared).await;
}

pub async fn r16_an_active_user_is_spared(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    assert_fate(&store, &alice, late(), Fate::Spared).await;
}

pub async fn r16_an_active_user_with_an_old_unused_key_is_spared(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    activate_by_hand(&store, &alice, start() + seconds(1)).await;
    assert_fate(&store, &alice, late(), Fate::Spared).await;
}

pub async fn x16_an_active_user_without_a_profile_is_spared(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    store.delete_profile(alice.id).await.unwrap().unwrap();
    assert_fate(&store, &alice, late(), Fate::Spared).await;
}

pub async fn x16_a_disabled_user_with_an_expired_key_goes_only_if_asked_for(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.disable_user(alice.id, start() + seconds(1)).await.unwrap().unwrap();
    assert_fate(&store, &alice, late(), Fate::GoesIfDisabledAreAskedFor).await;
}

pub async fn x16_a_disabled_user_with_a_spent_key_goes_only_if_asked_for_even_in_time(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    store.disable_user(alice.id, start() + seconds(2)).await.unwrap().unwrap();
    assert_fate(&store, &alice, start() + seconds(3), Fate::GoesIfDisabledAreAskedFor).await;
}

pub async fn x16_a_disabled_user_with_an_unspent_key_in_time_is_spared(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    activate_by_hand(&store, &alice, start() + seconds(1)).await;
    store.disable_user(alice.id, start() + seconds(2)).await.unwrap().unwrap();
    assert_fate(&store, &alice, start() + seconds(3), Fate::Spared).await;
}

pub async fn x16_a_disabled_user_without_a_profile_is_spared(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.delete_profile(alice.id).await.unwrap().unwrap();
    store.disable_user(alice.id, start() + seconds(1)).await.unwrap().unwrap();
    assert_fate(&store, &alice, late(), Fate::Spared).await;
}

pub async fn x16_a_disabled_user_who_was_active_and_has_no_profile_is_spared(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    store.delete_profile(alice.id).await.unwrap().unwrap();
    store.disable_user(alice.id, start() + seconds(2)).await.unwrap().unwrap();
    assert_fate(&store, &alice, late(), Fate::Spared).await;
}

pub async fn r15_nothing_is_left_of_the_purged_but_events_and_the_names_are_free(store: Store) {
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    let mut further = issue(&alice, start() + seconds(1));
    further.mail = Some(mail(start() + window()));
    store.issue_key(&further).await.unwrap().unwrap();
    // One mail delivered, one with a lease on it.
    let token = unique_id();
    let mails = store.claim_mails(start() + seconds(2), late(), token, 10).await.unwrap().mails;
    store.settle_mail(mails[0].id, token, &Settlement::Delivered, start() + seconds(2)).await.unwrap();
    let (bob, _) = register_active(&store, "bob", "bob@example.com").await;
    verify_another_address(&store, &bob, "second@example.com").await;
    store.disable_user(bob.id, start() + seconds(3)).await.unwrap().unwrap();
    for gone in [alice, bob] {
        let purged = store.purge(disabled_too(late()), 10).await.unwrap();
        assert_eq!(purged.into_iter().map(|user| user.id).collect::<Vec<_>>(), [gone.id]);
    }
    let [users, addresses, verified, keys, mails, events] = store.counts().await;
    assert_eq!([users, addresses, verified, keys, mails], [0; 5]);
    assert_eq!(events, 7);
    let refusal = store.activate(&activation(key, start() + seconds(4))).await.unwrap().unwrap_err();
    assert_eq!(refusal, ActivateRefusal::UnknownKey);
    for (name, address) in [("Alice", "bob@example.com"), ("Bob", "second@example.com")] {
        let again = registration_at(name, address, late());
        store.register(&again).await.unwrap().unwrap();
        store.activate(&activation(again.digest, late())).await.unwrap().unwrap();
    }
}

pub async fn r15_others_keep_all_that_is_theirs(store: Store) {
    register_at(&store, "later", "shared@example.com", start() + seconds(1)).await;
    let kept = store.contents().await;
    register(&store, "alice", "shared@example.com").await;
    assert_eq!(store.purge(scope(start() + window()), 10).await.unwrap().len(), 1);
    let events = store.count("events").await;
    assert_eq!(events, 3);
    store.execute("DELETE FROM events WHERE id > 1").await;
    assert_eq!(store.contents().await, kept);
}

/// Registers users who expire in the order of their names, but not in that of their ids.
async fn register_in_order(store: &Store) -> Vec<User> {
    let mut users = Vec::new();
    for (name, second) in [("c", 3), ("a", 1), ("e", 5), ("b", 2), ("d", 4)] {
        let now = start() + seconds(second);
        users.push(register_at(store, name, &format!("{name}@example.com"), now).await.0);
    }
    users.sort_by_key(|user| user.username.clone());
    users
}

pub async fn x18_a_limit_bounds_a_purge_which_takes_the_longest_expired_first(store: Store) {
    let users = register_in_order(&store).await;
    assert_eq!(store.purge(scope(late()), 0).await.unwrap(), []);
    assert_eq!(store.purge(scope(late()), 2).await.unwrap(), users[..2]);
    assert_eq!(store.purge(scope(late()), 2).await.unwrap(), users[2..4]);
    assert_eq!(store.count("events WHERE kind = 'user_deleted'").await, 4);
    assert_eq!(store.purge(scope(late()), 2).await.unwrap(), users[4..]);
    assert_eq!(store.purge(scope(late()), 2).await.unwrap(), []);
    assert_eq!(store.count("events WHERE kind = 'user_deleted'").await, 5);
}

pub async fn x18_a_preview_shows_whom_a_purge_takes_first_and_deletes_nobody(store: Store) {
    let users = register_in_order(&store).await;
    let before = store.contents().await;
    for limit in [0, 1, 3, 5, 9] {
        let expected = &users[..users.len().min(limit as usize)];
        let count = u32::try_from(expected.len()).unwrap();
        assert_eq!(store.count_purgeable(scope(late()), limit).await.unwrap(), count);
        assert_eq!(store.list_purgeable(scope(late()), limit).await.unwrap(), expected);
    }
    let early = scope(start() + window() + seconds(2));
    assert_eq!(store.list_purgeable(early, 9).await.unwrap(), users[..2]);
    assert_eq!(store.contents().await, before);
}

pub async fn x18_pending_users_go_before_disabled_ones(store: Store) {
    let users = register_in_order(&store).await;
    for user in &users[..2] {
        store.disable_user(user.id, start() + seconds(9)).await.unwrap().unwrap();
    }
    let scope = disabled_too(late());
    let names = |users: Vec<User>| users.into_iter().map(|user| user.username).collect::<Vec<_>>();
    assert_eq!(store.count_purgeable(scope, 4).await.unwrap(), 4);
    assert_eq!(store.count_purgeable(scope, 9).await.unwrap(), 5);
    assert_eq!(names(store.list_purgeable(scope, 4).await.unwrap()), ["c", "d", "e", "a"]);
    for gone in [&["c", "d"][..], &["e"], &["a", "b"], &[]] {
        assert_eq!(names(store.purge(scope, 2).await.unwrap()), gone);
    }
}

pub async fn x17_whatever_commits_before_a_purge_wins(store: Store) {
    let now = start() + window();
    let (_, key) = register(&store, "activated", "activated@example.com").await;
    store.activate(&activation(key, now - tick())).await.unwrap().unwrap();
    let (disabled, _) = register(&store, "disabled", "disabled@example.com").await;
    store.disable_user(disabled.id, now - tick()).await.unwrap().unwrap();
    let (bare, _) = register(&store, "bare", "bare@example.com").await;
    store.delete_profile(bare.id).await.unwrap().unwrap();
    assert_eq!(store.purge(scope(now), 10).await.unwrap(), []);
    assert_eq!(store.count("users").await, 3);
}

pub async fn x20_a_deletion_is_told_with_its_instant_and_its_reason(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.purge(scope(late()), 1).await.unwrap();
    let told = format!(
        "events WHERE kind = 'user_deleted' AND deletion_reason = 'expired' AND create_time = {} AND user_id = {}",
        store.at(late()),
        store.id(alice.id.0)
    );
    assert_eq!(store.count(&told).await, 1);
    assert_eq!(store.find_user(UserId(alice.id.0)).await.unwrap(), None);
}
