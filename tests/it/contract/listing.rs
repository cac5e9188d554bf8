//! Listing the never-verified: U1 to U4, X19.

use vestibule::{
    domain::{
        Timestamp,
        email_address::EmailDomain,
        page::{PageKey, PageSize},
        site::SiteId,
        unverified::UnverifiedFilter,
        user::{User, UserState},
    },
    repository::NewRegistration,
};

use super::{
    people::{
        activate_by_hand, activation, log_in, register, register_active, register_at, registration_at,
        seconds, start, tick, username, verify_another_address, window,
    },
    store::Store,
};

/// More rows than a page may examine.
const MANY: u32 = 10_050;

fn size(size: i32) -> PageSize {
    PageSize::parse(size).unwrap()
}

/// The usernames on the one page that a filter gives at `now`.
async fn listed_at(store: &Store, filter: &UnverifiedFilter, now: Timestamp) -> Vec<String> {
    let page = store.list_unverified(filter, now, size(1000), None).await.unwrap();
    assert_eq!(page.next, None);
    page.items.into_iter().map(|user| user.username).collect()
}

/// The usernames on the one page that a filter gives.
async fn listed(store: &Store, filter: &UnverifiedFilter) -> Vec<String> {
    listed_at(store, filter, start() + seconds(100)).await
}

/// Everything that a filter gives, page by page, and the sizes of the pages.
async fn walk(store: &Store, filter: &UnverifiedFilter, page_size: i32) -> (Vec<User>, Vec<usize>) {
    let (mut users, mut sizes, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = store.list_unverified(filter, start(), size(page_size), after).await.unwrap();
        assert!(page.items.len() <= size(page_size).get());
        sizes.push(page.items.len());
        users.extend(page.items);
        match page.next {
            None => return (users, sizes),
            next => after = next,
        }
    }
}

/// Registers users of those names a second apart.
async fn register_each(store: &Store, names: &[&str]) -> Vec<User> {
    let mut users = Vec::new();
    for (second, name) in names.iter().enumerate() {
        let now = start() + seconds(i64::try_from(second).unwrap());
        users.push(register_at(store, name, &format!("{name}@example.com"), now).await.0);
    }
    users
}

/// Adds `count` users whose filler address is verified besides, which the filter leaves out one by one.
async fn fill(store: &Store, count: u32, any_email_verified: bool) {
    let (id, create_time) = (store.id_of("i"), store.after(start(), "i"));
    store
        .execute(format!(
            "INSERT INTO users (
                 id, username, username_key, state, site, create_time,
                 email, email_domain, email_verified, any_email_verified
             )
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             SELECT {id}, 'filler' || i, 'filler' || i, 'PENDING', 'default', {create_time},
                 'filler' || i || '@filler.example', 'filler.example', false, {any_email_verified}
             FROM n"
        ))
        .await;
}

pub async fn u1_users_whose_primary_address_is_unverified_are_listed_whole(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    register_active(&store, "verified", "verified@example.com").await;
    let page = store.list_unverified(&UnverifiedFilter::default(), start(), size(10), None).await.unwrap();
    assert_eq!((page.items, page.next), (vec![alice], None));
}

pub async fn u1_both_conditions_are_on_the_same_address(store: Store) {
    // A primary verified address beside an unverified one: not listed.
    let (verified, _) = register_active(&store, "verified", "verified@example.com").await;
    let (id, now) = (store.id(verified.id.0), store.at(start()));
    store
        .execute(format!(
            "INSERT INTO email_addresses (user_id, email, is_primary, create_time)
             VALUES ({id}, 'second@example.com', false, {now})"
        ))
        .await;
    let filter = UnverifiedFilter { include_any_verified: true, ..UnverifiedFilter::default() };
    assert_eq!(listed(&store, &filter).await, [""; 0]);
}

