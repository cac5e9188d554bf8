//! The form of mails as they went over the wire, byte by byte, and as an independent reader understands them.

use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;
use vestibule::{
    domain::{
        Timestamp,
        email_address::EmailAddress,
        mail::{MailId, MailKind, MailText},
    },
    mail::{MailSender as _, OutgoingMail, parse_mailbox},
};

use super::{KEY, PATIENT, sender};
use crate::support::{
    python,
    smtp::{ReceivedMail, SmtpSink},
};

/// How long a line of an encoded body may be, its end left out (RFC 2045).
const ENCODED_LINE: usize = 76;
/// How long any line may be, its end left out (RFC 5322).
const LINE: usize = 998;
/// When the mails are from.
const DATE: i64 = 1_700_000_000;
/// What every mail has, in this order.
const HEADERS: [&str; 9] = [
    "Message-ID",
    "Date",
    "From",
    "To",
    "Subject",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// A mail as its templates make it, and what a reader should see of its From.
struct Case {
    from: &'static str,
    from_name: &'static str,
    recipient: &'static str,
    subject: String,
    body: String,
    html: Option<String>,
}

fn case(from: &'static str, from_name: &'static str, body: impl Into<String>) -> Case {
    let subject = "Activate your account".to_owned();
    Case { from, from_name, recipient: "alice@example.com", subject, body: body.into(), html: None }
}

fn cases() -> Vec<Case> {
    let key = format!("The key:\n{KEY}\n");
    let html = format!("<p>Gr\u{fc}\u{df}e, <b>{KEY}</b></p>\n<pre>{}\n.\n</pre>\n", "x y ".repeat(400));
    vec![
        case("shop@shop.example", "", &key),
        case("Shop <shop@shop.example>", "Shop", "no line's end"),
        case("\"Shop, Inc. <Ops>; \\\"24/7\\\"\" <shop@shop.example>", "Shop, Inc. <Ops>; \"24/7\"", &key),
        case("S\u{f8}ren B\u{fc}cher <shop@shop.example>", "S\u{f8}ren B\u{fc}cher", &key),
        case("\u{1f4da} \u{4e66}\u{5e97} <shop@shop.example>", "\u{1f4da} \u{4e66}\u{5e97}", &key),
        Case { subject: "Gr\u{f6}\u{df}e ".repeat(40), ..case("shop@shop.example", "", &key) },
        Case { subject: "word ".repeat(60), ..case("shop@shop.example", "", &key) },
        Case { recipient: "bob@B\u{fc}cher.example", ..case("shop@shop.example", "", &key) },
        case("shop@shop.example", "", format!("{}\n{}\n", "a".repeat(LINE), "b ".repeat(400))),
        case("shop@shop.example", "", format!("{}\n", "a".repeat(LINE + 1))),
        case("shop@shop.example", "", "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442} ".repeat(200)),
        case("shop@shop.example", "", "= =3D == \u{fc} trailing \t \n.\n..\n\n\n.hidden\nFrom x\n--\n"),
        case("shop@shop.example", "", ""),
        Case { html: Some(html), ..case("shop@shop.example", "", format!("{key}\u{fc}\n")) },
        Case { html: Some("<p>plain</p>".into()), ..case("shop@shop.example", "", &key) },
    ]
}

/// The bytes that a mail server got.
async fn received(sink: &SmtpSink, case: &Case) -> ReceivedMail {
    let recipient = EmailAddress::parse(case.recipient).unwrap();
    let text = MailText {
        from: parse_mailbox(case.from).unwrap(),
        subject: case.subject.clone(),
        body: SecretString::from(case.body.as_str()),
        html: case.html.as_deref().map(SecretString::from),
    };
    let mail = OutgoingMail {
        id: MailId(Uuid::from_u128(7)),
        kind: MailKind::Activation,
        recipient: recipient.as_str(),
        create_time: Timestamp::from_timestamp(DATE, 999_999_000).unwrap(),
        text: &text,
    };
    sender(&sink.url(), PATIENT).send(&mail).await.unwrap();
    sink.next_mail().await
}

#[tokio::test]
async fn every_line_on_the_wire_ends_in_crlf_and_is_short_enough_in_seven_bits() {
    let sink = SmtpSink::start().await;
    for case in cases() {
        let data = received(&sink, &case).await.data;
        let text = String::from_utf8(data).unwrap();
        assert!(text.is_ascii() && text.ends_with("\r\n"), "{text}");
        let (mut in_header, mut is_encoded) = (true, false);
        for line in text.strip_suffix("\r\n").unwrap().split("\r\n") {
            assert!(!line.contains(['\r', '\n', '\0']) && line.len() <= LINE, "{line:?}");
            // A part begins with a header of its own.
            in_header |= line.starts_with("--vestibule-");
            if in_header {
                is_encoded &= !line.starts_with("Content-Type:");
                is_encoded |= line == "Content-Transfer-Encoding: quoted-printable"
                    || line == "Content-Transfer-Encoding: base64";
                in_header = !line.is_empty();
            } else {
                assert!(!is_encoded || line.len() <= ENCODED_LINE, "{line:?}");
            }
        }
    }
}

#[tokio::test]
async fn another_reader_understands_every_mail_as_it_was_meant() {
    let sink = SmtpSink::start().await;
    for case in cases() {
        let mail = received(&sink, &case).await;
        let read: Value = serde_json::from_str(&python::run("read_mail.py", &mail.data)).unwrap();
        let recipient = EmailAddress::parse(case.recipient).unwrap();
        // In the envelope as in the headers: lower-case A-labels.
        assert_eq!(mail.recipients, [recipient.as_str()]);
        assert_eq!(mail.from, "shop@shop.example");
        let ends = |text: &str| text.strip_suffix('\n').unwrap_or(text).to_owned();
        let texts = read["texts"].as_array().unwrap().iter().map(|text| ends(text.as_str().unwrap()));
        let meant: Vec<_> = std::iter::once(&case.body).chain(&case.html).map(|text| ends(text)).collect();
        assert_eq!(texts.collect::<Vec<_>>(), meant);
        let several = case.html.is_some();
        let headers = if several { &HEADERS[..8] } else { &HEADERS[..] };
        let types = if several { json!(["text/plain", "text/html"]) } else { json!(["text/plain"]) };
        for (name, value) in [
            ("defects", json!([])),
            ("headers", json!(headers)),
            ("from_name", json!(case.from_name)),
            ("from", json!("shop@shop.example")),
            ("to", json!(recipient.as_str())),
            ("subject", json!(case.subject)),
            ("date", json!(DATE)),
            ("message_id", json!(format!("<{}@shop.example>", Uuid::from_u128(7)))),
            ("auto_submitted", json!("auto-generated")),
            ("mime_version", json!("1.0")),
            ("types", types),
        ] {
            assert_eq!(read[name], value, "{name} of {:?}", case.subject);
        }
        assert!(read["encodings"].as_array().unwrap().iter().all(|encoding| encoding != "8bit"));
    }
}
