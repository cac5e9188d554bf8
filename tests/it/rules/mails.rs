//! MailService over the wire.

use chrono::Duration;
use tonic::Code;
use uuid::Uuid;
use vestibule::{
    clock::Clock as _,
    grpc::proto::{
        DeleteUserRequest, DiscardMailRequest, GetMailRequest, ListMailsRequest, Mail, MailKind, MailState,
        RetryMailRequest,
    },
};

use super::start;
use crate::{
    contract::store::Store,
    support::{
        server::{Client, TestServer, instant, refused, wait_for_rows},
        smtp::{Action, SmtpSink, Step},
    },
};

/// A server that mails through a sink which takes nothing for now.
async fn start_refused(store: &Store) -> (TestServer, Client, SmtpSink) {
    let sink = SmtpSink::start().await;
    sink.at(Step::Rcpt, Action::Reply("451 4.3.0 try again later".into()));
    let settings = format!("mail.sender = 'smtp'\nmail.smtp.url = '{}'", sink.url());
    let server = TestServer::start_configured(store.url(), &settings).await;
    let client = server.client().await;
    (server, client, sink)
}

/// Mails that have been tried and wait for their next attempt.
const FAILED: &str = "mails WHERE state = 'QUEUED' AND last_error IS NOT NULL AND claim_token IS NULL";

async fn mails(client: &Client, request: ListMailsRequest) -> Vec<Mail> {
    client.list_mails(request).await.unwrap().mails
}

async fn mail(client: &Client, mail_id: &str) -> Mail {
    client.get_mail(GetMailRequest { mail_id: mail_id.into() }).await.unwrap().mail.unwrap()
}

pub async fn a_mail_that_waits_is_shown_without_its_text_and_sent_when_asked_for(store: Store) {
    let (server, client, sink) = start_refused(&store).await;
    let alice = client.register_by_mail("alice", "alice@example.com").await;
    wait_for_rows(&store, FAILED, 1).await;
    let listed = mails(&client, ListMailsRequest::default()).await;
    let [waiting] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((&waiting.user_id, &*waiting.recipient), (&alice.id, "alice@example.com"));
    assert_eq!(
        (waiting.kind(), waiting.state(), waiting.attempt),
        (MailKind::Activation, MailState::Queued, 1)
    );
    assert!(waiting.last_error.contains("451 4.3.0"), "{}", waiting.last_error);
    assert_eq!(instant(waiting.create_time), server.clock.now());
    assert_eq!(instant(waiting.expire_time), server.clock.now() + Duration::days(7));
    assert!(waiting.finish_time.is_none() && waiting.next_attempt_time.is_some());
    assert_eq!(mail(&client, &waiting.id).await, *waiting);
    sink.behave();
    let retried = client.retry_mail(RetryMailRequest { mail_id: waiting.id.clone() }).await.unwrap();
    assert_eq!(instant(retried.mail.unwrap().next_attempt_time), server.clock.now());
    assert_eq!(sink.next_mail().await.parse().recipient, "alice@example.com");
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 1).await;
    let delivered = mail(&client, &waiting.id).await;
    assert_eq!((delivered.state(), delivered.attempt), (MailState::Delivered, 2));
    assert!(delivered.finish_time.is_some() && delivered.next_attempt_time.is_none());
    for refusal in [
        client.retry_mail(RetryMailRequest { mail_id: waiting.id.clone() }).await.map(|_| ()),
        client.discard_mail(DiscardMailRequest { mail_id: waiting.id.clone() }).await.map(|_| ()),
    ] {
        let details = refused(refusal, Code::FailedPrecondition, "MAIL_FINISHED");
        assert_eq!(details.precondition_failure().unwrap().violations[0].subject, waiting.id);
    }
}

pub async fn a_mail_that_is_discarded_never_leaves(store: Store) {
    let (server, client, sink) = start_refused(&store).await;
    let alice = client.register_by_mail("alice", "alice@example.com").await;
    wait_for_rows(&store, FAILED, 1).await;
    let mail_id = mails(&client, ListMailsRequest::default()).await[0].id.clone();
    let discard = || client.discard_mail(DiscardMailRequest { mail_id: mail_id.clone() });
    let discarded = discard().await.unwrap().mail.unwrap();
    assert_eq!(discarded.state(), MailState::Discarded);
    assert_eq!(instant(discarded.finish_time), server.clock.now());
    assert_eq!(discard().await.unwrap().mail.unwrap(), discarded);
    let events = store.events(alice.id.parse().unwrap()).await;
    assert_eq!(events, ["user_registered", "activation_mail_failed"]);
    sink.behave();
    server.clock.advance(Duration::hours(2));
    client.register_by_mail("bob", "bob@example.com").await;
    assert_eq!(sink.next_mail().await.parse().recipient, "bob@example.com");
    assert_eq!(mail(&client, &mail_id).await, discarded);
}

pub async fn u4_mails_are_listed_page_by_page_and_a_token_continues_one_query(store: Store) {
    let (_server, client) = start(&store, "").await;
    let mut users = Vec::new();
    for number in 0..5 {
        let name = format!("user{number}");
        users.push(client.register_by_mail(&name, &format!("{name}@example.com")).await.id);
    }
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 5).await;
    let everything = mails(&client, ListMailsRequest::default()).await;
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListMailsRequest { page_size: 2, page_token, ..Default::default() };
        let page = client.list_mails(request).await.unwrap();
        seen.extend(page.mails);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        let other = ListMailsRequest {
            user_id: users[0].clone(),
            page_token: page_token.clone(),
            ..Default::default()
        };
        refused(client.list_mails(other).await, Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    }
    assert_eq!((seen.len(), &seen), (5, &everything));
    let of = ListMailsRequest { user_id: users[3].clone(), ..Default::default() };
    assert_eq!(mails(&client, of).await[0].recipient, "user3@example.com");
    let to = ListMailsRequest { recipient: "user2@EXAMPLE.com".into(), ..Default::default() };
    assert_eq!(mails(&client, to).await[0].user_id, users[2]);
    let queued = ListMailsRequest { state: MailState::Queued.into(), ..Default::default() };
    assert!(mails(&client, queued).await.is_empty());
}

pub async fn a_mail_that_is_not_there_is_named(store: Store) {
    let (_server, client) = start(&store, "").await;
    let mail_id = Uuid::nil().to_string();
    for refusal in [
        client.get_mail(GetMailRequest { mail_id: mail_id.clone() }).await.map(|_| ()),
        client.retry_mail(RetryMailRequest { mail_id: mail_id.clone() }).await.map(|_| ()),
        client.discard_mail(DiscardMailRequest { mail_id: mail_id.clone() }).await.map(|_| ()),
    ] {
        let details = refused(refusal, Code::NotFound, "MAIL_NOT_FOUND");
        let resource = details.resource_info().unwrap();
        assert_eq!((&*resource.resource_type, &resource.resource_name), ("vestibule.v1.Mail", &mail_id));
    }
    // With its user a mail goes, too.
    let alice = client.register_by_mail("alice", "alice@example.com").await;
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 1).await;
    let mail_id = mails(&client, ListMailsRequest::default()).await[0].id.clone();
    client.delete_user(DeleteUserRequest { user_id: alice.id }).await.unwrap();
    refused(client.get_mail(GetMailRequest { mail_id }).await, Code::NotFound, "MAIL_NOT_FOUND");
}
