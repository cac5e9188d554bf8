//! Purging and reminding the never-verified over the wire: U5, U6, X16, X18, X22, X23.

use chrono::Duration;
use tonic::Code;
use vestibule::{
    clock::Clock as _,
    grpc::proto::{
        MailState, PurgeUnverifiedRequest, RecordLoginRequest, RemindUnverifiedRequest, UnverifiedFilter,
        User, UserState, get_user_request::User as By,
    },
};

use super::{load, start, tick};
use crate::{
    contract::store::Store,
    support::server::{instant, refused, wait_for_rows, wire},
};

fn purge(filter: UnverifiedFilter) -> PurgeUnverifiedRequest {
    PurgeUnverifiedRequest { filter: Some(filter), force: true, limit: 0 }
}

fn remind() -> RemindUnverifiedRequest {
    RemindUnverifiedRequest { force: true, ..Default::default() }
}

fn expired(expired: bool) -> UnverifiedFilter {
    UnverifiedFilter { expired: Some(expired), ..Default::default() }
}

fn names(sample: &[User]) -> Vec<&str> {
    sample.iter().map(|user| user.username.as_str()).collect()
}

pub async fn u5_a_purge_needs_a_condition(store: Store) {
    let (_server, client) = start(&store, "").await;
    client.register("alice", "alice@example.com").await;
    let before = store.contents().await;
    let all = UnverifiedFilter::default;
    for filter in [
        None,
        Some(all()),
        Some(UnverifiedFilter { state: UserState::Pending.into(), ..all() }),
        Some(UnverifiedFilter { exclude_any_verified: Some(false), ..all() }),
    ] {
        for force in [false, true] {
            let request = PurgeUnverifiedRequest { filter: filter.clone(), force, limit: 0 };
            let details =
                refused(client.purge_unverified(request).await, Code::InvalidArgument, "INVALID_REQUEST");
            assert_eq!(details.bad_request().unwrap().field_violations[0].field, "filter");
        }
    }
    let nowhere = UnverifiedFilter { site: "nowhere".into(), ..all() };
    let details =
        refused(client.purge_unverified(purge(nowhere)).await, Code::InvalidArgument, "INVALID_REQUEST");
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "filter.site");
    assert_eq!(store.contents().await, before);
}

pub async fn u5_x18_a_purge_is_a_preview_until_it_is_forced(store: Store) {
    let (server, client) = start(&store, "").await;
    let now = server.clock.now();
    load(&store, 430, now, now + Duration::days(7)).await;
    client.register("later", "later@example.org").await;
    let filter = UnverifiedFilter { email_domain: "example.com".into(), ..Default::default() };
    let before = store.contents().await;
    for (limit, count, sample, more) in [(0, 430, 100, false), (430, 430, 100, false), (7, 7, 7, true)] {
        let request = PurgeUnverifiedRequest { force: false, limit, ..purge(filter.clone()) };
        let found = client.purge_unverified(request).await.unwrap();
        assert_eq!(
            (found.purge_count, found.sample.len(), found.more),
            (count, sample, more),
            "limit {limit}"
        );
    }
    assert_eq!(store.contents().await, before);
    for (limit, count, sample, more) in [(410, 410, 100, true), (0, 20, 20, false), (0, 0, 0, false)] {
        let request = PurgeUnverifiedRequest { limit, ..purge(filter.clone()) };
        let purged = client.purge_unverified(request).await.unwrap();
        assert_eq!(
            (purged.purge_count, purged.sample.len(), purged.more),
            (count, sample, more),
            "limit {limit}"
        );
    }
    assert_eq!(store.texts("SELECT username FROM users").await, ["later"]);
    assert_eq!(store.count("events WHERE deletion_reason = 'unverified'").await, 430);
}

pub async fn u5_a_purge_in_a_sparse_selection_finds_everybody(store: Store) {
    let (server, client) = start(&store, "").await;
    let now = server.clock.now();
    // More than a page may examine lie between the first and the last.
    let first = client.register("first", "first@example.com").await;
    server.clock.advance(Duration::hours(1));
    load(&store, 10_100, server.clock.now(), now + Duration::days(100)).await;
    server.clock.advance(Duration::hours(1));
    let last = client.register("last", "last@example.com").await;
    server.clock.set(last.expire_time);
    assert!(first.expire_time < last.expire_time);
    let preview = PurgeUnverifiedRequest { force: false, ..purge(expired(true)) };
    for request in [preview, purge(expired(true))] {
        let purged = client.purge_unverified(request).await.unwrap();
        assert_eq!((names(&purged.sample).join(" ").as_str(), purged.more), ("first last", false));
    }
    assert_eq!(store.count("users").await, 10_100);
}

pub async fn u5_a_login_saves_a_user_from_a_purge_of_the_idle(store: Store) {
    let (server, client) = start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    client.register("bob", "bob@example.com").await;
    let idle = UnverifiedFilter { idle_since: Some(wire(server.clock.now())), ..Default::default() };
    let login = RecordLoginRequest { user_id: alice.id.to_string(), login_time: None };
    client.record_login(login).await.unwrap();
    let purged = client.purge_unverified(purge(idle)).await.unwrap();
    assert_eq!(names(&purged.sample), ["bob"]);
    client.user(By::UserId(alice.id.to_string())).await.unwrap();
}