pub async fn u1_whatever_the_state_an_unverified_primary_address_counts(store: Store) {
    let users = register_each(&store, &["pending", "by-hand", "disabled", "bare"]).await;
    activate_by_hand(&store, &users[1], start() + seconds(9)).await;
    store.disable_user(users[2].id, start() + seconds(9)).await.unwrap().unwrap();
    store.delete_profile(users[3].id).await.unwrap().unwrap();
    let everybody = listed(&store, &UnverifiedFilter::default()).await;
    assert_eq!(everybody, ["pending", "by-hand", "disabled", "bare"]);
}

pub async fn x19_who_has_verified_another_address_is_left_out_unless_asked_for(store: Store) {
    let users = register_each(&store, &["none", "other"]).await;
    verify_another_address(&store, &users[1], "second@example.com").await;
    assert_eq!(listed(&store, &UnverifiedFilter::default()).await, ["none"]);
    let filter = UnverifiedFilter { include_any_verified: true, ..UnverifiedFilter::default() };
    assert_eq!(listed(&store, &filter).await, ["none", "other"]);
}

pub async fn u2_idle_means_no_login_at_or_after_then(store: Store) {
    let users = register_each(&store, &["never", "before", "at", "after"]).await;
    let then = start() + seconds(50);
    log_in(&store, &users[1], then - tick()).await;
    log_in(&store, &users[2], then).await;
    log_in(&store, &users[3], then + tick()).await;
    let filter = UnverifiedFilter { idle_since: Some(then), ..UnverifiedFilter::default() };
    assert_eq!(listed(&store, &filter).await, ["never", "before"]);
}

pub async fn u3_created_before_excludes_and_created_after_includes_the_instant(store: Store) {
    register_each(&store, &["first", "second", "third"]).await;
    let then = Some(start() + seconds(1));
    let before = UnverifiedFilter { created_before: then, ..UnverifiedFilter::default() };
    assert_eq!(listed(&store, &before).await, ["first"]);
    let after = UnverifiedFilter { created_after: then, ..UnverifiedFilter::default() };
    assert_eq!(listed(&store, &after).await, ["second", "third"]);
    let (from, to) = (Some(start() + tick()), Some(start() + seconds(2)));
    let between = UnverifiedFilter { created_after: from, created_before: to, ..UnverifiedFilter::default() };
    assert_eq!(listed(&store, &between).await, ["second"]);
}

pub async fn u3_expired_or_not_and_without_a_profile_neither(store: Store) {
    let users = register_each(&store, &["pending", "bare", "spent"]).await;
    store.delete_profile(users[1].id).await.unwrap().unwrap();
    // Activated by the key of an address that was replaced since: spent means expired.
    let spent = store.id(users[2].id.0);
    let now = store.at(start() + seconds(9));
    store
        .execute(format!(
            "UPDATE users SET state = 'ACTIVE', activate_time = {now}, profile_activate_time = {now} WHERE id = {spent}"
        ))
        .await;
    let expired = UnverifiedFilter { expired: Some(true), ..UnverifiedFilter::default() };
    let in_time = UnverifiedFilter { expired: Some(false), ..UnverifiedFilter::default() };
    assert_eq!(listed(&store, &expired).await, ["spent"]);
    assert_eq!(listed(&store, &in_time).await, ["pending"]);
    let (late, later) = (start() + window() - tick(), start() + window());
    assert_eq!(listed_at(&store, &expired, late).await, ["spent"]);
    assert_eq!(listed_at(&store, &in_time, late).await, ["pending"]);
    // R10: at exactly that instant it is expired.
    assert_eq!(listed_at(&store, &expired, later).await, ["pending", "spent"]);
    assert_eq!(listed_at(&store, &in_time, later).await, [""; 0]);
}

