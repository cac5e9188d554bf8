//! What a refusal tells: a reason for every situation, with the details that go with it.

use std::time::Duration;

use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use uuid::Uuid;
use vestibule::grpc::proto::{
    AddEmailAddressRequest, CreateInactiveUserRequest, CreateRegistrationProfileRequest,
    DeleteRegistrationProfileRequest, DisableUserRequest, GetUserRequest, ListUnverifiedRequest,
    PurgeExpiredRequest, ReissueActivationKeyRequest, RemindUnverifiedRequest, SendActivationEmailRequest,
    UnverifiedFilter, get_user_request, send_activation_email_request,
};

use super::start;
use crate::{
    contract::store::Store,
    support::server::{reason, refused},
};

fn registration(username: &str, email: &str) -> CreateInactiveUserRequest {
    CreateInactiveUserRequest { username: username.into(), email: email.into(), ..Default::default() }
}

/// The fields that a refusal names, each with a rule.
fn fields<T>(outcome: Result<T, Status>, because: &str) -> Vec<String> {
    let details = refused(outcome, Code::InvalidArgument, because);
    let violations = details.bad_request().unwrap().field_violations.clone();
    assert!(violations.iter().all(|violation| violation.description.starts_with("must ")), "{violations:?}");
    violations.into_iter().map(|violation| violation.field).collect()
}

pub async fn every_wrong_field_is_named_at_once(store: Store) {
    let (_server, client) = start(&store, "").await;
    let before = store.contents().await;
    let all_wrong = CreateInactiveUserRequest {
        username: String::new(),
        email: "nobody".into(),
        password: Some(String::new()),
        send_email: None,
        site: "NO SUCH".into(),
        locale: "no_such".into(),
        request_id: "once".into(),
    };
    let wrong = fields(client.create_inactive_user(all_wrong).await, "INVALID_REQUEST");
    assert_eq!(wrong, ["username", "email", "password", "site", "locale", "request_id"]);
    let wrong = AddEmailAddressRequest { request_id: "once".into(), ..Default::default() };
    let wrong = fields(client.add_email_address(wrong).await, "INVALID_REQUEST");
    assert_eq!(wrong, ["user_id", "email", "request_id"]);
    let wrong = RemindUnverifiedRequest { limit: -1, request_id: "once".into(), ..Default::default() };
    let wrong = fields(client.remind_unverified(wrong).await, "INVALID_REQUEST");
    assert_eq!(wrong, ["limit", "request_id"]);
    for (username, email) in [("", "alice@example.com"), ("alice", "")] {
        let wrong =
            fields(client.create_inactive_user(registration(username, email)).await, "INVALID_REQUEST");
        assert_eq!(wrong, [if username.is_empty() { "username" } else { "email" }]);
    }
    let filter = UnverifiedFilter { email_domain: "@".into(), site: "NO".into(), ..Default::default() };
    let list = ListUnverifiedRequest { filter: Some(filter), page_size: -1, ..Default::default() };
    let wrong = fields(client.list_unverified(list).await, "INVALID_REQUEST");
    assert_eq!(wrong, ["filter.email_domain", "filter.site", "page_size"]);
    let unknown = UnverifiedFilter { site: "elsewhere".into(), ..Default::default() };
    let list = ListUnverifiedRequest { filter: Some(unknown), ..Default::default() };
    assert_eq!(fields(client.list_unverified(list).await, "INVALID_REQUEST"), ["filter.site"]);
    let purge = PurgeExpiredRequest { limit: -1, ..Default::default() };
    assert_eq!(fields(client.purge_expired(purge).await, "INVALID_REQUEST"), ["limit"]);
    let nobody = client.get_user(GetUserRequest { user: None }).await;
    assert_eq!(fields(nobody, "INVALID_REQUEST"), ["user"]);
    let nobody =
        client.send_activation_email(SendActivationEmailRequest { user: None, ..Default::default() }).await;
    assert_eq!(fields(nobody, "INVALID_REQUEST"), ["user"]);
    for id in ["", "alice", "018f3d5c7c0070008000000000000000"] {
        let malformed = client.disable_user(DisableUserRequest { user_id: id.into() }).await;
        assert_eq!(fields(malformed, "INVALID_REQUEST"), ["user_id"]);
        assert_eq!(fields(client.profile(id).await, "INVALID_REQUEST"), ["user_id"]);
    }
    assert_eq!(store.contents().await, before);
}

