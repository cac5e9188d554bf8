//! The instant at which a window ends: R10, X12, X21.

use chrono::Duration;
use tonic::Code;
use vestibule::{
    clock::Clock as _,
    domain::Timestamp,
    grpc::proto::{
        ListUnverifiedRequest, PurgeExpiredRequest, ReissueActivationKeyRequest, UnverifiedFilter,
        get_user_request::User as By,
    },
};

use super::{start, tick};
use crate::{
    contract::store::Store,
    support::server::{Client, instant, refused},
};

/// The ids of those who have expired, or of those who haven't.
async fn list(client: &Client, expired: bool) -> Vec<String> {
    let filter = Some(UnverifiedFilter { expired: Some(expired), ..Default::default() });
    let page = client.list_unverified(ListUnverifiedRequest { filter, ..Default::default() }).await.unwrap();
    page.users.into_iter().map(|found| found.user.unwrap().id).collect()
}

pub async fn r10_at_its_instant_a_key_is_expired_for_every_call(store: Store) {
    let (server, client) = start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    let id = alice.id.to_string();
    assert_eq!(alice.expire_time, server.clock.now() + Duration::days(7));
    server.clock.set(alice.expire_time);
    let refusal = client.use_key(&alice.key).await;
    let details = refused(refusal, Code::FailedPrecondition, "ACTIVATION_KEY_EXPIRED");
    let told: Timestamp = details.error_info().unwrap().metadata["expire_time"].parse().unwrap();
    assert_eq!(told, alice.expire_time);
    let reissue = client.reissue_activation_key(ReissueActivationKeyRequest { user_id: id.clone() }).await;
    refused(reissue, Code::FailedPrecondition, "ACTIVATION_KEY_EXPIRED");
    assert_eq!((list(&client, true).await, list(&client, false).await), (vec![id.clone()], vec![]));
    let preview = PurgeExpiredRequest { validate_only: true, ..Default::default() };
    assert_eq!(client.purge_expired(preview).await.unwrap().purge_count, 1);
    let purged = client.purge().await;
    assert_eq!((purged.purge_count, purged.sample[0].id.clone()), (1, id.clone()));
    refused(client.user(By::UserId(id)).await, Code::NotFound, "USER_NOT_FOUND");
    refused(client.use_key(&alice.key).await, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
}

pub async fn r10_a_microsecond_earlier_a_key_is_live_for_every_call(store: Store) {
    let (server, client) = start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    let id = alice.id.to_string();
    server.clock.set(alice.expire_time - tick());
    assert_eq!((list(&client, true).await, list(&client, false).await), (vec![], vec![id.clone()]));
    let preview = PurgeExpiredRequest { validate_only: true, ..Default::default() };
    assert_eq!(client.purge_expired(preview).await.unwrap().purge_count, 0);
    assert_eq!(client.purge().await.purge_count, 0);
    client.reissue_activation_key(ReissueActivationKeyRequest { user_id: id.clone() }).await.unwrap();
    assert_eq!(client.use_key(&alice.key).await.unwrap().id, id);
}

pub async fn r10_zero_days_expire_at_once(store: Store) {
    let (server, client) = start(&store, "registration.activation_days = 0").await;
    let alice = client.register("alice", "alice@example.com").await;
    assert_eq!(alice.expire_time, server.clock.now());
    refused(client.use_key(&alice.key).await, Code::FailedPrecondition, "ACTIVATION_KEY_EXPIRED");
    assert_eq!(list(&client, true).await.len(), 1);
    assert_eq!(client.purge().await.purge_count, 1);
}

pub async fn x12_a_window_keeps_its_end_when_the_setting_changes(store: Store) {
    let (server, client) = start(&store, "registration.activation_days = 2").await;
    let alice = client.register("alice", "alice@example.com").await;
    let now = server.clock.now();
    server.stop().await;
    let (server, client) = start(&store, "registration.activation_days = 0").await;
    server.clock.set(now);
    let bob = client.register("bob", "bob@example.com").await;
    assert_eq!((alice.expire_time, bob.expire_time), (now + Duration::days(2), now));
    assert_eq!(list(&client, true).await, [bob.id.to_string()]);
    let profile = client.profile(&alice.id.to_string()).await.unwrap();
    assert_eq!(instant(profile.expire_time), alice.expire_time);
    client.use_key(&alice.key).await.unwrap();
}

pub async fn x21_instants_keep_their_microseconds(store: Store) {
    let (server, client) = start(&store, "").await;
    let now: Timestamp = "1999-12-31T23:59:59.999999Z".parse().unwrap();
    server.clock.set(now);
    let alice = client.register("alice", "alice@example.com").await;
    assert_eq!(alice.expire_time, now + Duration::days(7));
    let user = client.use_key(&alice.key).await.unwrap();
    let found = client.user(By::UserId(alice.id.to_string())).await.unwrap();
    assert_eq!(found, user);
    assert_eq!((instant(found.create_time), instant(found.activate_time)), (now, now));
}
