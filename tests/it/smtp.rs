//! What `SmtpSender` makes of mail servers, good and bad, against a server of our own.

#![expect(clippy::expect_used, reason = "a test that can't be set up has failed")]

mod form;

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use secrecy::SecretString;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time,
};
use uuid::Uuid;
use vestibule::{
    domain::{
        Timestamp,
        mail::{MailId, MailKind, MailText},
    },
    mail::{MailSender as _, OutgoingMail, SendError, smtp::SmtpSender},
};

use crate::support::{
    smtp::{Action, SmtpSink, Step},
    tap::{Conversation, Tap},
};

const KEY: &str = "0123456789abcdef0123456789abcdef01234567";
/// Long enough for a conversation on a busy machine.
const PATIENT: Duration = Duration::from_secs(10);
/// Short enough to wait for it.
const IMPATIENT: Duration = Duration::from_millis(300);

/// Every step that a mail without TLS and credentials takes before it is settled.
const STEPS: [Step; 6] = [Step::Greeting, Step::Ehlo, Step::Mail, Step::Rcpt, Step::Data, Step::Message];

fn sender(url: &str, timeout: Duration) -> SmtpSender {
    SmtpSender::new(&SecretString::from(url), timeout, None).expect("a URL of the right form")
}

async fn send(sender: &SmtpSender, id: u128, recipient: &str, body: &str) -> Result<(), SendError> {
    let text = MailText {
        from: "Vestibule <vestibule@localhost>".into(),
        subject: "Activate your account at Bücher".into(),
        body: SecretString::from(body),
        html: None,
    };
    let mail = OutgoingMail {
        id: MailId(Uuid::from_u128(id)),
        kind: MailKind::Activation,
        recipient,
        create_time: Timestamp::from_timestamp(1_700_000_000, 0).expect("a time"),
        text: &text,
    };
    let outcome = time::timeout(3 * PATIENT, sender.send(&mail)).await.expect("an end of it");
    if let Err(error) = &outcome {
        assert!(!error.to_string().contains(&KEY[..16]), "{error}");
    }
    outcome
}

async fn send_key(sender: &SmtpSender) -> Result<(), SendError> {
    send(sender, 1, "alice@example.com", &format!("The key:\n{KEY}\n")).await
}

fn reply(reply: &str) -> Action {
    Action::Reply(reply.to_owned())
}

#[tokio::test]
async fn a_mail_arrives_and_says_what_it_should() {
    let sink = SmtpSink::start().await;
    let sender = sender(&sink.url(), PATIENT);
    send_key(&sender).await.unwrap();
    let received = sink.next_mail().await;
    assert_eq!(received.from, "vestibule@localhost");
    let mail = received.parse();
    assert_eq!(mail.recipient, "alice@example.com");
    assert_eq!(mail.subject, "Activate your account at Bücher");
    assert_eq!(mail.body, format!("The key:\n{KEY}\n"));
    assert_eq!(mail.message_id, format!("{}@localhost", Uuid::from_u128(1)));
    sender.close_idle(Duration::ZERO).await;
    assert_eq!(sink.steps(Step::Quit, 1).await, [&STEPS[..], &[Step::Quit]].concat());
}

#[tokio::test]
async fn a_second_delivery_is_the_same_message() {
    let sink = SmtpSink::start().await;
    let sender = sender(&sink.url(), PATIENT);
    sink.at_times(1, Step::Message, Action::KeepAndDrop);
    assert!(matches!(send_key(&sender).await, Err(SendError::Interrupted(_))));
    send_key(&sender).await.unwrap();
    let first = sink.next_mail().await;
    assert_eq!(first, sink.next_mail().await);
}

