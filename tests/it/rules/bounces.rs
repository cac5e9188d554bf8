//! Bounces and the addresses that get no mail because of them, over the wire.

use chrono::Duration;
use tonic::Code;
use uuid::Uuid;
use vestibule::{
    clock::Clock as _,
    grpc::proto::{
        AddEmailAddressRequest, CreateInactiveUserRequest, LiftSuppressionRequest, ListMailsRequest,
        ListSuppressionsRequest, Mail, MailKind, MailState, RemindUnverifiedRequest, ReportBounceRequest,
        RetryMailRequest, Suppression, Warning, WarningCode, report_bounce_request::Bounced,
        send_activation_email_request::User as By,
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

const SAID: &str = "550 5.1.1 <alice@example.com>: no such mailbox";
const WITHHELD: &str =
    "mails WHERE state = 'DISCARDED' AND last_error = 'the address is suppressed' AND sealed_text IS NULL";

/// A server that mails through a sink.
async fn start_mailing(store: &Store) -> (TestServer, Client, SmtpSink) {
    let sink = SmtpSink::start().await;
    let settings = format!("mail.sender = 'smtp'\nmail.smtp.url = '{}'", sink.url());
    let (server, client) = start(store, &settings).await;
    (server, client, sink)
}

fn of(email: &str) -> Bounced {
    Bounced::Email(email.into())
}

/// Reports a bounce for good.
async fn suppress(client: &Client, bounced: Bounced) -> Suppression {
    let request = ReportBounceRequest { bounced: Some(bounced), permanent: true, reason: SAID.into() };
    client.report_bounce(request).await.unwrap().suppression.unwrap()
}

async fn lift(client: &Client, email: &str) -> Suppression {
    let request = LiftSuppressionRequest { email: email.into() };
    client.lift_suppression(request).await.unwrap().suppression.unwrap()
}

async fn mails_to(client: &Client, recipient: &str) -> Vec<Mail> {
    let request = ListMailsRequest { recipient: recipient.into(), ..Default::default() };
    client.list_mails(request).await.unwrap().mails
}

async fn warnings(client: &Client, request: &CreateInactiveUserRequest) -> Vec<Warning> {
    client.create_inactive_user(request.clone()).await.unwrap().warnings
}

fn is_key(word: &str) -> bool {
    word.len() == 40 && word.bytes().all(|b| b.is_ascii_hexdigit())
}

fn registration(username: &str, email: &str) -> CreateInactiveUserRequest {
    CreateInactiveUserRequest { username: username.into(), email: email.into(), ..Default::default() }
}

pub async fn no_mail_of_any_kind_reaches_a_suppressed_address_until_it_is_lifted(store: Store) {
    let (server, client, sink) = start_mailing(&store).await;
    let carol = client.register("carol", "carol@example.com").await;
    client.use_key(&carol.key).await.unwrap();
    let carol = carol.id.to_string();
    for email in ["alice@example.com", "carol@example.com"] {
        suppress(&client, of(email)).await;
    }
    let alice = client.register_by_mail("alice", "alice@EXAMPLE.com").await;
    for user in
        [By::UserId(alice.id.clone()), By::Username("alice".into()), By::Email("alice@example.com".into())]
    {
        client.mail_to(user).await.unwrap();
    }
    client.add(&carol, "alice@example.com").await.unwrap();
    client.send_verification(&carol, "alice@example.com").await.unwrap();
    // Another address of hers becomes the primary one, and the one that was can't be told.
    client.add(&carol, "new@example.com").await.unwrap();
    let mail = sink.next_mail().await.parse();
    let key = mail.body.split_whitespace().find(|word| is_key(word)).unwrap().to_owned();
    client.verify(&key).await.unwrap();
    client.set_primary(&carol, "new@example.com").await.unwrap();
    // Only then: a clock that moves ends the leases of what is being settled.
    wait_for_rows(&store, WITHHELD, 7).await;
    server.clock.advance(Duration::hours(25));
    let remind = RemindUnverifiedRequest { force: true, ..Default::default() };
    assert_eq!(client.remind_unverified(remind).await.unwrap().remind_count, 1);
    wait_for_rows(&store, WITHHELD, 8).await;
    let mut kinds: Vec<_> = mails_to(&client, "alice@example.com").await.iter().map(Mail::kind).collect();
    kinds.sort_unstable();
    let (activation, verification) = (MailKind::Activation, MailKind::EmailVerification);
    assert_eq!(
        kinds,
        [activation, activation, activation, activation, MailKind::Reminder, verification, verification]
    );
    let told = mails_to(&client, "carol@example.com").await;
    assert_eq!((told.len(), told[0].kind(), told[0].attempt), (1, MailKind::PrimaryEmailChanged, 1));
    let events = store.events(alice.id.parse().unwrap()).await;
    let failed = events.iter().filter(|event| *event == "activation_mail_failed").count();
    assert_eq!((failed, events.len()), (5, 7), "{events:?}");

    assert_eq!(lift(&client, "alice@example.com").await.email, "alice@example.com");
    client.mail_to(By::UserId(alice.id)).await.unwrap();
    assert_eq!(sink.next_mail().await.parse().recipient, "alice@example.com");
    // These two are all that has ever come.
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 2).await;
    assert_eq!(sink.mails(2).await.len(), 2);
    assert_eq!(store.count("mails WHERE state = 'QUEUED'").await, 0);
}

pub async fn a_mail_that_waits_for_a_suppressed_address_is_discarded(store: Store) {
    let (_server, client, sink) = start_mailing(&store).await;
    sink.at(Step::Rcpt, Action::Reply("451 4.3.0 try again later".into()));
    let alice = client.register_by_mail("alice", "alice@example.com").await;
    let waiting = "mails WHERE state = 'QUEUED' AND last_error IS NOT NULL AND claim_token IS NULL";
    wait_for_rows(&store, waiting, 1).await;
    let mail_id = mails_to(&client, "alice@example.com").await.remove(0).id;
    suppress(&client, of("alice@example.com")).await;
    sink.behave();
    client.retry_mail(RetryMailRequest { mail_id: mail_id.clone() }).await.unwrap();
    client.wait_for_mail(&alice.id, 0, MailState::Discarded).await;
    assert_eq!(store.count(WITHHELD).await, 1);
    // Given up for good: lifting sends nothing by itself.
    lift(&client, "alice@example.com").await;
    let refusal = client.retry_mail(RetryMailRequest { mail_id }).await;
    refused(refusal, Code::FailedPrecondition, "MAIL_FINISHED");
    client.register_by_mail("bob", "bob@example.com").await;
    assert_eq!(sink.next_mail().await.parse().recipient, "bob@example.com");
}

pub async fn a_bounced_mail_tells_its_address_and_a_temporary_bounce_suppresses_nothing(store: Store) {
    let (server, client, sink) = start_mailing(&store).await;
    let alice = client.register_by_mail("alice", "Alice@example.com").await;
    client.wait_for_mail(&alice.id, 1, MailState::Delivered).await;
    let mail_id = sink.next_mail().await.parse().message_id.split('@').next().unwrap().to_owned();
    let before = store.contents().await;
    for bounced in [Bounced::MailId(mail_id.clone()), of("Alice@example.com"), of("nobody@example.com")] {
        let temporary = ReportBounceRequest { bounced: Some(bounced), permanent: false, reason: SAID.into() };
        for _ in 0..3 {
            assert_eq!(client.report_bounce(temporary.clone()).await.unwrap().suppression, None);
        }
    }
    assert_eq!(store.contents().await, before);

    let suppression = suppress(&client, Bounced::MailId(mail_id.clone())).await;
    let now = server.clock.now();
    assert_eq!((&*suppression.email, &*suppression.reason), ("Alice@example.com", SAID));
    assert_eq!(suppression.mail_id, mail_id);
    assert_eq!((instant(suppression.create_time), instant(suppression.last_bounce_time)), (now, now));
    // Reported again, it stays; what is said of it is the latest.
    server.clock.advance(Duration::hours(1));
    let again = suppress(&client, of("Alice@EXAMPLE.com")).await;
    assert_eq!((again.create_time, &*again.mail_id), (suppression.create_time, ""));
    assert_eq!(instant(again.last_bounce_time), now + Duration::hours(1));
    let request = ListSuppressionsRequest::default();
    assert_eq!(client.list_suppressions(request).await.unwrap().suppressions, [again]);
}

pub async fn whoever_registers_or_adds_a_suppressed_address_is_told_and_not_refused(store: Store) {
    let (_server, client) = start(&store, "").await;
    suppress(&client, of("alice@example.com")).await;
    let told = [Warning {
        code: WarningCode::EmailAddressSuppressed.into(),
        message: "Mail to the email address has bounced for good: what is queued for it is discarded until \
                  LiftSuppression."
            .into(),
    }];
    let request_id = Uuid::from_u128(1).to_string();
    let alice = CreateInactiveUserRequest { request_id, ..registration("alice", "alice@EXAMPLE.com") };
    // A repetition is told, too.
    for _ in 0..2 {
        assert_eq!(warnings(&client, &alice).await, told);
    }
    let unmailed = CreateInactiveUserRequest { send_email: Some(false), ..registration("ann", &alice.email) };
    assert_eq!(warnings(&client, &unmailed).await, told);
    for other in ["Alice@example.com", "alice+a@example.com"] {
        assert!(warnings(&client, &registration(&format!("user{}", other.len()), other)).await.is_empty());
    }
    let bob = client.register("bob", "bob@example.com").await.id.to_string();
    let add = |email: &str| AddEmailAddressRequest {
        user_id: bob.clone(),
        email: email.into(),
        ..Default::default()
    };
    assert_eq!(client.add_email_address(add("alice@example.com")).await.unwrap().warnings, told);
    assert!(client.add_email_address(add("bob2@example.com")).await.unwrap().warnings.is_empty());
    lift(&client, "alice@example.com").await;
    assert!(warnings(&client, &registration("eve", "alice@example.com")).await.is_empty());
}

pub async fn u4_suppressions_are_listed_page_by_page_and_a_token_continues_one_query(store: Store) {
    let (_server, client) = start(&store, "").await;
    let addresses: Vec<_> = (0..5).map(|number| format!("user{number}@example.com")).collect();
    for address in addresses.iter().rev() {
        suppress(&client, of(address)).await;
    }
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListSuppressionsRequest { page_size: 2, page_token, ..Default::default() };
        let page = client.list_suppressions(request).await.unwrap();
        seen.extend(page.suppressions.into_iter().map(|suppression| suppression.email));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        let email = addresses[4].clone();
        let other = ListSuppressionsRequest { email, page_token: page_token.clone(), ..Default::default() };
        refused(client.list_suppressions(other).await, Code::InvalidArgument, "INVALID_PAGE_TOKEN");
        let of_mails = ListMailsRequest { page_token: page_token.clone(), ..Default::default() };
        refused(client.list_mails(of_mails).await, Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    }
    assert_eq!(seen, addresses);
    let only = ListSuppressionsRequest { email: "user3@EXAMPLE.com".into(), ..Default::default() };
    let found = client.list_suppressions(only).await.unwrap();
    assert_eq!((found.suppressions.len(), &found.suppressions[0].email), (1, &addresses[3]));
}

pub async fn what_is_wrong_in_a_bounce_is_named(store: Store) {
    let (_server, client) = start(&store, "").await;
    let before = store.contents().await;
    let report = |bounced: Option<Bounced>, reason: &str| {
        client.report_bounce(ReportBounceRequest { bounced, permanent: true, reason: reason.into() })
    };
    let long = "a".repeat(501);
    let wrong: [(Option<Bounced>, &str, &[&str]); 4] = [
        (None, "", &["bounced"]),
        (Some(of("")), "two\nlines", &["email", "reason"]),
        (Some(Bounced::MailId("1".into())), &long, &["mail_id", "reason"]),
        (Some(of("alice@example.com")), "\u{202e}", &["reason"]),
    ];
    for (bounced, reason, fields) in wrong {
        let details = refused(report(bounced, reason).await, Code::InvalidArgument, "INVALID_REQUEST");
        let violations = &details.bad_request().unwrap().field_violations;
        assert_eq!(violations.iter().map(|violation| &*violation.field).collect::<Vec<_>>(), fields);
    }
    let nobodys = Uuid::nil().to_string();
    let details =
        refused(report(Some(Bounced::MailId(nobodys.clone())), "").await, Code::NotFound, "MAIL_NOT_FOUND");
    assert_eq!(details.resource_info().unwrap().resource_name, nobodys);
    let request = LiftSuppressionRequest { email: "alice@EXAMPLE.com".into() };
    let details = refused(client.lift_suppression(request).await, Code::NotFound, "SUPPRESSION_NOT_FOUND");
    let resource = details.resource_info().unwrap();
    assert_eq!(
        (&*resource.resource_type, &*resource.resource_name),
        ("vestibule.v1.Suppression", "alice@example.com")
    );
    assert_eq!(store.contents().await, before);
    // The longest that is right, and none at all.
    for reason in [&long[1..], ""] {
        report(Some(of("alice@example.com")), reason).await.unwrap();
    }
}
