//! Listing over the wire: U1 to U4, X21.

use chrono::{Duration, Timelike as _};
use prost_types::Timestamp as Wire;
use tonic::{Code, Status};
use vestibule::{
    domain::Timestamp,
    grpc::proto::{CreateInactiveUserRequest, ListUnverifiedRequest, UnverifiedFilter},
};

use super::{load, start, tick};
use crate::{
    contract::store::Store,
    support::server::{Client, instant, refused, wire},
};

fn beginning() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// Everybody, `page_size` at a time.
fn everybody(page_size: i32) -> ListUnverifiedRequest {
    ListUnverifiedRequest { page_size, ..Default::default() }
}

fn filtered(filter: UnverifiedFilter) -> ListUnverifiedRequest {
    ListUnverifiedRequest { filter: Some(filter), ..Default::default() }
}

/// The usernames of one page.
async fn names(client: &Client, request: ListUnverifiedRequest) -> Vec<String> {
    let page = client.list_unverified(request).await.unwrap();
    page.users.into_iter().map(|found| found.user.unwrap().username).collect()
}

pub async fn u4_a_page_has_a_hundred_users_by_default_and_a_thousand_at_most(store: Store) {
    let (_server, client) = start(&store, "").await;
    load(&store, 1001, beginning(), beginning() + Duration::days(7)).await;
    for (asked, given) in [(0, 100), (1, 1), (999, 999), (1000, 1000), (1001, 1000), (i32::MAX, 1000)] {
        let page = client.list_unverified(everybody(asked)).await.unwrap();
        assert_eq!(page.users.len(), given, "page_size {asked}");
        assert!(!page.next_page_token.is_empty());
    }
    for asked in [-1, i32::MIN] {
        let details =
            refused(client.list_unverified(everybody(asked)).await, Code::InvalidArgument, "INVALID_REQUEST");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "page_size");
    }
}

pub async fn u4_a_walk_meets_every_user_once(store: Store) {
    let (_server, client) = start(&store, "").await;
    load(&store, 1234, beginning(), beginning() + Duration::days(7)).await;
    let (mut seen, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        // The size is no part of the query: it may change on the way.
        let page_size = if pages % 2 == 0 { 100 } else { 150 };
        let request = ListUnverifiedRequest { page_size, page_token, ..Default::default() };
        let page = client.list_unverified(request).await.unwrap();
        seen.extend(page.users.into_iter().map(|found| found.user.unwrap().username));
        (page_token, pages) = (page.next_page_token, pages + 1);
        if page_token.is_empty() {
            break;
        }
    }
    let expected: Vec<_> = (1..=1234).map(|number| format!("user{number}")).collect();
    assert_eq!((seen, pages), (expected, 10));
}

pub async fn u4_a_token_that_is_altered_or_of_another_query_or_installation_is_refused(store: Store) {
    let (_server, client) = start(&store, "").await;
    let (_elsewhere, another) = start(&store, "").await;
    load(&store, 3, beginning(), beginning() + Duration::days(7)).await;
    let token = client.list_unverified(everybody(1)).await.unwrap().next_page_token;
    let with = |page_token: &str| ListUnverifiedRequest { page_token: page_token.to_owned(), ..everybody(1) };
    let assert_refused = |outcome: Result<_, Status>| {
        let details = refused(outcome, Code::InvalidArgument, "INVALID_PAGE_TOKEN");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "page_token");
    };
    for index in 0..token.len() {
        let other = if &token[index..=index] == "A" { "B" } else { "A" };
        let altered = format!("{}{other}{}", &token[..index], &token[index + 1..]);
        assert_refused(client.list_unverified(with(&altered)).await);
    }
    for nonsense in ["0", "A", "user1", &token[1..], &format!("{token}A"), &format!("{token}="), "\u{e9}"] {
        assert_refused(client.list_unverified(with(nonsense)).await);
    }
    assert_refused(another.list_unverified(with(&token)).await);
    for filter in [
        UnverifiedFilter { expired: Some(true), ..Default::default() },
        UnverifiedFilter { expired: Some(false), ..Default::default() },
        UnverifiedFilter { email_domain: "example.com".into(), ..Default::default() },
        UnverifiedFilter { exclude_any_verified: Some(false), ..Default::default() },
    ] {
        let request = ListUnverifiedRequest { filter: Some(filter), ..with(&token) };
        assert_refused(client.list_unverified(request).await);
    }
    assert_eq!(names(&client, with(&token)).await, ["user2"]);
}