#[tokio::test]
async fn any_body_arrives_unchanged_in_exactly_one_message() {
    let sink = SmtpSink::start().await;
    let sender = sender(&sink.url(), PATIENT);
    let long = "0123456789".repeat(300);
    let bodies = [
        ".\n..\n...\n.dot\n",
        "a\n.\nMAIL FROM:<eve@example.com>\nRCPT TO:<eve@example.com>\nDATA\nspam\n.\nQUIT\n",
        "a\r\n.\r\nMAIL FROM:<eve@example.com>\r\n",
        "a\n.\r\nb\r\n.\nc\r.\rd\r\n.\re\n.",
        "\r.\r\n\r\r.\n\n",
        "Bcc: eve@example.com\nSubject: other\n\nFrom: eve\n",
        "{{ activation_key }} {% for i in range(9) %} {{ user.username }}\n",
        "=2E =\n=0D=0A.=0D=0A\n",
        "Grüße\n.\nпривет 😀\n",
        "nul \0, escape \u{1b}[2J\n",
        "",
        &long,
        &format!(".{long}\n.\n{long}ü"),
    ];
    for (index, body) in bodies.iter().enumerate() {
        send(&sender, index as u128, "alice@example.com", body).await.unwrap();
        let mail = sink.next_mail().await.parse();
        let expected = body.replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!(
            mail.body.strip_suffix('\n').unwrap_or(&mail.body),
            expected.strip_suffix('\n').unwrap_or(&expected)
        );
    }
    assert_eq!(sink.mails(bodies.len()).await.len(), bodies.len());
    let steps = sink.steps(Step::Message, bodies.len()).await;
    assert_eq!(steps.iter().filter(|step| **step == Step::Mail).count(), bodies.len());
}

#[tokio::test]
async fn a_refusal_is_permanent_only_where_it_is_about_the_mail() {
    let sink = SmtpSink::start().await;
    let sender = sender(&sink.url(), PATIENT);
    for step in STEPS {
        for (code, permanent) in [
            ("421 4.3.2 closing", false),
            ("450 4.2.0 greylisted", false),
            ("452 4.2.2 full for now", false),
            ("530 5.7.0 authenticate first", false),
            ("550 5.1.1 no such user", matches!(step, Step::Rcpt | Step::Data | Step::Message)),
            (
                "554-5.7.1 refused\r\n554 5.7.1 in two lines",
                matches!(step, Step::Rcpt | Step::Data | Step::Message),
            ),
        ] {
            sink.behave();
            // From the beginning, not where the connection was kept.
            sender.close_idle(Duration::ZERO).await;
            sink.at(step, reply(code));
            let error = send_key(&sender).await.unwrap_err();
            assert_eq!(matches!(error, SendError::Permanent(_)), permanent, "{step:?} {code}: {error}");
            assert!(error.to_string().contains(&code[..3]), "{error}");
        }
    }
    sink.behave();
    send_key(&sender).await.unwrap();
    assert_eq!(sink.mails(1).await.len(), 1, "nothing but the last mail was taken");
}

#[tokio::test]
async fn an_error_says_where_and_what_without_repeating_the_mail() {
    let sink = SmtpSink::start().await;
    let sender = sender(&sink.url(), PATIENT);
    sink.at(Step::Rcpt, reply("550 5.1.1 <alice@example.com>: no such user"));
    let error = send_key(&sender).await.unwrap_err();
    insta::assert_snapshot!(error, @"RCPT: 550 5.1.1 <alice@example.com>: no such user");
    sink.behave();
    let (half, other_half) = KEY.split_at(20);
    let mut echo =
        format!("554-5.7.1 spam:\u{1b}[31m {KEY}\r\n554-5.7.1 {half}=\r\n554-5.7.1 {other_half}\r\n");
    let _ = write!(echo, "554 5.7.1 {}", "and so on ".repeat(50));
    sink.at(Step::Message, reply(&echo));
    let error = send_key(&sender).await.unwrap_err();
    let error = error.to_string();
    let (said, _) = error.split_once("and so on").expect("room for more than the masks");
    insta::assert_snapshot!(said, @"message: 554 5.7.1 spam:[31m *** ***= ***");
    assert!(error.len() <= 220, "{error}");
}

