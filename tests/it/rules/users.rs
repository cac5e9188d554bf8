//! Users over the wire: X1, U3, U4, U7.

use chrono::Duration;
use tonic::Code;
use vestibule::{
    clock::Clock as _,
    grpc::proto::{
        ActivateUserRequest, CountUnverifiedRequest, DeleteUserRequest, DisableUserRequest,
        EnableUserRequest, ListUnverifiedRequest, ListUsersRequest, RecordLoginRequest, UnverifiedFilter,
        UserState, get_user_request::User as By,
    },
};

use super::{start, tick};
use crate::{
    contract::store::Store,
    support::server::{Client, instant, refused, wire},
};

/// A user passes through every state, and every call answers with the user as it is then.
pub async fn x1_a_user_is_switched_through_every_state(store: Store) {
    let (server, client) = start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    let user_id = alice.id.to_string();
    let disable = || DisableUserRequest { user_id: user_id.clone() };
    let enable = || EnableUserRequest { user_id: user_id.clone() };
    let activate = || ActivateUserRequest { user_id: user_id.clone() };
    let disabled_at = server.clock.now();
    let user = client.disable_user(disable()).await.unwrap().user.unwrap();
    assert_eq!((user.state(), instant(user.disable_time)), (UserState::Disabled, disabled_at));
    refused(client.activate_user(activate()).await, Code::FailedPrecondition, "USER_DISABLED");
    refused(client.use_key(&alice.key).await, Code::FailedPrecondition, "USER_DISABLED");
    let user = client.enable_user(enable()).await.unwrap().user.unwrap();
    assert_eq!((user.state(), user.disable_time), (UserState::Pending, None));
    // X15: the key died with the disabling.
    refused(client.use_key(&alice.key).await, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
    server.clock.advance(Duration::days(30));
    let user = client.activate_user(activate()).await.unwrap().user.unwrap();
    assert_eq!((user.state(), user.active), (UserState::Active, true));
    assert_eq!(instant(user.activate_time), server.clock.now());
    // Made active by hand, and so never purged; its address is not verified.
    assert_eq!(client.purge().await.purge_count, 0);
    refused(client.user(By::Email("alice@example.com".into())).await, Code::NotFound, "USER_NOT_FOUND");
    client.disable_user(disable()).await.unwrap();
    let user = client.enable_user(enable()).await.unwrap().user.unwrap();
    assert_eq!(user.state(), UserState::Active);
    let user =
        client.delete_user(DeleteUserRequest { user_id: user_id.clone() }).await.unwrap().user.unwrap();
    assert_eq!((user.id.as_str(), user.state()), (user_id.as_str(), UserState::Active));
    for outcome in [
        client.enable_user(enable()).await.map(drop),
        client.disable_user(disable()).await.map(drop),
        client.activate_user(activate()).await.map(drop),
        client.delete_user(DeleteUserRequest { user_id: user_id.clone() }).await.map(drop),
        client
            .record_login(RecordLoginRequest { user_id: user_id.clone(), login_time: None })
            .await
            .map(drop),
    ] {
        let details = refused(outcome, Code::NotFound, "USER_NOT_FOUND");
        assert_eq!(details.resource_info().unwrap().resource_name, user_id);
    }
    client.register("Alice", "alice@example.com").await;
}

pub async fn u7_a_login_of_a_pending_user_ends_its_idleness(store: Store) {
    let (server, client) = start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    let user_id = alice.id.to_string();
    let now = server.clock.now();
    let idle = || CountUnverifiedRequest {
        filter: Some(UnverifiedFilter { idle_since: Some(wire(now)), ..Default::default() }),
    };
    let login = |login_time| RecordLoginRequest { user_id: user_id.clone(), login_time };
    assert_eq!(client.count_unverified(idle()).await.unwrap().count, 1);
    let user = client.record_login(login(Some(wire(now - tick())))).await.unwrap().user.unwrap();
    assert_eq!(instant(user.last_login_time), now - tick());
    assert_eq!(client.count_unverified(idle()).await.unwrap().count, 1);
    let user = client.record_login(login(None)).await.unwrap().user.unwrap();
    assert_eq!(instant(user.last_login_time), now);
    assert_eq!(client.count_unverified(idle()).await.unwrap().count, 0);
    // A caller's clock may be a minute ahead, and what it tells counts as now; not more.
    let user =
        client.record_login(login(Some(wire(now + Duration::seconds(60))))).await.unwrap().user.unwrap();
    assert_eq!(instant(user.last_login_time), now);
    let ahead = client.record_login(login(Some(wire(now + Duration::seconds(60) + tick())))).await;
    let details = refused(ahead, Code::InvalidArgument, "INVALID_REQUEST");
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "login_time");
    client.disable_user(DisableUserRequest { user_id: user_id.clone() }).await.unwrap();
    refused(client.record_login(login(None)).await, Code::FailedPrecondition, "USER_DISABLED");
}

