//! Purging whom a caller selects: U5, X16, X17, X18.

use vestibule::{
    domain::{
        Timestamp,
        email_address::EmailDomain,
        page::PageSize,
        site::SiteId,
        unverified::{PurgeSelection, UnverifiedFilter},
        user::{User, UserId, UserState},
    },
    repository::NewRegistration,
};

use super::{
    people::{
        activate_by_hand, find, log_in, register, register_active, register_at, registration_at, seconds,
        start, tick, unique_id, username, verify_another_address, window,
    },
    store::Store,
};

/// An instant within every window.
fn then() -> Timestamp {
    start() + seconds(100)
}

fn at(filter: UnverifiedFilter, now: Timestamp) -> PurgeSelection {
    PurgeSelection { filter, now }
}

/// Whoever registered from the beginning on: everybody.
fn everybody() -> UnverifiedFilter {
    UnverifiedFilter { created_after: Some(start()), ..UnverifiedFilter::default() }
}

/// Purges with the ids of everybody there is, as a caller does who has seen them all.
async fn purge(store: &Store, selection: &PurgeSelection) -> Vec<String> {
    let page = |filter: &UnverifiedFilter| {
        let (store, filter) = (store.clone(), filter.clone());
        async move { store.list_unverified(&filter, then(), PageSize::at_most(1000), None).await.unwrap().items }
    };
    let all = UnverifiedFilter { include_any_verified: true, ..UnverifiedFilter::default() };
    let ids: Vec<_> = page(&all).await.into_iter().map(|user| user.id).collect();
    let gone = store.purge_selected(selection, &ids).await.unwrap();
    assert!(gone.is_sorted_by_key(|user| user.id));
    names(gone)
}

fn names(users: Vec<User>) -> Vec<String> {
    let mut names: Vec<_> = users.into_iter().map(|user| user.username).collect();
    names.sort();
    names
}

/// Counts, lists and deletes by one predicate, and leaves everybody else (X17).
async fn assert_taken(store: &Store, selection: &PurgeSelection, expected: &[&str]) {
    let users = store.count("users").await;
    let count = u32::try_from(expected.len()).unwrap();
    assert_eq!(store.count_selected_to_purge(selection, 100).await.unwrap(), count, "{selection:?}");
    let page = store.list_selected_to_purge(selection, PageSize::at_most(100), None).await.unwrap();
    assert_eq!(names(page.items), expected, "{selection:?}");
    assert_eq!(purge(store, selection).await, expected, "{selection:?}");
    assert_eq!(store.count("users").await, users - i64::from(count));
    assert_eq!(store.count_selected_to_purge(selection, 100).await.unwrap(), 0);
}

/// A store's only user is spared whatever the filter.
async fn assert_spared(store: &Store, user: &User) {
    let late = start() + window() * 100;
    let all = UnverifiedFilter { include_any_verified: true, ..everybody() };
    let expired = UnverifiedFilter { expired: Some(true), ..all.clone() };
    for selection in [at(all.clone(), then()), at(all, late), at(expired, late)] {
        assert_eq!(store.count_selected_to_purge(&selection, 10).await.unwrap(), 0);
        let page = store.list_selected_to_purge(&selection, PageSize::at_most(10), None).await.unwrap();
        assert_eq!((page.items, page.next), (Vec::new(), None));
        assert_eq!(store.purge_selected(&selection, &[user.id]).await.unwrap(), []);
    }
    assert!(find(store, user).await.is_some());
}

pub async fn u5_a_pending_user_goes_expired_or_not(store: Store) {
    register(&store, "alice", "alice@example.com").await;
    register_at(&store, "bob", "bob@example.com", start() - window()).await;
    let all = UnverifiedFilter { created_after: Some(start() - window()), ..everybody() };
    assert_taken(&store, &at(all, then()), &["alice", "bob"]).await;
}

pub async fn x16_a_selected_user_without_a_profile_is_spared(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.delete_profile(alice.id).await.unwrap().unwrap();
    assert_spared(&store, &alice).await;
}

pub async fn x16_a_selected_user_with_another_verified_address_is_spared(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    verify_another_address(&store, &alice, "second@example.com").await;
    assert_spared(&store, &alice).await;
}

pub async fn x16_a_selected_user_with_the_primary_address_verified_is_spared(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.execute("UPDATE users SET email_verified = true, any_email_verified = true").await;
    assert_spared(&store, &alice).await;
}

pub async fn x16_a_selected_user_who_is_active_is_spared(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    assert_spared(&store, &alice).await;
}

pub async fn x16_a_selected_user_made_active_by_hand_is_spared(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    activate_by_hand(&store, &alice, start() + seconds(1)).await;
    assert_spared(&store, &alice).await;
}

pub async fn x16_a_selected_user_who_is_disabled_is_spared(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.disable_user(alice.id, start() + seconds(1)).await.unwrap().unwrap();
    assert_spared(&store, &alice).await;
}

pub async fn x16_a_selected_user_who_was_active_and_is_disabled_is_spared(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    store.disable_user(alice.id, start() + seconds(2)).await.unwrap().unwrap();
    assert_spared(&store, &alice).await;
}