pub async fn x22_a_clock_that_jumped_purges_nobody_who_is_selected(store: Store) {
    let (server, client) = start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    let jump = alice.expire_time - server.clock.now();
    server.clock.go_wrong(jump);
    refused(client.purge_unverified(purge(expired(true))).await, Code::FailedPrecondition, "CLOCK_SUSPECT");
    let preview = PurgeUnverifiedRequest { force: false, ..purge(expired(true)) };
    assert_eq!(client.purge_unverified(preview).await.unwrap().purge_count, 1);
    server.clock.go_wrong(-jump);
    server.clock.set(alice.expire_time);
    assert_eq!(client.purge_unverified(purge(expired(true))).await.unwrap().purge_count, 1);
}

pub async fn u6_a_reminder_is_the_way_back_for_whose_key_has_expired(store: Store) {
    let (server, client) = start(&store, "").await;
    let alice = client.register_by_mail("alice", "alice@example.com").await;
    client.wait_for_mail(&alice.id, 1, MailState::Delivered).await;
    let now = instant(alice.create_time) + Duration::days(30);
    server.clock.set(now);
    let before = store.contents().await;
    let preview = client.remind_unverified(RemindUnverifiedRequest::default()).await.unwrap();
    assert_eq!((preview.remind_count, names(&preview.sample), preview.more), (1, vec!["alice"], false));
    assert_eq!(store.contents().await, before);
    let reminded = client.remind_unverified(remind()).await.unwrap();
    assert_eq!((reminded.remind_count, names(&reminded.sample), reminded.more), (1, vec!["alice"], false));
    client.wait_for_mail(&alice.id, 2, MailState::Delivered).await;
    let profile = client.profile(&alice.id).await.unwrap();
    assert_eq!((instant(profile.issue_time), instant(profile.expire_time)), (now, now + Duration::days(7)));
    assert_eq!(store.events(alice.id.parse().unwrap()).await[2..], ["user_reminded", "activation_mail_sent"]);
    // The mail carries a key that works, and states the day of deletion.
    let mails = server.mails();
    let text = mails.iter().find(|mail| mail.contains("is deleted on")).unwrap();
    let day = (now + Duration::days(7)).format("%Y-%m-%d").to_string();
    assert!(text.contains(&format!("is deleted on {day}")), "{text}");
    let key = text
        .split_whitespace()
        .find(|word| word.len() == 40 && word.bytes().all(|b| b.is_ascii_hexdigit()))
        .unwrap();
    assert_eq!(client.remind_unverified(remind()).await.unwrap().remind_count, 0);
    client.use_key(key).await.unwrap();
}

pub async fn u6_x18_a_limit_bounds_reminders_and_nobody_is_reminded_twice(store: Store) {
    let (server, client) = start(&store, "").await;
    let now = server.clock.now();
    load(&store, 230, now, now + Duration::days(7)).await;
    for (limit, count, more) in [(1, 1, true), (129, 129, true), (0, 100, false), (0, 0, false)] {
        let request = RemindUnverifiedRequest { limit, ..remind() };
        let reminded = client.remind_unverified(request).await.unwrap();
        assert_eq!((reminded.remind_count, reminded.more), (count, more), "limit {limit}");
    }
    assert_eq!(store.count("users WHERE reminder_count = 1").await, 230);
    assert_eq!(store.count("mails WHERE kind = 'reminder'").await, 230);
    let negative = RemindUnverifiedRequest { limit: -1, ..remind() };
    let details = refused(client.remind_unverified(negative).await, Code::InvalidArgument, "INVALID_REQUEST");
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "limit");
}

pub async fn u6_the_settings_say_how_often_somebody_is_reminded(store: Store) {
    let (server, client) = start(&store, "[reminders]\ninterval_hours = 1\nmax_count = 2").await;
    client.register_by_mail("alice", "alice@example.com").await;
    for (span, count) in [
        (Duration::hours(1) - tick(), 0),
        (tick(), 1),
        (Duration::hours(1) - tick(), 0),
        (tick(), 1),
        (Duration::days(2), 0),
    ] {
        server.clock.advance(span);
        assert_eq!(client.remind_unverified(remind()).await.unwrap().remind_count, count);
    }
}

pub async fn u6_the_ladder_reminds_by_itself_and_states_the_day_of_deletion(store: Store) {
    let (server, client) = start(&store, "reminders.days = [3, 6]").await;
    let alice = client.register_by_mail("alice", "alice@example.com").await;
    let expire_time = instant(client.profile(&alice.id).await.unwrap().expire_time);
    for (mails, day) in [(2, 3), (3, 6)] {
        server.clock.set(instant(alice.create_time) + Duration::days(day));
        client.wait_for_mail(&alice.id, mails, MailState::Delivered).await;
        assert_eq!(instant(client.profile(&alice.id).await.unwrap().expire_time), expire_time);
    }
    let stated = format!("is deleted on {}", expire_time.format("%Y-%m-%d"));
    assert_eq!(server.mails().iter().filter(|mail| mail.contains(&stated)).count(), 2);
}

pub async fn r15_servers_purge_by_themselves_where_the_settings_say_so(store: Store) {
    let toml = "purge.interval_minutes = 60";
    let (server, client) = start(&store, toml).await;
    let (other, _) = start(&store, toml).await;
    let alice = client.register("alice", "alice@example.com").await;
    other.clock.set(alice.expire_time);
    server.clock.set(alice.expire_time);
    wait_for_rows(&store, "events WHERE deletion_reason = 'expired'", 1).await;
    // Whichever did it, the lease is back, and remembers the run.
    let run = format!(
        "leases WHERE work = 'purge' AND holder IS NULL AND run_time = {}",
        store.at(alice.expire_time)
    );
    wait_for_rows(&store, &run, 1).await;
}