pub async fn a_password_that_alone_is_wrong_has_a_reason_of_its_own(store: Store) {
    let (_server, client) = start(&store, "").await;
    let too_long = CreateInactiveUserRequest {
        password: Some("a".repeat(1025)),
        ..registration("alice", "alice@example.com")
    };
    let refusal = client.create_inactive_user(too_long).await.unwrap_err();
    assert!(!refusal.message().contains("aaaa"), "{refusal:?}");
    assert_eq!(fields::<()>(Err(refusal), "PASSWORD_REJECTED"), ["password"]);
    assert_eq!(store.count("users").await, 0);
}

/// What a refusal says was asked for.
fn resource(details: &ErrorDetails) -> (&str, &str) {
    let resource = details.resource_info().unwrap();
    (&resource.resource_type, &resource.resource_name)
}

pub async fn x7_x8_what_is_taken_is_named(store: Store) {
    let (_server, client) = start(&store, "").await;
    let alice = client.register("alice", "alice@example.com").await;
    let before = store.contents().await;
    let taken = client.create_inactive_user(registration("\u{ff21}LICE", "other@example.com")).await;
    let details = refused(taken, Code::AlreadyExists, "USERNAME_TAKEN");
    assert_eq!(resource(&details), ("vestibule.v1.User", "ALICE"));
    let request = CreateRegistrationProfileRequest {
        user_id: alice.id.to_string(),
        send_email: Some(false),
        ..Default::default()
    };
    let exists = client.create_registration_profile(request).await;
    let details = refused(exists, Code::AlreadyExists, "REGISTRATION_PROFILE_EXISTS");
    assert_eq!(resource(&details), ("vestibule.v1.RegistrationProfile", alice.id.to_string().as_str()));
    assert_eq!(store.contents().await, before);
    client.use_key(&alice.key).await.unwrap();
    let taken = client.create_inactive_user(registration("bob", "alice@EXAMPLE.com")).await;
    let details = refused(taken, Code::AlreadyExists, "EMAIL_TAKEN");
    assert_eq!(resource(&details), ("vestibule.v1.User", "alice@example.com"));
    assert_eq!(store.count("users").await, 1);
}