pub async fn u3_by_email_domain_and_by_site(store: Store) {
    for (name, domain, site) in [
        ("a", "one.example", "red"),
        ("b", "two.example", "red"),
        ("c", "one.example", "blue"),
        ("d", "sub.one.example", "red"),
    ] {
        let registration = NewRegistration {
            site: SiteId::parse(site).unwrap(),
            ..registration_at(name, &format!("{name}@{domain}"), start())
        };
        store.register(&registration).await.unwrap().unwrap();
    }
    let domain = Some(EmailDomain::parse("ONE.example").unwrap());
    let site = Some(SiteId::parse("red").unwrap());
    let by_domain = UnverifiedFilter { email_domain: domain, ..UnverifiedFilter::default() };
    assert_eq!(listed(&store, &by_domain).await, ["a", "c"]);
    let by_site = UnverifiedFilter { site: site.clone(), ..UnverifiedFilter::default() };
    assert_eq!(listed(&store, &by_site).await, ["a", "b", "d"]);
    let by_both = UnverifiedFilter { site, ..by_domain };
    assert_eq!(listed(&store, &by_both).await, ["a"]);
}

fn prefixed(prefix: &str) -> UnverifiedFilter {
    UnverifiedFilter { username_prefix: Some(username(prefix).key().clone()), ..UnverifiedFilter::default() }
}

pub async fn u3_by_username_prefix_in_the_order_of_usernames(store: Store) {
    register_each(&store, &["mike", "ann", "Mia", "mi", "m", "mj"]).await;
    register(&store, "mi\u{e9}", "mie@example.com").await;
    let (_, key) = register(&store, "mick", "mick@example.com").await;
    store.activate(&activation(key, start() + seconds(9))).await.unwrap().unwrap();
    assert_eq!(listed(&store, &prefixed("mi")).await, ["mi", "Mia", "mike", "mi\u{e9}"]);
    assert_eq!(listed(&store, &prefixed("MI")).await, ["mi", "Mia", "mike", "mi\u{e9}"]);
    assert_eq!(listed(&store, &prefixed("mike")).await, ["mike"]);
    assert_eq!(listed(&store, &prefixed("mike1")).await, [""; 0]);
    // Neither is a pattern.
    for text in ["%", "_", "m%", "m_k"] {
        assert_eq!(listed(&store, &prefixed(text)).await, [""; 0], "{text}");
    }
    for page_size in [1, 2, 3, 4, 5] {
        let (walked, _) = walk(&store, &prefixed("mi"), page_size).await;
        let names: Vec<_> = walked.into_iter().map(|user| user.username).collect();
        assert_eq!(names, ["mi", "Mia", "mike", "mi\u{e9}"], "pages of {page_size}");
    }
}

pub async fn u3_by_state(store: Store) {
    let users = register_each(&store, &["pending", "by-hand", "disabled"]).await;
    activate_by_hand(&store, &users[1], start() + seconds(9)).await;
    store.disable_user(users[2].id, start() + seconds(9)).await.unwrap().unwrap();
    for (state, name) in
        [(UserState::Pending, "pending"), (UserState::Active, "by-hand"), (UserState::Disabled, "disabled")]
    {
        let filter = UnverifiedFilter { state: Some(state), ..UnverifiedFilter::default() };
        assert_eq!(listed(&store, &filter).await, [name]);
    }
}

pub async fn u3_as_many_are_counted_as_are_listed(store: Store) {
    fill(&store, MANY, false).await;
    let users = register_each(&store, &["none", "other", "busy"]).await;
    verify_another_address(&store, &users[1], "second@example.com").await;
    log_in(&store, &users[2], start() + seconds(50)).await;
    register_active(&store, "verified", "verified@example.com").await;
    let default = UnverifiedFilter::default;
    for (filter, count) in [
        (default(), 10_052),
        (UnverifiedFilter { include_any_verified: true, ..default() }, 10_053),
        (UnverifiedFilter { idle_since: Some(start() + seconds(50)), ..default() }, 10_051),
        (UnverifiedFilter { expired: Some(false), ..default() }, 2),
        (UnverifiedFilter { expired: Some(true), ..default() }, 0),
        (UnverifiedFilter { state: Some(UserState::Active), ..default() }, 0),
        (UnverifiedFilter { created_before: Some(start() + tick()), ..default() }, 1),
        (prefixed("filler1"), 1_162),
        (UnverifiedFilter { expired: Some(false), ..prefixed("b") }, 1),
        (UnverifiedFilter { email_domain: Some(EmailDomain::parse("example.com").unwrap()), ..default() }, 2),
    ] {
        assert_eq!(
            store.count_unverified(&filter, start() + seconds(60)).await.unwrap(),
            count,
            "{filter:?}"
        );
        let (walked, _) = walk(&store, &filter, 1000).await;
        assert_eq!(walked.len() as u64, count, "{filter:?}");
    }
}

