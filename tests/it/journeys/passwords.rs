//! From no password to one, and to another.

use chrono::Duration;
use tonic::Code;
use vestibule::{
    clock::Clock as _,
    grpc::proto::{ActivateRequest, SetPasswordRequest, UserState, verify_password_request::User as By},
};

use super::{Journey, key_in};
use crate::{
    contract::store::Store,
    support::server::{instant, refused},
};

pub async fn x9_u7_who_registers_without_a_password_chooses_one_logs_in_and_is_given_another(store: Store) {
    let journey = Journey::start(&store, "").await;
    let (client, clock) = (&journey.client, &journey.server.clock);
    let alice = client.register_by_mail("Alice", "alice@example.com").await;
    let key = key_in(&journey.next_mail().await);
    let weak = ActivateRequest {
        activation_key: key.clone(),
        password: Some("ALICE2026".into()),
        ..Default::default()
    };
    refused(client.activate(weak).await, Code::InvalidArgument, "PASSWORD_REJECTED");
    let chosen =
        ActivateRequest { activation_key: key, password: Some("correct horse".into()), ..Default::default() };
    client.activate(chosen).await.unwrap();
    // In any spelling of the name, and of the password as the standard normalises it.
    for by in [
        By::UserId(alice.id.clone()),
        By::Username("\u{ff21}LICE".into()),
        By::Email("alice@EXAMPLE.com".into()),
    ] {
        clock.advance(Duration::seconds(1));
        let user = client.log_in(by, "correct\u{a0}horse").await.unwrap();
        assert_eq!((user.id.as_str(), user.state()), (alice.id.as_str(), UserState::Active));
        assert_eq!(instant(user.last_login_time), clock.now());
    }
    let by_name = || By::Username("alice".into());
    refused(client.log_in(by_name(), "Correct horse").await, Code::Unauthenticated, "INVALID_CREDENTIALS");
    let request = SetPasswordRequest { user_id: alice.id.clone(), password: "battery staple".into() };
    let user = client.set_password(request).await.unwrap().user.unwrap();
    assert_eq!((user.id.as_str(), instant(user.last_login_time)), (alice.id.as_str(), clock.now()));
    refused(client.log_in(by_name(), "correct horse").await, Code::Unauthenticated, "INVALID_CREDENTIALS");
    client.log_in(by_name(), "battery staple").await.unwrap();
    let events = store.events(alice.id.parse().unwrap()).await;
    assert_eq!(events, ["user_registered", "activation_mail_sent", "user_activated"]);
}