#[tokio::test]
async fn a_server_that_falls_silent_costs_no_more_than_a_steps_time_and_the_error_says_where() {
    let starttls = reply("250-sink.example\r\n250 STARTTLS");
    let mut senders = JoinSet::new();
    for (url, silent_at, answer, said) in [
        ("smtp://HOST", Step::Greeting, Action::Stall, "greeting"),
        ("smtp://HOST", Step::Ehlo, Action::Stall, "greeting"),
        ("smtp://HOST", Step::Mail, Action::Stall, "MAIL"),
        ("smtp://HOST", Step::Rcpt, Action::Stall, "RCPT"),
        ("smtp://HOST", Step::Data, Action::Stall, "DATA"),
        ("smtp://user:hunter2@HOST", Step::Auth, Action::Stall, "AUTH"),
        ("smtps://HOST", Step::Greeting, Action::Stall, "TLS"),
        ("smtp://HOST?tls=required", Step::StartTls, Action::Stall, "STARTTLS"),
        // Silent in the middle of the handshake.
        ("smtp://HOST?tls=required", Step::StartTls, reply("220 go on"), "STARTTLS"),
    ] {
        let starttls = starttls.clone();
        senders.spawn(async move {
            let sink = SmtpSink::start().await;
            if silent_at == Step::StartTls {
                sink.at(Step::Ehlo, starttls);
            }
            sink.at(silent_at, answer);
            let url = url.replace("HOST", &sink.address().to_string());
            let error = send_key(&sender(&url, 4 * IMPATIENT)).await.unwrap_err();
            assert!(error.to_string().starts_with(&format!("{said}: no answer within ")), "{url}: {error}");
            // Where only this mail may be to blame, its attempt counts.
            let counts = matches!(silent_at, Step::Rcpt | Step::Data);
            assert_eq!(matches!(error, SendError::Interrupted(_)), counts, "{url}: {error}");
            sink.behave();
            send_key(&sender(&sink.url(), PATIENT)).await.unwrap();
        });
    }
    senders.join_all().await;
}

#[tokio::test]
async fn a_server_that_accepts_nobody_costs_no_more_than_its_time_either() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let crowded = socket.listen(1).unwrap();
    let address = crowded.local_addr().unwrap();
    // The kernel accepts some on its behalf, and then lets everybody wait.
    let mut waiting = Vec::new();
    while let Ok(stream) = time::timeout(IMPATIENT, TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    for url in ["smtp", "smtps"] {
        let error = send_key(&sender(&format!("{url}://{address}"), 4 * IMPATIENT)).await.unwrap_err();
        assert_eq!(error, SendError::Unavailable("connecting: timed out".into()), "{url}");
    }
}