pub async fn u3_all_conditions_must_hold(store: Store) {
    let users = register_each(&store, &["early", "wanted", "busy", "other", "late"]).await;
    log_in(&store, &users[2], start() + seconds(50)).await;
    verify_another_address(&store, &users[3], "second@example.com").await;
    let (_, key) = register_at(&store, "active", "active@example.com", start() + seconds(2)).await;
    store.activate(&activation(key, start() + seconds(9))).await.unwrap().unwrap();
    register_at(&store, "elsewhere", "elsewhere@example.org", start() + seconds(2)).await;
    let filter = UnverifiedFilter {
        created_before: Some(start() + seconds(4)),
        created_after: Some(start() + seconds(1)),
        idle_since: Some(start() + seconds(50)),
        expired: Some(true),
        email_domain: Some(EmailDomain::parse("example.com").unwrap()),
        username_prefix: Some(username("W").key().clone()),
        site: Some(SiteId::parse("default").unwrap()),
        state: Some(UserState::Pending),
        include_any_verified: false,
    };
    let now = start() + seconds(3) + window();
    assert_eq!(listed_at(&store, &filter, now).await, ["wanted"]);
    let in_time = UnverifiedFilter { expired: Some(false), ..filter.clone() };
    assert_eq!(listed_at(&store, &in_time, now).await, [""; 0]);
    let nowhere = UnverifiedFilter { site: Some(SiteId::parse("none").unwrap()), ..filter };
    assert_eq!(listed_at(&store, &nowhere, now).await, [""; 0]);
}

pub async fn u4_pages_of_any_size_show_everybody_once_in_order(store: Store) {
    // Three of them at one instant, which the ids keep apart.
    let mut users = register_each(&store, &["a", "b", "c", "d"]).await;
    for name in ["e", "f", "g"] {
        users.push(register_at(&store, name, "shared@example.com", start() + seconds(2)).await.0);
    }
    users.sort_by_key(|user| (user.create_time, user.id));
    for (page_size, pages) in [(1, 7), (2, 4), (3, 3), (6, 2), (7, 1), (8, 1)] {
        let (walked, sizes) = walk(&store, &UnverifiedFilter::default(), page_size).await;
        assert_eq!(walked, users, "pages of {page_size}");
        assert_eq!(sizes.len(), pages, "pages of {page_size}");
    }
}

pub async fn u4_a_page_of_nobody_is_the_last(store: Store) {
    let page = store.list_unverified(&UnverifiedFilter::default(), start(), size(1), None).await.unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let after = PageKey::Created { create_time: alice.create_time, id: alice.id.0 };
    let filter = UnverifiedFilter::default();
    let page = store.list_unverified(&filter, start(), size(1), Some(after)).await.unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
}

