//! Mails that nobody needs any more.

use vestibule::grpc::proto::{DisableUserRequest, EnableUserRequest, MailState};

use crate::{
    contract::store::Store,
    delivery::{copies, start},
    support::{
        server::wait_for_rows,
        smtp::{Action, SmtpSink, Step},
    },
};

pub async fn a_mail_that_nobody_needs_any_more_is_never_sent(store: Store) {
    let sink = SmtpSink::start().await;
    sink.at(Step::Greeting, Action::Reply("421 4.3.2 down".into()));
    let (server, client) = start(&store, &sink.url(), "").await;
    let disabled = client.register_by_mail("disabled", "disabled@example.com").await;
    let back = client.register_by_mail("back", "back@example.com").await;
    let waiting = client.register_by_mail("waiting", "waiting@example.com").await;
    for user in [&disabled, &back] {
        client.disable_user(DisableUserRequest { user_id: user.id.clone() }).await.unwrap();
    }
    // The key died with the disabling, and no other was issued.
    client.enable_user(EnableUserRequest { user_id: back.id.clone() }).await.unwrap();
    // What was claimed before that could still be sent.
    wait_for_rows(&store, "mails WHERE claim_token IS NOT NULL", 0).await;
    sink.behave();
    client.wait_for_mail(&waiting.id, 1, MailState::Delivered).await;
    wait_for_rows(&store, "mails WHERE state = 'DISCARDED' AND sealed_text IS NULL AND attempt = 1", 2).await;
    server.stop().await;
    assert_eq!(copies(&sink).await.into_keys().collect::<Vec<_>>(), ["waiting@example.com"]);
    assert_eq!(store.count("events WHERE kind = 'activation_mail_failed'").await, 0);
}
