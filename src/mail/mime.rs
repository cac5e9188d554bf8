//! Makes the message that goes over the wire or into a file out of a mail, or refuses it for good.
//! How a message is handed on is left to the senders.

use std::time::SystemTime;

use lettre::{
    Address, Message,
    message::{
        Body, Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0},
    },
};

use super::{MessageSigner, OutgoingMail, SendError, Unsigned};
use crate::domain::mail::MailId;

/// RFC 5322: a line has at most this many octets before its CRLF.
const MAX_LINE_BYTES: usize = 998;
/// The years that a Date can name, in seconds since 1970: 1970 to 9999.
const DATES: std::ops::Range<i64> = 0..253_402_300_800;

/// A message as it goes over the wire. It has no `Debug`: a key stands in it.
#[derive(Clone)]
pub(super) struct WireMessage {
    /// The envelope's sender, the address of the From.
    pub sender: Address,
    /// The envelope's one recipient.
    pub recipient: Address,
    /// Headers and body: ASCII, in lines of at most 998 octets, every one ended by CRLF.
    pub text: String,
}

/// Forms the message of a mail; what can't be formed now can't be formed later either.
pub(super) fn form(mail: &OutgoingMail<'_>) -> Result<WireMessage, SendError> {
    let from: Mailbox = parse(&mail.text.from).ok_or_else(|| refused("its From is not a mailbox"))?;
    let recipient: Address =
        parse(mail.recipient).ok_or_else(|| refused("its recipient is not an address"))?;
    if !from.email.to_string().is_ascii() {
        return Err(refused("the address of its From is not ASCII"));
    }
    if mail.text.subject.contains(|c: char| c.is_control() && c != '\t') {
        return Err(refused("its subject has a line end or another control character"));
    }
    if !DATES.contains(&mail.create_time.timestamp()) {
        return Err(refused("its date is out of range"));
    }
    let sender = from.email.clone();
    let builder = Message::builder()
        .message_id(Some(format!("<{}@{}>", mail.id, sender.domain())))
        .date(SystemTime::from(mail.create_time))
        .from(from)
        .to(Mailbox::new(None, recipient.clone()))
        .subject(mail.text.subject.as_str())
        // RFC 3834: keeps vacation notices and mailing lists from answering.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .header(MIME_VERSION_1_0);
    let text = encode(mail.text.body())?;
    let message = match mail.text.html() {
        None => builder.header(ContentType::TEXT_PLAIN).body(text),
        Some(html) => builder.multipart(alternative(mail.id, text, encode(html)?)),
    };
    let message = message.map_err(|_| refused("its headers don't fit together"))?;
    let mut text = String::from_utf8(message.formatted()).map_err(|_| refused("its message is not ASCII"))?;
    if !text.ends_with("\r\n") {
        text.push_str("\r\n");
    }
    check(&text)?;
    Ok(WireMessage { sender, recipient, text })
}

/// Forms the message of a mail, signed if there is somebody who signs.
pub(super) fn form_signed(
    mail: &OutgoingMail<'_>,
    signer: Option<&dyn MessageSigner>,
) -> Result<WireMessage, SendError> {
    let message = form(mail)?;
    let Some(signer) = signer else { return Ok(message) };
    let unsigned =
        Unsigned { text: &message.text, from_domain: message.sender.domain(), date: mail.create_time };
    let text = signer.header(&unsigned)? + &message.text;
    check(&text)?;
    Ok(WireMessage { text, ..message })
}

/// A text's lines, whatever ends them: CRLF, LF or CR.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|part| part.strip_suffix('\r').unwrap_or(part).split('\r'))
}

fn refused(why: &str) -> SendError {
    SendError::Permanent(format!("the mail can't be formed: {why}"))
}

/// Parses what ends up in a header and in a command of SMTP, where no control character may stand.
fn parse<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.contains(char::is_control) {
        return None;
    }
    text.parse().ok()
}