pub async fn u4_nobody_is_skipped_or_shown_twice_while_users_come_and_go(store: Store) {
    let names: Vec<_> = (0..20).map(|number| format!("stays{number:02}")).collect();
    register_each(&store, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (mut seen, mut after, mut round) = (Vec::new(), None, 0);
    loop {
        let page =
            store.list_unverified(&UnverifiedFilter::default(), start(), size(3), after).await.unwrap();
        // Whoever the key points at goes, and so does the one after; others come before, there, and behind.
        if let Some(PageKey::Created { create_time, id }) = page.next {
            store.execute(format!("DELETE FROM users WHERE id = {}", store.id(id))).await;
            for (place, now) in
                [("before", start() - seconds(1)), ("there", create_time), ("behind", start() + seconds(99))]
            {
                register_at(&store, &format!("{place}{round}"), "comer@example.com", now).await;
            }
        }
        seen.extend(page.items.into_iter().map(|user| user.username));
        round += 1;
        assert!(round < 100, "the walk ends");
        // Those who come behind are found in their turn; enough of them.
        if page.next.is_none() || round > 15 {
            break;
        }
        after = page.next;
    }
    let stayed: Vec<_> = seen.iter().filter(|name| name.starts_with("stays")).cloned().collect();
    assert_eq!(stayed, names);
    let mut once = seen.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), seen.len());
}

pub async fn u4_a_page_examines_a_bounded_number_of_rows_and_says_where_it_stopped(store: Store) {
    fill(&store, MANY, true).await;
    let last = start() + seconds(1);
    let (wanted, _) = register_at(&store, "wanted", "wanted@example.com", last).await;
    let filter = UnverifiedFilter::default();
    let first = store.list_unverified(&filter, start(), size(10), None).await.unwrap();
    assert!(first.items.is_empty());
    let next = first.next.expect("there is more to examine");
    let PageKey::Created { create_time, .. } = next else { panic!("{next:?}") };
    assert_eq!(create_time, start() + tick() * 10_000);
    let second = store.list_unverified(&filter, start(), size(10), Some(next)).await.unwrap();
    assert_eq!((second.items, second.next), (vec![wanted], None));
}

pub async fn u4_what_a_short_page_found_is_not_found_again(store: Store) {
    fill(&store, MANY, true).await;
    let mut wanted = Vec::new();
    for (name, micros) in [("a", 0), ("b", 5_000), ("c", 10_000), ("d", 10_001), ("e", 20_000)] {
        let now = start() + tick() * micros;
        wanted.push(register_at(&store, name, &format!("{name}@example.com"), now).await.0);
    }
    for page_size in [1, 2, 3, 100] {
        let (walked, _) = walk(&store, &UnverifiedFilter::default(), page_size).await;
        assert_eq!(walked, wanted, "pages of {page_size}");
    }
}

pub async fn u4_as_many_rows_as_a_page_examines_end_with_an_empty_page(store: Store) {
    fill(&store, 10_000, true).await;
    let (walked, sizes) = walk(&store, &UnverifiedFilter::default(), 100).await;
    assert_eq!((walked.len(), sizes), (0, vec![0, 0]));
}

pub async fn u4_an_index_leads_to_a_domain_a_site_and_a_date_past_any_number_of_rows(store: Store) {
    fill(&store, MANY, false).await;
    let last = start() + seconds(1);
    let registration = NewRegistration {
        site: SiteId::parse("red").unwrap(),
        ..registration_at("wanted", "wanted@example.com", last)
    };
    store.register(&registration).await.unwrap().unwrap();
    let domain = Some(EmailDomain::parse("example.com").unwrap());
    let site = Some(SiteId::parse("red").unwrap());
    for filter in [
        UnverifiedFilter { email_domain: domain, ..UnverifiedFilter::default() },
        UnverifiedFilter { site, ..UnverifiedFilter::default() },
        UnverifiedFilter { created_after: Some(last), ..UnverifiedFilter::default() },
    ] {
        assert_eq!(listed(&store, &filter).await, ["wanted"], "{filter:?}");
    }
}

pub async fn u4_a_walk_over_many_rows_shows_each_once(store: Store) {
    fill(&store, MANY, false).await;
    let (walked, sizes) = walk(&store, &UnverifiedFilter::default(), 1000).await;
    assert_eq!((walked.len(), sizes.len()), (10_050, 11));
    assert!(walked.is_sorted_by(|a, b| (a.create_time, a.id) < (b.create_time, b.id)));
}