pub async fn u1_u3_conditions_are_combined(store: Store) {
    let (server, client) = start(&store, SITES).await;
    for (day, (username, domain, site)) in (0..).zip([
        ("a", "one.example", ""),
        ("b", "two.example", "b"),
        ("c", "one.example", "b"),
        ("d", "b\u{fc}cher.example", ""),
    ]) {
        server.clock.set(beginning() + Duration::days(day));
        let request = CreateInactiveUserRequest {
            username: username.into(),
            email: format!("{username}@{domain}"),
            site: site.into(),
            ..Default::default()
        };
        client.create_inactive_user(request).await.unwrap();
    }
    let verified = client.register("verified", "verified@one.example").await;
    client.use_key(&verified.key).await.unwrap();
    server.clock.set(beginning() + Duration::days(8));
    let at = |days: i64| Some(wire(beginning() + Duration::days(days)));
    let filter = UnverifiedFilter::default;
    for (filter, expected) in [
        (filter(), "abcd"),
        (UnverifiedFilter { email_domain: "ONE.example".into(), ..filter() }, "ac"),
        (UnverifiedFilter { email_domain: "XN--BCHER-KVA.example".into(), ..filter() }, "d"),
        (UnverifiedFilter { site: "b".into(), ..filter() }, "bc"),
        (UnverifiedFilter { email_domain: "one.example".into(), site: "b".into(), ..filter() }, "c"),
        (UnverifiedFilter { expired: Some(true), ..filter() }, "ab"),
        (UnverifiedFilter { expired: Some(false), site: "b".into(), ..filter() }, "c"),
        (UnverifiedFilter { created_after: at(1), ..filter() }, "bcd"),
        (UnverifiedFilter { created_before: at(1), ..filter() }, "a"),
        (UnverifiedFilter { created_after: at(1), created_before: at(3), ..filter() }, "bc"),
        (UnverifiedFilter { idle_since: at(0), created_after: at(3), ..filter() }, "d"),
        (
            UnverifiedFilter {
                created_after: Some(wire(beginning() + Duration::days(3) + tick())),
                ..filter()
            },
            "",
        ),
    ] {
        assert_eq!(names(&client, filtered(filter.clone())).await.concat(), expected, "{filter:?}");
    }
    let page = client.list_unverified(everybody(1)).await.unwrap();
    assert_eq!(instant(page.users[0].expire_time), beginning() + Duration::days(7));
}

const SITES: &str = "
[[sites]]
id = 'a'
name = 'A'
domain = 'a.example'

[[sites]]
id = 'b'
name = 'B'
domain = 'b.example'
";

pub async fn x21_instants_out_of_range_are_refused_all_at_once(store: Store) {
    let (_server, client) = start(&store, "").await;
    load(&store, 1, beginning(), beginning() + Duration::days(7)).await;
    let (first, last) = (-62_135_596_800, 253_402_300_799);
    let wrong = |seconds, nanos| Some(Wire { seconds, nanos });
    let filter = UnverifiedFilter {
        created_before: wrong(last + 1, 0),
        created_after: wrong(first - 1, 999_999_999),
        idle_since: wrong(0, 1_000_000_000),
        ..Default::default()
    };
    let refusal = client.list_unverified(filtered(filter)).await;
    let details = refused(refusal, Code::InvalidArgument, "INVALID_REQUEST");
    let named: Vec<_> =
        details.bad_request().unwrap().field_violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(named, ["filter.created_before", "filter.created_after", "filter.idle_since"]);
    for (seconds, nanos) in [(i64::MIN, 0), (i64::MAX, 0), (0, -1), (0, i32::MIN), (0, i32::MAX)] {
        let filter = UnverifiedFilter { created_after: wrong(seconds, nanos), ..Default::default() };
        refused(client.list_unverified(filtered(filter)).await, Code::InvalidArgument, "INVALID_REQUEST");
    }
    let all_of_time = UnverifiedFilter {
        created_after: wrong(first, 0),
        created_before: wrong(last, 999_999_999),
        ..Default::default()
    };
    assert_eq!(names(&client, filtered(all_of_time)).await, ["user1"]);
    // What is finer than a microsecond is cut.
    let created = beginning() + tick();
    let nanos = i32::try_from(created.nanosecond()).unwrap() + 999;
    let filter = UnverifiedFilter { created_after: wrong(created.timestamp(), nanos), ..Default::default() };
    assert_eq!(names(&client, filtered(filter)).await, ["user1"]);
}