/// Ends every line of the body with CRLF, since whatever counts or stuffs lines later counts only those,
/// and takes the plainest encoding that leaves it unchanged.
fn encode(body: &str) -> Result<Body, SendError> {
    let body = lines(body).collect::<Vec<_>>().join("\r\n");
    if body.contains(|c: char| c.is_ascii_control() && !matches!(c, '\r' | '\n' | '\t')) {
        return Body::new_with_encoding(body, ContentTransferEncoding::QuotedPrintable)
            .map_err(|_| refused("its body can't be encoded"));
    }
    Ok(Body::new(body))
}

/// Text and HTML of one mail, the better one last (RFC 2046, 5.1.4), the same bytes however often it is sent.
fn alternative(id: MailId, text: Body, html: Body) -> MultiPart {
    let mut boundary = format!("vestibule-{id}");
    // Nobody who writes a text knows the id; and if somebody did, the line would still not end a part.
    while [&text, &html].into_iter().any(|body| String::from_utf8_lossy(body.as_ref()).contains(&boundary)) {
        boundary.push('-');
        boundary.push('x');
    }
    MultiPart::alternative()
        .boundary(boundary)
        .singlepart(SinglePart::plain(text))
        .singlepart(SinglePart::html(html))
}

/// The last look before the wire: a bare CR or LF, or a line too long, is how one message becomes two.
fn check(text: &str) -> Result<(), SendError> {
    let harmless = |line: &str| {
        line.len() <= MAX_LINE_BYTES && line.bytes().all(|b| b.is_ascii() && !matches!(b, b'\r' | b'\n' | 0))
    };
    if text.split("\r\n").all(harmless) {
        Ok(())
    } else {
        Err(refused("a line of its message is too long or has a character that can't be sent"))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        Timestamp,
        mail::{MailId, MailKind, MailText},
    };

    fn text(from: &str, subject: &str, body: &str) -> MailText {
        MailText { from: from.into(), subject: subject.into(), body: SecretString::from(body), html: None }
    }

    fn with_html(body: &str, html: &str) -> MailText {
        MailText { html: Some(html.into()), ..text("a@example.com", "s", body) }
    }

    fn form_to(recipient: &str, text: &MailText) -> Result<WireMessage, SendError> {
        form(&OutgoingMail {
            id: MailId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)),
            kind: MailKind::Activation,
            recipient,
            create_time: Timestamp::from_timestamp(1_700_000_000, 123_456_000).unwrap(),
            text,
        })
    }

    fn form_text(text: &MailText) -> Result<WireMessage, SendError> {
        form_to("alice@example.com", text)
    }

    fn parsed_body(message: &WireMessage) -> String {
        mailparse::parse_mail(message.text.as_bytes()).unwrap().get_body().unwrap()
    }

    #[test]
    fn a_message_has_every_header_and_a_plain_body() {
        let message = form_text(&text(
            "The Shop <shop@shop.example>",
            "Activate your account",
            "Hello alice,\n\nthe key:\n0123456789abcdef0123456789abcdef01234567\n",
        ))
        .unwrap();
        assert_eq!(message.sender.to_string(), "shop@shop.example");
        assert_eq!(message.recipient.to_string(), "alice@example.com");
        assert_eq!(message.text.matches('\n').count(), message.text.matches("\r\n").count());
        insta::assert_snapshot!(message.text.replace("\r\n", "\n"), @r#"
        Message-ID: <01900000-0000-7000-8000-000000000001@shop.example>
        Date: Tue, 14 Nov 2023 22:13:20 +0000
        From: "The Shop" <shop@shop.example>
        To: alice@example.com
        Subject: Activate your account
        Auto-Submitted: auto-generated
        MIME-Version: 1.0
        Content-Type: text/plain; charset=utf-8
        Content-Transfer-Encoding: 7bit

        Hello alice,

        the key:
        0123456789abcdef0123456789abcdef01234567
        "#);
    }

    #[test]
    fn text_and_html_are_two_parts_of_one_message() {
        let mail = with_html("Hello alice,\n.\nthe key\n", "<p>Hällo <bdi>alice</bdi></p>\n.\n");
        let message = form_text(&mail).unwrap();
        assert_eq!(message.text.matches('\n').count(), message.text.matches("\r\n").count());
        insta::assert_snapshot!(message.text.replace("\r\n", "\n"), @r#"
        Message-ID: <01900000-0000-7000-8000-000000000001@example.com>
        Date: Tue, 14 Nov 2023 22:13:20 +0000
        From: a@example.com
        To: alice@example.com
        Subject: s
        Auto-Submitted: auto-generated
        MIME-Version: 1.0
        Content-Type: multipart/alternative;
         boundary="vestibule-01900000-0000-7000-8000-000000000001"

        --vestibule-01900000-0000-7000-8000-000000000001
        Content-Type: text/plain; charset=utf-8
        Content-Transfer-Encoding: 7bit

        Hello alice,
        .
        the key

        --vestibule-01900000-0000-7000-8000-000000000001
        Content-Type: text/html; charset=utf-8
        Content-Transfer-Encoding: quoted-printable

        <p>H=C3=A4llo <bdi>alice</bdi></p>
        .

        --vestibule-01900000-0000-7000-8000-000000000001--
        "#);
        assert_eq!(form_text(&mail).unwrap().text, message.text, "a second delivery is the same message");
    }

    #[test]
    fn no_line_of_a_part_ends_it() {
        let boundary = "--vestibule-01900000-0000-7000-8000-000000000001";
        let evil =
            format!("{boundary}\nContent-Type: text/html\n\n<b>evil</b>\n{boundary}-x\n{boundary}--\n");
        let message = form_text(&with_html(&evil, &evil)).unwrap();
        let parsed = mailparse::parse_mail(message.text.as_bytes()).unwrap();
        let parts: Vec<_> =
            parsed.subparts.iter().map(|part| part.get_body().unwrap().replace("\r\n", "\n")).collect();
        assert_eq!(parts.len(), 2);
        for part in parts {
            assert_eq!(part.trim_end(), evil.trim_end());
        }
    }

    #[test]
    fn what_is_not_ascii_is_encoded() {
        let message = form_text(&text(
            "Bücher <shop@shop.example>",
            "Größe für Ἀλίκη aktivieren",
            "Grüße aus einer Zeile, die etwas länger ist als das, was quoted-printable auf eine Zeile schreibt",
        ))
        .unwrap();
        insta::assert_snapshot!(message.text.replace("\r\n", "\n"), @"
        Message-ID: <01900000-0000-7000-8000-000000000001@shop.example>
        Date: Tue, 14 Nov 2023 22:13:20 +0000
        From: =?utf-8?b?QsO8Y2hlcg==?= <shop@shop.example>
        To: alice@example.com
        Subject: =?utf-8?b?R3LDtsOfZSBmw7xyIOG8iM67zq/Ous63?= aktivieren
        Auto-Submitted: auto-generated
        MIME-Version: 1.0
        Content-Type: text/plain; charset=utf-8
        Content-Transfer-Encoding: quoted-printable

        Gr=C3=BC=C3=9Fe aus einer Zeile, die etwas l=C3=A4nger ist als das, was quo=
        ted-printable auf eine Zeile schreibt
        ");
    }

    #[test]
    fn a_body_comes_back_line_by_line() {
        let long = "x".repeat(5000);
        for body in [
            ".\r\n..\n.hidden\r\n",
            "one\rtwo\nthree\r\nfour\n\rfive",
            "\n\n\n",
            "",
            "a\r\n.\r\nMAIL FROM:<eve@example.com>\r\n",
            "a\n.\nb\r.\rc",
            "From eve\nBcc: eve@example.com\n\nFrom: x",
            "{{ activation_key }} {% raw %}",
            "trailing blanks   \n\ttab\t\n",
            "nul \0 escape \u{1b}[2J bell \u{7} del \u{7f} tab \t",
            "=3D= =\n=?utf-8?q?x?=",
            "Привет, мир! Привет, мир! Привет, мир!\n.\n",
            "next \u{85} line \u{2028} separators",
            &long,
            &format!("ä{long}\n.{long}\n"),
        ] {
            let message = form_text(&text("a@example.com", "s", body)).unwrap();
            let expected: Vec<_> = lines(body).collect();
            let parsed = parsed_body(&message);
            let mut got: Vec<_> = parsed.split("\r\n").collect();
            if got.len() == expected.len() + 1 {
                assert_eq!(got.pop(), Some(""), "the last line of a message has an end");
            }
            assert_eq!(got, expected);
            for line in message.text.split("\r\n") {
                assert!(line.len() <= MAX_LINE_BYTES && !line.contains(['\r', '\n', '\0']), "{body:?}");
            }
        }
    }

    #[test]
    fn nothing_becomes_a_header_of_its_own() {
        let ends = ["\r\n", "\n", "\r", "\r\n ", "\0", "\u{85}", "\u{b}", "\u{7f}"];
        for end in ends {
            let evil = format!("x{end}Bcc: eve@example.com");
            for refused in [
                form_text(&text("a@example.com", &evil, "key")),
                form_text(&text(&format!("\"{evil}\" <a@example.com>"), "s", "key")),
                form_text(&text(&format!("a@example.com{evil}"), "s", "key")),
                form_to(&format!("a@example.com{evil}"), &text("a@example.com", "s", "key")),
                form_to(&format!("\"{evil}\"@example.com"), &text("a@example.com", "s", "key")),
            ] {
                let Err(SendError::Permanent(error)) = refused else { panic!("{end:?}") };
                assert!(!error.contains("eve") && !error.contains("key"), "{error}");
            }
        }
        let message = form_text(&text("a@example.com", "s", "x\r\nBcc: eve@example.com")).unwrap();
        let parsed = mailparse::parse_mail(message.text.as_bytes()).unwrap();
        assert!(parsed.headers.iter().all(|header| header.get_key() != "Bcc"));
    }

    #[test]
    fn several_or_no_recipients_are_refused() {
        for recipient in [
            "",
            "alice",
            "@example.com",
            "alice@",
            "alice@example.com, eve@example.com",
            "alice@example.com eve@example.com",
            "<alice@example.com>",
            "alice@example.com> SIZE=1",
            "alice@example.com>,<eve@example.com",
        ] {
            let outcome = form_to(recipient, &text("a@example.com", "s", "b"));
            assert!(matches!(outcome, Err(SendError::Permanent(_))), "{recipient}");
        }
        for from in ["", "nobody", "a@example.com, b@example.com", "a@bücher.example"] {
            let outcome = form_text(&text(from, "s", "b"));
            assert!(matches!(outcome, Err(SendError::Permanent(_))), "{from}");
        }
    }

    #[test]
    fn a_subject_longer_than_any_line_is_refused_or_folded() {
        assert!(form_text(&text("a@example.com", &"word ".repeat(1000), "b")).is_ok());
        assert!(form_text(&text("a@example.com", &"ä".repeat(1000), "b")).is_ok());
        let unbroken = form_text(&text("a@example.com", &"x".repeat(1000), "b"));
        assert!(matches!(unbroken, Err(SendError::Permanent(_))));
    }

    #[test]
    fn a_date_that_no_header_can_name_is_refused() {
        for seconds in [-1, 253_402_300_800] {
            let outcome = form(&OutgoingMail {
                id: MailId(Uuid::nil()),
                kind: MailKind::Activation,
                recipient: "alice@example.com",
                create_time: Timestamp::from_timestamp(seconds, 0).unwrap(),
                text: &text("a@example.com", "s", "b"),
            });
            assert!(matches!(outcome, Err(SendError::Permanent(_))), "{seconds}");
        }
    }
}