pub async fn u5_created_before_and_after_bound_a_purge(store: Store) {
    for (name, second) in [("a", 1), ("b", 2), ("c", 3)] {
        register_at(&store, name, "shared@example.com", start() + seconds(second)).await;
    }
    let all = UnverifiedFilter::default;
    let two = Some(start() + seconds(2));
    assert_taken(&store, &at(UnverifiedFilter { created_before: two, ..all() }, then()), &["a"]).await;
    let after = Some(start() + seconds(2) + tick());
    assert_taken(&store, &at(UnverifiedFilter { created_after: after, ..all() }, then()), &["c"]).await;
    assert_taken(&store, &at(UnverifiedFilter { created_after: two, ..all() }, then()), &["b"]).await;
}

pub async fn u5_idle_since_bounds_a_purge(store: Store) {
    for name in ["never", "before", "since"] {
        let (user, _) = register(&store, name, "shared@example.com").await;
        match name {
            "before" => log_in(&store, &user, start() + seconds(5) - tick()).await,
            "since" => log_in(&store, &user, start() + seconds(5)).await,
            _ => {}
        }
    }
    let filter = UnverifiedFilter { idle_since: Some(start() + seconds(5)), ..UnverifiedFilter::default() };
    assert_taken(&store, &at(filter, then()), &["before", "never"]).await;
}

pub async fn u5_expired_or_not_bounds_a_purge(store: Store) {
    register_at(&store, "expired", "shared@example.com", then() - window()).await;
    register_at(&store, "in-time", "shared@example.com", then() - window() + tick()).await;
    let expired = |expired| UnverifiedFilter { expired: Some(expired), ..UnverifiedFilter::default() };
    assert_taken(&store, &at(expired(true), then()), &["expired"]).await;
    assert_taken(&store, &at(expired(false), then()), &["in-time"]).await;
}

pub async fn u5_domain_site_prefix_and_state_bound_a_purge(store: Store) {
    for (name, domain, site) in [
        ("a", "one.example", "red"),
        ("b", "two.example", "red"),
        ("c", "one.example", "blue"),
        ("mia", "m.example", "m"),
    ] {
        let registration = NewRegistration {
            site: SiteId::parse(site).unwrap(),
            ..registration_at(name, &format!("{name}@{domain}"), start())
        };
        store.register(&registration).await.unwrap().unwrap();
    }
    let all = UnverifiedFilter::default;
    for state in [UserState::Active, UserState::Disabled] {
        assert_taken(&store, &at(UnverifiedFilter { state: Some(state), ..everybody() }, then()), &[]).await;
    }
    let prefix = Some(username("MI").key().clone());
    assert_taken(&store, &at(UnverifiedFilter { username_prefix: prefix, ..all() }, then()), &["mia"]).await;
    let domain = EmailDomain::parse("one.example").ok();
    let site = SiteId::parse("red").ok();
    let both = UnverifiedFilter { email_domain: domain.clone(), site: site.clone(), ..all() };
    assert_taken(&store, &at(both, then()), &["a"]).await;
    assert_taken(&store, &at(UnverifiedFilter { email_domain: domain, ..all() }, then()), &["c"]).await;
    assert_taken(&store, &at(UnverifiedFilter { site, ..all() }, then()), &["b"]).await;
}

pub async fn x17_a_purge_of_the_selected_takes_none_but_those_it_is_given(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    let selection = at(everybody(), then());
    assert_eq!(store.purge_selected(&selection, &[]).await.unwrap(), []);
    assert_eq!(store.purge_selected(&selection, &[UserId(unique_id())]).await.unwrap(), []);
    assert_eq!(store.purge_selected(&selection, &[bob.id]).await.unwrap(), std::slice::from_ref(&bob));
    assert!(find(&store, &alice).await.is_some());
    assert_eq!(store.events(bob.id.0).await, ["user_registered", "user_deleted unverified"]);
    let told = format!("events WHERE kind = 'user_deleted' AND create_time = {}", store.at(then()));
    assert_eq!(store.count(&told).await, 1);
    assert_eq!(store.counts().await, [1, 1, 0, 1, 1, 3]);
}

pub async fn x17_who_logged_in_since_the_list_was_made_is_spared(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let idle = UnverifiedFilter { idle_since: Some(start() + seconds(5)), ..UnverifiedFilter::default() };
    let selection = at(idle, then());
    assert_eq!(store.count_selected_to_purge(&selection, 1).await.unwrap(), 1);
    store.record_login(alice.id, start() + seconds(5)).await.unwrap().unwrap();
    assert_eq!(store.purge_selected(&selection, &[alice.id]).await.unwrap(), []);
    assert!(find(&store, &alice).await.is_some());
}

pub async fn x18_a_selection_is_counted_to_a_limit_and_listed_page_by_page(store: Store) {
    let mut expected = Vec::new();
    for number in 0..7 {
        let (user, _) =
            register_at(&store, &format!("u{number}"), "a@example.com", start() + seconds(number)).await;
        expected.push(user);
    }
    let before = store.contents().await;
    let selection = at(everybody(), then());
    for limit in [0, 3, 7, 9] {
        let count = store.count_selected_to_purge(&selection, limit).await.unwrap();
        assert_eq!(count, limit.min(7));
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_selected_to_purge(&selection, PageSize::at_most(3), after).await.unwrap();
        listed.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, expected);
    assert_eq!(store.contents().await, before);
}
