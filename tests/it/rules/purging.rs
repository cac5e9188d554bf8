//! Purging over the wire: R15, R16, X16, X18.

use std::time::{Duration as Span, Instant};

use chrono::Duration;
use tonic::{Code, IntoRequest as _};
use vestibule::{
    clock::Clock as _,
    grpc::proto::{
        CreateRegistrationProfileRequest, DeleteRegistrationProfileRequest, DisableUserRequest,
        PurgeExpiredRequest, PurgeExpiredResponse, User, get_user_request::User as By,
    },
};

use super::{load, start};
use crate::{
    contract::store::Store,
    support::server::{Client, TestServer, refused},
};

/// Loads users whose window is over.
async fn load_expired(store: &Store, server: &TestServer, count: u32) {
    let now = server.clock.now();
    load(store, count, now - Duration::days(30), now - Duration::days(23)).await;
}

pub async fn r15_whoever_has_expired_goes_and_frees_username_and_address(store: Store) {
    let (server, client) = start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    let bob = client.register_by_mail("bob", "bob@example.com").await;
    server.clock.set(alice.expire_time);
    let purged = client.purge().await;
    assert_eq!(
        (names(&purged.sample).concat().as_str(), purged.purge_count, purged.more),
        ("alicebob", 2, false)
    );
    for table in ["users", "email_addresses", "activation_keys", "mails"] {
        assert_eq!(store.count(table).await, 0, "{table}");
    }
    assert_eq!(store.events(alice.id).await, ["user_registered", "user_deleted expired"]);
    refused(client.user(By::UserId(bob.id)).await, Code::NotFound, "USER_NOT_FOUND");
    assert_eq!(client.purge().await.purge_count, 0);
    client.register("ALICE", "bob@example.com").await;
}

pub async fn r16_x16_nobody_else_goes_unless_disabled_users_are_asked_for(store: Store) {
    let (server, client) = start(&store, "").await;
    let register = |name: &'static str| {
        let client = client.clone();
        async move { client.register(name, &format!("{name}@example.com")).await }
    };
    let (active, banned) = (register("active").await, register("banned").await);
    client.use_key(&active.key).await.unwrap();
    client.use_key(&banned.key).await.unwrap();
    let disabled = register("disabled").await;
    for user in [&banned, &disabled] {
        client.disable_user(DisableUserRequest { user_id: user.id.to_string() }).await.unwrap();
    }
    for name in ["bare", "banned-bare"] {
        let user_id = register(name).await.id.to_string();
        client
            .delete_registration_profile(DeleteRegistrationProfileRequest { user_id: user_id.clone() })
            .await
            .unwrap();
        if name == "banned-bare" {
            client.disable_user(DisableUserRequest { user_id }).await.unwrap();
        }
    }
    let expired = register("expired").await;
    server.clock.advance(Duration::seconds(1));
    register("pending").await;
    server.clock.set(expired.expire_time);
    assert_eq!(names(&client.purge().await.sample), ["expired"]);
    let disabled_too = || PurgeExpiredRequest { include_disabled: true, ..Default::default() };
    let preview = PurgeExpiredRequest { validate_only: true, ..disabled_too() };
    assert_eq!(names(&client.purge_expired(preview).await.unwrap().sample), ["banned", "disabled"]);
    let purged = client.purge_expired(disabled_too()).await.unwrap();
    assert_eq!((names(&purged.sample).join(" ").as_str(), purged.purge_count), ("banned disabled", 2));
    let left = store.texts("SELECT username FROM users ORDER BY username").await;
    assert_eq!(left, ["active", "banned-bare", "bare", "pending"]);
}

fn names(sample: &[User]) -> Vec<String> {
    let mut names: Vec<_> = sample.iter().map(|user| user.username.clone()).collect();
    names.sort();
    names
}

pub async fn x18_a_preview_counts_and_deletes_nothing(store: Store) {
    let (server, client) = start(&store, "").await;
    load_expired(&store, &server, 230).await;
    client.register("pending", "pending@example.com").await;
    let before = store.contents().await;
    for (limit, count, sample, more) in
        [(0, 230, 100, false), (230, 230, 100, false), (229, 229, 100, true), (7, 7, 7, true)]
    {
        let preview = PurgeExpiredRequest { validate_only: true, limit, ..Default::default() };
        let found = client.purge_expired(preview).await.unwrap();
        assert_eq!(
            (found.purge_count, found.sample.len(), found.more),
            (count, sample, more),
            "limit {limit}"
        );
    }
    assert_eq!(store.contents().await, before);
}

pub async fn x18_a_limit_bounds_a_call_and_more_says_so(store: Store) {
    let (server, client) = start(&store, "").await;
    load_expired(&store, &server, 1000).await;
    let mut left = 1000;
    for (limit, gone) in [(1, 1), (450, 450), (549, 549), (10, 0)] {
        let purged = purge(&client, limit).await;
        left -= i64::from(gone);
        assert_eq!((purged.purge_count, purged.more), (gone, left > 0), "limit {limit}");
        assert_eq!(store.count("users").await, left);
    }
    assert_eq!(store.count("events WHERE kind = 'user_deleted'").await, 1000);
    let negative = PurgeExpiredRequest { limit: -1, ..Default::default() };
    let details = refused(client.purge_expired(negative).await, Code::InvalidArgument, "INVALID_REQUEST");
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "limit");
}

pub async fn x18_a_sample_is_a_hundred_users_at_most(store: Store) {
    let (server, client) = start(&store, "").await;
    load_expired(&store, &server, 450).await;
    let purged = purge(&client, 0).await;
    assert_eq!((purged.purge_count, purged.sample.len(), purged.more), (450, 100, false));
    assert_eq!(store.count("users").await, 0);
}

async fn purge(client: &Client, limit: i32) -> PurgeExpiredResponse {
    client.purge_expired(PurgeExpiredRequest { limit, ..Default::default() }).await.unwrap()
}

pub async fn x18_a_purge_stops_before_its_callers_deadline(store: Store) {
    let (server, client) = start(&store, "").await;
    let loaded = 40_000;
    load_expired(&store, &server, loaded).await;
    let patience = Span::from_millis(600);
    let mut request = PurgeExpiredRequest { limit: 100_000, ..Default::default() }.into_request();
    request.set_timeout(patience);
    let begin = Instant::now();
    let purged = client.purge_expired(request).await.unwrap();
    assert!(begin.elapsed() < patience);
    assert!(purged.purge_count > 0 && purged.more, "{} of {loaded}", purged.purge_count);
    assert_eq!(store.count("users").await, i64::from(loaded) - i64::from(purged.purge_count));
    assert_eq!(store.count("events WHERE kind = 'user_deleted'").await, i64::from(purged.purge_count));
    // Whoever is left goes with the next call, unless given a new window meanwhile.
    let spared = client.user(By::Username(format!("user{loaded}"))).await.unwrap().id;
    renew(&client, &spared).await;
    let rest = purge(&client, 100_000).await;
    assert_eq!(purged.purge_count + rest.purge_count, i32::try_from(loaded).unwrap() - 1);
    assert!(!rest.more);
}

/// Gives a user a new profile.
async fn renew(client: &Client, user_id: &str) {
    let user_id = user_id.to_owned();
    let deletion = DeleteRegistrationProfileRequest { user_id: user_id.clone() };
    client.delete_registration_profile(deletion).await.unwrap();
    let creation =
        CreateRegistrationProfileRequest { user_id, send_email: Some(false), ..Default::default() };
    client.create_registration_profile(creation).await.unwrap();
}