pub async fn what_is_not_there_is_named(store: Store) {
    let (_server, client) = start(&store, "").await;
    let id = Uuid::nil().to_string();
    let user_id = || id.clone();
    let by = get_user_request::User::Username("Nobody".into());
    let details = refused(client.user(by).await, Code::NotFound, "USER_NOT_FOUND");
    assert_eq!(resource(&details), ("vestibule.v1.User", "Nobody"));
    let by = send_activation_email_request::User::UserId(user_id());
    let profile =
        CreateRegistrationProfileRequest { user_id: user_id(), send_email: None, ..Default::default() };
    let deletion = DeleteRegistrationProfileRequest { user_id: user_id() };
    for refusal in [
        client.disable_user(DisableUserRequest { user_id: user_id() }).await.map(|_| ()),
        client.reissue_activation_key(ReissueActivationKeyRequest { user_id: user_id() }).await.map(|_| ()),
        client.mail_to(by).await,
        client.profile(&id).await.map(|_| ()),
        client.create_registration_profile(profile).await.map(|_| ()),
        client.delete_registration_profile(deletion).await.map(|_| ()),
    ] {
        let details = refused(refusal, Code::NotFound, "USER_NOT_FOUND");
        assert_eq!(resource(&details), ("vestibule.v1.User", id.as_str()));
    }
    let alice = client.register("alice", "alice@example.com").await.id.to_string();
    let deletion = || DeleteRegistrationProfileRequest { user_id: alice.clone() };
    client.delete_registration_profile(deletion()).await.unwrap();
    let gone = client.delete_registration_profile(deletion()).await;
    let details = refused(gone, Code::NotFound, "REGISTRATION_PROFILE_NOT_FOUND");
    assert_eq!(resource(&details), ("vestibule.v1.RegistrationProfile", alice.as_str()));
    let details = refused(client.use_key("none").await, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
    assert!(details.resource_info().is_none(), "nothing of the key is told");
}

pub async fn a_failed_precondition_says_which_and_since_when(store: Store) {
    let (server, client) = start(&store, "").await;
    let owner = client.register("owner", "shared@example.com").await;
    let taken = client.register("taken", "shared@example.com").await;
    let disabled = client.register("disabled", "disabled@example.com").await;
    client.use_key(&owner.key).await.unwrap();
    client.disable_user(DisableUserRequest { user_id: disabled.id.to_string() }).await.unwrap();
    let mut seen = Vec::new();
    for (user, because, metadata) in [
        (&owner, "ALREADY_ACTIVATED", vec!["activate_time", "user_id"]),
        (&disabled, "USER_DISABLED", vec![]),
        (&taken, "EMAIL_TAKEN", vec![]),
        (&taken, "ACTIVATION_KEY_EXPIRED", vec!["expire_time"]),
    ] {
        if because == "ACTIVATION_KEY_EXPIRED" {
            server.clock.set(taken.expire_time);
        }
        let user_id = user.id.to_string();
        let by = send_activation_email_request::User::UserId(user_id.clone());
        for refusal in [
            client.use_key(&user.key).await.map(|_| ()),
            client.mail_to(by).await,
            client.reissue_activation_key(ReissueActivationKeyRequest { user_id }).await.map(|_| ()),
        ] {
            let details = refused(refusal, Code::FailedPrecondition, because);
            let mut keys: Vec<_> = details.error_info().unwrap().metadata.keys().cloned().collect();
            keys.sort();
            assert_eq!(keys, metadata);
            let violations = &details.precondition_failure().unwrap().violations;
            assert_eq!((violations.len(), violations[0].r#type.as_str()), (1, because));
            seen.push(because);
        }
    }
    assert_eq!(seen.len(), 12);
}

pub async fn too_many_passwords_at_once_are_refused_with_a_delay(store: Store) {
    let (_server, client) =
        start(&store, "passwords.queue_seconds = 0\nmail.limits.per_address_per_hour = 0").await;
    let mut calls = JoinSet::new();
    for number in 0..64 {
        let client = client.clone();
        calls.spawn(async move {
            let password = Some("correct horse".to_owned());
            let asked = registration(&format!("user{number}"), "user@example.com");
            client.create_inactive_user(CreateInactiveUserRequest { password, ..asked }).await
        });
    }
    let outcomes = calls.join_all().await;
    let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(done > 0 && done < 64, "{done} of 64");
    for refusal in outcomes.into_iter().filter(Result::is_err) {
        let details = refused(refusal, Code::ResourceExhausted, "OVERLOADED");
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(1)));
    }
    assert_eq!(store.count("users").await, i64::try_from(done).unwrap());
}

pub async fn a_fault_of_the_service_tells_nothing_but_the_requests_id(store: Store) {
    let (_server, client) = start(&store, "").await;
    store.execute("DROP TABLE mails").await;
    let fault = client.create_inactive_user(registration("alice", "alice@example.com")).await.unwrap_err();
    assert_eq!((fault.code(), reason(&fault).as_str()), (Code::Internal, "INTERNAL"));
    let id = fault.metadata().get("x-request-id").unwrap().to_str().unwrap().to_owned();
    assert_eq!(fault.get_error_details().request_info().unwrap().request_id, id);
    for told in ["mails", "relation", "table", "sql"] {
        assert!(!fault.message().to_lowercase().contains(told), "{fault:?}");
        assert!(!String::from_utf8_lossy(fault.details()).to_lowercase().contains(told), "{fault:?}");
    }
    assert_eq!(store.count("users").await, 0);
    client.list_unverified(ListUnverifiedRequest::default()).await.unwrap();
}