/// The usernames on one page, and the token of the next.
async fn page(client: &Client, request: ListUsersRequest) -> (String, String) {
    let page = client.list_users(request).await.unwrap();
    let names: Vec<_> = page.users.into_iter().map(|user| user.username).collect();
    (names.join(" "), page.next_page_token)
}

pub async fn u3_u4_users_are_listed_by_state_and_prefix_page_by_page(store: Store) {
    let (server, client) = start(&store, "").await;
    for name in ["Zoe", "bob", "anna", "bill"] {
        client.register(name, &format!("{name}@example.com")).await;
        server.clock.advance(tick());
    }
    let bob = client.user(By::Username("bob".into())).await.unwrap().id;
    client.activate_user(ActivateUserRequest { user_id: bob }).await.unwrap();
    let all = ListUsersRequest::default;
    let in_state = |state: UserState| ListUsersRequest { state: state.into(), ..all() };
    let prefixed = |prefix: &str| ListUsersRequest { username_prefix: prefix.into(), ..all() };
    for (request, names) in [
        (all(), "Zoe bob anna bill"),
        (in_state(UserState::Pending), "Zoe anna bill"),
        (in_state(UserState::Active), "bob"),
        (in_state(UserState::Disabled), ""),
        (prefixed("B"), "bill bob"),
        (prefixed("z"), "Zoe"),
        (ListUsersRequest { state: UserState::Active.into(), ..prefixed("b") }, "bob"),
    ] {
        assert_eq!(page(&client, request.clone()).await.0, names, "{request:?}");
        let (mut walked, mut token) = (Vec::new(), String::new());
        loop {
            let (names, next) =
                page(&client, ListUsersRequest { page_size: 1, page_token: token, ..request.clone() }).await;
            walked.extend((!names.is_empty()).then_some(names));
            token = next;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(walked.join(" "), names, "{request:?}");
    }
    let wrong = ListUsersRequest {
        state: 4,
        username_prefix: "a b".into(),
        page_size: -1,
        page_token: String::new(),
    };
    let details = refused(client.list_users(wrong).await, Code::InvalidArgument, "INVALID_REQUEST");
    let named: Vec<_> =
        details.bad_request().unwrap().field_violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(named, ["state", "username_prefix", "page_size"]);
}

pub async fn u4_a_token_of_another_list_or_with_other_conditions_is_refused(store: Store) {
    let (server, client) = start(&store, "").await;
    for name in ["a1", "a2", "a3"] {
        client.register(name, &format!("{name}@example.com")).await;
        server.clock.advance(tick());
    }
    let one = || ListUsersRequest { page_size: 1, ..Default::default() };
    let (_, token) = page(&client, one()).await;
    let with = |page_token: &str| ListUsersRequest { page_token: page_token.to_owned(), ..one() };
    for request in [
        ListUsersRequest { state: UserState::Pending.into(), ..with(&token) },
        ListUsersRequest { username_prefix: "a".into(), ..with(&token) },
    ] {
        refused(client.list_users(request).await, Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    }
    let unverified = ListUnverifiedRequest { page_token: token.clone(), ..Default::default() };
    refused(client.list_unverified(unverified).await, Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    let next = ListUsersRequest { page_size: 2, ..with(&token) };
    assert_eq!(page(&client, next).await, ("a2 a3".to_owned(), String::new()));
}
