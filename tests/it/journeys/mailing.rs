//! What a mail server's moods do to a registration: nothing (X6).

use chrono::Duration;
use vestibule::grpc::proto::MailState;

use super::{Journey, key_in};
use crate::{
    contract::{outbox::spoil_mails, store::Store},
    support::{
        server::wait_for_rows,
        smtp::{Action, Step},
    },
};

/// Longer than the longest wait after a first attempt.
const BACKOFF: Duration = Duration::seconds(6);

pub async fn x6_a_mail_server_that_is_busy_gets_the_mail_later(store: Store) {
    let journey = Journey::start(&store, "").await;
    journey.sink.at(Step::Rcpt, Action::Reply("451 4.3.0 try again later".into()));
    let alice = journey.client.register_by_mail("alice", "alice@example.com").await;
    wait_for_rows(&store, FAILED, 1).await;
    journey.client.wait_for_mail(&alice.id, 0, MailState::Queued).await;
    let errors = store.texts("SELECT last_error FROM mails").await;
    assert_eq!(errors, ["RCPT: 451 4.3.0 try again later"]);

    journey.sink.behave();
    journey.server.clock.advance(BACKOFF);
    let mail = journey.next_mail().await;
    journey.client.wait_for_mail(&alice.id, 1, MailState::Delivered).await;
    assert_eq!(store.count("mails WHERE attempt = 2 AND sealed_text IS NULL").await, 1);
    let events = store.events(alice.id.parse().unwrap()).await;
    assert_eq!(events, ["user_registered", "activation_mail_sent"]);
    journey.client.use_key(&key_in(&mail)).await.unwrap();
}

pub async fn x22_a_clock_that_jumped_gives_up_no_mail(store: Store) {
    let journey = Journey::start(&store, "").await;
    journey.sink.at(Step::Rcpt, Action::Reply("451 4.3.0 try again later".into()));
    let alice = journey.client.register_by_mail("alice", "alice@example.com").await;
    wait_for_rows(&store, FAILED, 1).await;
    journey.sink.behave();
    journey.server.clock.go_wrong(Duration::days(8));
    // By this clock her key has expired, and his has not.
    let bob = journey.client.register_by_mail("bob", "bob@example.com").await;
    for user in [alice, bob] {
        journey.client.wait_for_mail(&user.id, 1, MailState::Delivered).await;
    }
}

pub async fn x6_a_refused_mail_is_given_up_and_the_registration_stands(store: Store) {
    let journey = Journey::start(&store, "").await;
    let refusal = Action::Reply("550 5.1.1 no such mailbox".into());
    journey.sink.at_recipient("alice@example.com", Step::Rcpt, refusal);
    let alice = journey.client.register_by_mail("alice", "alice@example.com").await;
    let bob = journey.client.register_by_mail("bob", "bob@example.com").await;
    journey.client.wait_for_mail(&alice.id, 0, MailState::Discarded).await;
    journey.client.wait_for_mail(&bob.id, 1, MailState::Delivered).await;
    let given_up = "mails WHERE attempt = 1 AND sealed_text IS NULL AND last_error LIKE '%550 5.1.1%'";
    assert_eq!(store.count(given_up).await, 1);
    let events = store.events(alice.id.parse().unwrap()).await;
    assert_eq!(events, ["user_registered", "activation_mail_failed"]);

    // Given up for good: nothing comes when time goes by, and a further mail is one of its own.
    journey.sink.behave();
    journey.server.clock.advance(Duration::days(1));
    let by_id = super::keys::By::UserId(alice.id.clone());
    journey.client.mail_to(by_id).await.unwrap();
    assert_eq!(journey.next_mail().await.recipient, "bob@example.com");
    let mail = journey.next_mail().await;
    journey.client.wait_for_mail(&alice.id, 1, MailState::Delivered).await;
    assert_eq!(journey.sink.mails(2).await.len(), 2);
    journey.client.use_key(&key_in(&mail)).await.unwrap();
}

pub async fn a_mail_whose_row_cannot_be_read_is_given_up_and_the_others_arrive(store: Store) {
    let journey = Journey::start(&store, "").await;
    journey.sink.at(Step::Rcpt, Action::Reply("451 4.3.0 try again later".into()));
    let alice = journey.client.register_by_mail("alice", "alice@example.com").await;
    let bob = journey.client.register_by_mail("bob", "bob@example.com").await;
    wait_for_rows(&store, FAILED, 2).await;
    spoil_mails(&store, "recipient = 'alice@example.com'").await;

    journey.sink.behave();
    journey.server.clock.advance(BACKOFF);
    assert_eq!(journey.next_mail().await.recipient, "bob@example.com");
    journey.client.wait_for_mail(&bob.id, 1, MailState::Delivered).await;
    wait_for_rows(&store, "mails WHERE state = 'DISCARDED' AND sealed_text IS NULL", 1).await;
    let errors = store.texts("SELECT last_error FROM mails WHERE state = 'DISCARDED'").await;
    assert_eq!(errors, ["a mail's kind in its row is none that Vestibule writes"]);
    let events = store.events(alice.id.parse().unwrap()).await;
    assert_eq!(events, ["user_registered", "activation_mail_failed"]);
}

pub async fn a_mail_that_is_delivered_twice_has_the_same_message_id(store: Store) {
    let journey = Journey::start(&store, "").await;
    journey.sink.at_times(1, Step::Message, Action::KeepAndDrop);
    let alice = journey.client.register_by_mail("alice", "alice@example.com").await;
    wait_for_rows(&store, FAILED, 1).await;
    journey.server.clock.advance(BACKOFF);
    let (first, second) = (journey.next_mail().await, journey.next_mail().await);
    assert_eq!(first, second);
    journey.client.wait_for_mail(&alice.id, 1, MailState::Delivered).await;
}

/// Mails that have been tried and wait for their next attempt.
const FAILED: &str = "mails WHERE state = 'QUEUED' AND last_error IS NOT NULL AND claim_token IS NULL";