#[tokio::test]
async fn a_server_that_thinks_about_a_message_has_all_the_time_that_is_left() {
    let sink = SmtpSink::start().await;
    sink.at(Step::Message, Action::Stall);
    let start = Instant::now();
    let error = send_key(&sender(&sink.url(), 2 * IMPATIENT)).await.unwrap_err();
    assert!(
        matches!(&error, SendError::Interrupted(said) if said.starts_with("message: no answer")),
        "{error}"
    );
    assert!(start.elapsed() >= 2 * IMPATIENT && start.elapsed() < PATIENT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_server_that_does_not_say_goodbye_has_taken_the_mail() {
    for action in [Action::Stall, Action::Drop, Action::Endless, reply("500 what?")] {
        let sink = SmtpSink::start().await;
        sink.at(Step::Quit, action);
        let start = Instant::now();
        let sender = sender(&sink.url(), PATIENT);
        send_key(&sender).await.unwrap();
        sender.close_idle(Duration::ZERO).await;
        sink.steps(Step::Quit, 1).await;
        assert!(start.elapsed() < PATIENT);
        sink.next_mail().await.parse();
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_or_talks_nonsense_is_tried_again() {
    let nonsense: [&[u8]; 7] = [
        b"\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"999 huh\r\n",
        b"25\xff\xfe\r\n",
        b"250-one\r\n550 two\r\n",
        b"0123456789abcdef0123456789abcdef01234567\r\n",
        b"\x16\x03\x01\x00\x05hello\r\n",
    ];
    let actions = nonsense.into_iter().map(|bytes| Action::Raw(bytes.to_vec()));
    for action in actions.chain([Action::Drop, Action::Endless]) {
        for step in STEPS {
            let sink = SmtpSink::start().await;
            sink.at(step, action.clone());
            let start = Instant::now();
            let error = send_key(&sender(&sink.url(), PATIENT)).await.unwrap_err();
            assert!(!matches!(error, SendError::Permanent(_)), "{step:?} {action:?}: {error}");
            assert!(start.elapsed() < PATIENT, "{step:?} {action:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_of_the_wrong_kind_is_no_yes() {
    for (step, answer) in [
        (Step::Mail, "354 go on"),
        (Step::Rcpt, "354 go on"),
        // Whoever sends the message after this says it in commands.
        (Step::Data, "250 ok"),
        (Step::Message, "354 more"),
    ] {
        let sink = SmtpSink::start().await;
        sink.at(step, reply(answer));
        let error = send_key(&sender(&sink.url(), PATIENT)).await.unwrap_err();
        assert!(!matches!(error, SendError::Permanent(_)), "{step:?}: {error}");
        assert!(sink.mails(0).await.is_empty(), "{step:?}");
    }
}

#[tokio::test]
async fn a_server_that_nobody_runs_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for url in [format!("smtp://{address}"), format!("smtps://{address}"), "smtp://nowhere.invalid".into()] {
        let error = send_key(&sender(&url, PATIENT)).await.unwrap_err();
        assert!(matches!(error, SendError::Unavailable(_)), "{error}");
    }
}

#[tokio::test]
async fn credentials_are_given_and_their_refusal_is_not_about_the_mail() {
    let sink = SmtpSink::start().await;
    let url = format!("smtp://user:hunter%32@{}", sink.address());
    let sender = sender(&url, PATIENT);
    send_key(&sender).await.unwrap();
    sink.next_mail().await.parse();
    // The base64 is what the client has said.
    for answer in ["535 5.7.8 AHVzZXIAaHVudGVyMg== is wrong, user hunter2", "454 4.7.0 later", "hunter2"] {
        sink.behave();
        sender.close_idle(Duration::ZERO).await;
        sink.at(Step::Auth, reply(answer));
        let error = send_key(&sender).await.unwrap_err();
        assert!(matches!(error, SendError::Unavailable(_)), "{error}");
        let error = error.to_string();
        assert!(!error.contains("hunter2") && !error.contains("AHVz"), "{error}");
    }
    sink.behave();
    sink.at(Step::Rcpt, reply("550 5.7.1 not for hunter2"));
    assert_eq!(send_key(&sender).await, Err(SendError::Permanent("RCPT: 550 5.7.1 not for ***".into())));
    sink.behave();
    sink.at(Step::Ehlo, reply("250 nothing special"));
    let steps = sink.steps(Step::Auth, 5).await;
    sender.close_idle(Duration::ZERO).await;
    assert!(matches!(send_key(&sender).await, Err(SendError::Unavailable(_))));
    let after = sink.steps(Step::Quit, 1).await;
    assert!(!after[steps.len()..].contains(&Step::Mail), "no mail without the credentials: {after:?}");
}

#[tokio::test]
async fn nothing_is_said_in_plain_text_where_tls_is_required() {
    let starttls = "250-sink.example\r\n250 STARTTLS";
    for (ehlo, answer) in [
        // Not offered, as if somebody in between had taken it away.
        ("250 sink.example", None),
        (starttls, None),
        (starttls, Some(Action::Drop)),
        (starttls, Some(reply("220 go on\r\nthis is no TLS"))),
        // Said before TLS, so nobody knows by whom.
        (starttls, Some(reply("220 go on\r\n250 smuggled"))),
    ] {
        let sink = SmtpSink::start().await;
        sink.at(Step::Ehlo, reply(ehlo));
        if let Some(action) = answer.clone() {
            sink.at(Step::StartTls, action);
        }
        let url = format!("smtp://user:hunter2@{}?tls=required", sink.address());
        let start = Instant::now();
        let error = send_key(&sender(&url, PATIENT)).await.unwrap_err();
        assert!(matches!(error, SendError::Unavailable(_)), "{error}");
        assert!(
            start.elapsed() < PATIENT,
            "not kept waiting for an answer that was taken already: {answer:?}"
        );
        let steps = sink.steps(Step::Ehlo, 1).await;
        assert!(!steps.contains(&Step::Auth) && !steps.contains(&Step::Mail), "{steps:?}");
    }
}

#[tokio::test]
async fn a_connection_serves_one_mail_after_the_other_and_not_without_end() {
    let sink = SmtpSink::start().await;
    let sender = sender(&sink.url(), PATIENT);
    for id in 0..250 {
        send(&sender, id, "alice@example.com", KEY).await.unwrap();
    }
    sender.close_idle(PATIENT).await;
    let steps = sink.steps(Step::Message, 250).await;
    let count = |step| steps.iter().filter(|other| **other == step).count();
    assert_eq!((count(Step::Greeting), count(Step::Quit)), (3, 2), "a hundred each, and one is kept");
    sender.close_idle(Duration::ZERO).await;
    sink.steps(Step::Quit, 3).await;
}

#[tokio::test]
async fn after_a_refusal_the_same_connection_serves_the_next_mail() {
    let sink = SmtpSink::start().await;
    let sender = sender(&sink.url(), PATIENT);
    for (step, answer) in [
        (Step::Mail, "451 4.7.1 not now"),
        (Step::Rcpt, "550 5.1.1 no such user"),
        (Step::Data, "451 4.3.0 not now"),
        (Step::Message, "554 5.6.0 no"),
    ] {
        sink.at_times(1, step, reply(answer));
        send_key(&sender).await.unwrap_err();
        send_key(&sender).await.unwrap();
        sink.next_mail().await.parse();
    }
    assert_eq!(sink.steps(Step::Message, 5).await.iter().filter(|step| **step == Step::Greeting).count(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_has_ended_costs_no_attempt() {
    for (step, action) in [
        (Step::Mail, Action::Drop),
        (Step::Mail, reply("421 4.4.2 idle for too long")),
        (Step::Mail, Action::Raw(b"nonsense\r\n".to_vec())),
    ] {
        let sink = SmtpSink::start().await;
        let sender = sender(&sink.url(), PATIENT);
        send_key(&sender).await.unwrap();
        sink.at_times(1, step, action);
        send_key(&sender).await.unwrap();
        let steps = sink.steps(Step::Message, 2).await;
        assert_eq!(steps.iter().filter(|step| **step == Step::Greeting).count(), 2);
    }
}

#[tokio::test]
async fn a_mail_that_cannot_be_formed_reaches_no_server() {
    let sink = SmtpSink::start().await;
    let outcome = send(&sender(&sink.url(), PATIENT), 1, "alice@example.com\r\nDATA", KEY).await;
    assert!(matches!(outcome, Err(SendError::Permanent(_))), "{outcome:?}");
    assert!(sink.steps(Step::Greeting, 0).await.is_empty());
}

#[tokio::test]
async fn one_bad_recipient_is_no_bad_server() {
    let sink = SmtpSink::start().await;
    let sender = sender(&sink.url(), PATIENT);
    sink.at_recipient("bob@example.com", Step::Rcpt, reply("550 5.1.1 no such user"));
    sink.at_after(1, Step::Greeting, reply("421 4.3.2 enough for today"));
    assert!(matches!(send(&sender, 1, "bob@example.com", KEY).await, Err(SendError::Permanent(_))));
    send(&sender, 2, "alice@example.com", KEY).await.unwrap();
    sender.close_idle(Duration::ZERO).await;
    assert!(matches!(send(&sender, 3, "alice@example.com", KEY).await, Err(SendError::Unavailable(_))));
}

/// Two small writes without `TCP_NODELAY` wait 40 ms for an ACK, in every mail; a busy machine slows down some.
#[tokio::test]
async fn no_mail_waits_for_an_ack() {
    let sink = SmtpSink::start().await;
    let sender = sender(&sink.url(), PATIENT);
    let mut quickest = PATIENT;
    for _ in 0..20 {
        let start = Instant::now();
        send_key(&sender).await.unwrap();
        quickest = quickest.min(start.elapsed());
    }
    assert!(quickest < Duration::from_millis(30), "{quickest:?}");
}

/// What every message has, and no more.
const HEADERS: [&str; 8] =
    ["Message-ID", "Date", "From", "To", "Subject", "Auto-Submitted", "MIME-Version", "Content-Type"];

#[tokio::test]
async fn poisoned_texts_are_one_message_on_the_wire_or_none() {
    let sink = SmtpSink::start().await;
    let tap = Tap::to(&sink).await;
    let sender = sender(&tap.url(), PATIENT);
    let send = async |from: &str, subject: &str, body: &str, html: Option<&str>| {
        let text = MailText {
            from: from.into(),
            subject: subject.into(),
            body: body.into(),
            html: html.map(Into::into),
        };
        let mail = OutgoingMail {
            kind: MailKind::Activation,
            id: MailId(Uuid::from_u128(1)),
            recipient: "alice@example.com",
            create_time: Timestamp::from_timestamp(1_700_000_000, 0).expect("a time"),
            text: &text,
        };
        sender.send(&mail).await
    };
    for end in ["\r\n", "\n", "\r", "\0", "\u{85}"] {
        let evil = format!("s{end}Bcc: eve@example.com{end}{end}.{end}");
        for refused in [
            send("a@example.com", &evil, "b", Some("h")).await,
            send(&format!("\"{evil}\" <a@example.com>"), "s", "b", Some("h")).await,
        ] {
            assert!(matches!(refused, Err(SendError::Permanent(_))), "{end:?}: {refused:?}");
        }
    }
    let bodies = [
        "a\r\n.\r\nMAIL FROM:<eve@example.com>\r\nRCPT TO:<eve@example.com>\r\nDATA\r\nspam\r\n.\r\n",
        "a\n.\nb\r.\rc\r\n.\rd\n.\r\n",
        ".\n..\n...\n.",
        "Bcc: eve@example.com\nContent-Type: text/html\n\n<b>x</b>\n",
        "--vestibule-00000000-0000-0000-0000-000000000001--\n.\nQUIT\n",
        "{{ activation_key }} {% raw %} <script>x</script>\n",
        "ä\n.\n\u{2028}.\u{2028}\u{85}.\u{85} nul \0",
    ];
    let mut sent = 0;
    for body in bodies {
        for html in [None, Some(body)] {
            send("a@example.com", "s", body, html).await.unwrap();
            sender.close_idle(Duration::ZERO).await;
            let received = sink.next_mail().await;
            let mail = received.parse();
            let expected = body.replace("\r\n", "\n").replace('\r', "\n");
            assert_eq!(mail.body.trim_end_matches('\n'), expected.trim_end_matches('\n'));
            assert_eq!(
                mail.html.as_deref().map(|html| html.trim_end_matches('\n')),
                html.map(|_| expected.trim_end_matches('\n'))
            );
            sent += 1;
            let said = tap.said(sent).await;
            assert_eq!(said.len(), sent, "what was refused was not even begun");
            let conversation = Conversation::read(said.last().unwrap());
            assert_eq!(
                conversation.commands[1..],
                ["MAIL FROM:<a@example.com>", "RCPT TO:<alice@example.com>"]
            );
            assert_eq!(conversation.headers()[..HEADERS.len()], HEADERS);
            let rest = &conversation.headers()[HEADERS.len()..];
            assert_eq!(rest, if html.is_some() { &[][..] } else { &["Content-Transfer-Encoding"] });
        }
    }
    assert_eq!(sink.mails(sent).await.len(), sent);
}
