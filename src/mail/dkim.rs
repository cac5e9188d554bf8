//! Signs messages by DKIM (RFC 6376, and RFC 8463 for Ed25519), relaxed/relaxed, with the primitives that TLS uses already.
//!
//! lettre signs, too, by the crate `rsa`, whose timing gives keys away (RUSTSEC-2023-0071). Its signatures also name the
//! time of each attempt, so that no second delivery would be the same message, and a long subject exhausts its stack.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::{
    digest,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use zeroize::Zeroizing;

use super::{MessageSigner, SendError, Unsigned};
use crate::domain::Invalid;

/// What is signed, in this order. Each is named once more than it is there, so that nobody can add another one.
const SIGNED: [&str; 8] =
    ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"];
/// How many characters of a signature stand on a line.
const LINE: usize = 72;

/// Signs with one key, which stands in DNS under `selector._domainkey.domain`.
pub struct DkimSigner {
    selector: String,
    /// The domain that signs; that of each message's From if there is none.
    domain: Option<String>,
    key: SigningKey,
}

enum SigningKey {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

impl DkimSigner {
    /// A signer with the private key of a PEM text: PKCS #8, as `openssl genpkey` makes it for RSA of 2048 to 4096 bits
    /// and for Ed25519, or PKCS #1 for RSA. No error repeats anything of it.
    pub fn new(selector: &str, domain: Option<&str>, pem: &str) -> Result<Self, Invalid> {
        let key = SigningKey::parse(pem)?;
        Ok(Self { selector: selector.to_owned(), domain: domain.map(str::to_lowercase), key })
    }
}

impl MessageSigner for DkimSigner {
    fn header(&self, message: &Unsigned<'_>) -> Result<String, SendError> {
        let unsignable = || SendError::Permanent("the mail can't be signed".to_owned());
        let (headers, body) = message.text.split_once("\r\n\r\n").ok_or_else(unsignable)?;
        let body = digest::digest(&digest::SHA256, relaxed_body(body).as_bytes());
        let from_domain = message.from_domain.to_lowercase();
        let names = SIGNED.iter().flat_map(|name| [*name, *name]).collect::<Vec<_>>();
        let names: Vec<_> = names.chunks(4).map(|four| four.join(":")).collect();
        let header = format!(
            "DKIM-Signature: v=1; a={}; c=relaxed/relaxed;\r\n d={}; s={};\r\n t={};\r\n h={};\r\n bh={};\r\n b=",
            self.key.algorithm(),
            self.domain.as_deref().unwrap_or(&from_domain),
            self.selector,
            // The Date and not now: the second delivery of a mail is the same message.
            message.date.timestamp(),
            names.join(":\r\n "),
            BASE64_STANDARD.encode(body),
        );
        let fields = fields(headers);
        let mut signed = String::new();
        for name in SIGNED {
            // Of several the last is meant; of none, nothing is signed.
            if let Some(field) = fields.iter().rfind(|field| is_called(field, name)) {
                signed.push_str(&relaxed_field(field));
                signed.push_str("\r\n");
            }
        }
        signed.push_str(&relaxed_field(&header));
        let signature = self.key.sign(signed.as_bytes()).ok_or_else(unsignable)?;
        let signature = BASE64_STANDARD.encode(signature);
        let lines: Vec<_> = (0..signature.len())
            .step_by(LINE)
            .map(|at| signature.get(at..signature.len().min(at + LINE)).unwrap_or_default())
            .collect();
        Ok(format!("{header}{}\r\n", lines.join("\r\n ")))
    }
}

impl SigningKey {
    fn parse(pem: &str) -> Result<Self, Invalid> {
        let (label, der) = decode_pem(pem).ok_or_else(|| {
            Invalid::new("must hold a private key in PEM, as openssl genpkey makes it, without a passphrase")
        })?;
        if label == "PRIVATE KEY"
            && let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
        {
            return Ok(Self::Ed25519(key));
        }
        let rsa = match label {
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der),
            _ => RsaKeyPair::from_der(&der),
        };
        // Why is ring's to say, and names nothing of the key.
        rsa.map(|key| Self::Rsa(Box::new(key))).map_err(|error| {
            Invalid::new(format!("must hold an RSA key of 2048 to 4096 bits or an Ed25519 key: {error}"))
        })
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "rsa-sha256",
            Self::Ed25519(_) => "ed25519-sha256",
        }
    }

    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                // Chance blinds the work; the signature is the same whatever it is.
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).ok()?;
                Some(signature)
            }
            // RFC 8463: what is signed is the hash.
            Self::Ed25519(key) => {
                Some(key.sign(digest::digest(&digest::SHA256, text).as_ref()).as_ref().to_vec())
            }
        }
    }
}

impl fmt::Debug for DkimSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DkimSigner").field("selector", &self.selector).finish_non_exhaustive()
    }
}

/// The first private key of a PEM text, and what it is called.
fn decode_pem(pem: &str) -> Option<(&'static str, Zeroizing<Vec<u8>>)> {
    ["PRIVATE KEY", "RSA PRIVATE KEY"].into_iter().find_map(|label| {
        let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
        let (base64, _) = rest.split_once(&format!("-----END {label}-----"))?;
        let base64: Zeroizing<String> =
            Zeroizing::new(base64.chars().filter(|c| !c.is_ascii_whitespace()).collect());
        BASE64_STANDARD.decode(base64.as_bytes()).ok().map(|der| (label, Zeroizing::new(der)))
    })
}

/// The header fields of a message, each with the lines that it goes on in.
fn fields(headers: &str) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    for line in headers.split("\r\n") {
        match fields.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
            Some(field) => {
                field.push_str("\r\n");
                field.push_str(line);
            }
            None => fields.push(line.to_owned()),
        }
    }
    fields
}

fn is_called(field: &str, name: &str) -> bool {
    field.split_once(':').is_some_and(|(called, _)| called.trim_end().eq_ignore_ascii_case(name))
}

/// A header field on one line, its name in lower case, its blanks each as one (RFC 6376, 3.4.2), without the line's end.
fn relaxed_field(field: &str) -> String {
    let (name, value) = field.split_once(':').unwrap_or((field, ""));
    let value = value.replace("\r\n", "");
    let words: Vec<_> = value.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    format!("{}:{}", name.trim_end().to_ascii_lowercase(), words.join(" "))
}

/// A body without blanks at the ends of lines and without empty lines at its end, its other blanks each as one
/// (RFC 6376, 3.4.4).
fn relaxed_body(body: &str) -> String {
    let mut relaxed = String::with_capacity(body.len());
    for line in body.split("\r\n") {
        let mut blank = false;
        for c in line.trim_end_matches([' ', '\t']).chars() {
            if !matches!(c, ' ' | '\t') {
                relaxed.push(c);
            } else if !blank {
                relaxed.push(' ');
            }
            blank = matches!(c, ' ' | '\t');
        }
        relaxed.push_str("\r\n");
    }
    let text = relaxed.trim_end_matches("\r\n").len();
    relaxed.truncate(text);
    if !relaxed.is_empty() {
        relaxed.push_str("\r\n");
    }
    relaxed
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::{TcpListener, TcpStream},
        path::Path,
        process::{Command, Stdio},
        sync::{Arc, Once},
        thread,
        time::Duration,
    };

    use uuid::Uuid;

    use super::*;
    use crate::{
        domain::{
            Timestamp,
            mail::{MailId, MailKind, MailText},
        },
        mail::{MailSender as _, OutgoingMail, smtp::SmtpSender},
    };

    /// Installed once for all tests.
    static VERIFIER: Once = Once::new();
    /// Of no use to anybody: it stands in no DNS.
    const RSA: &str = include_str!("../../tests/it/data/dkim_test_key.pem");
    /// What stands before an RSA key of 2048 bits where its kind is said.
    const SPKI: [u8; 24] = [
        0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
        0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00,
    ];

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der))
    }

    fn ed25519() -> String {
        pem("PRIVATE KEY", Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref())
    }

    /// The TXT record of a key.
    fn record(pem: &str) -> String {
        use ring::signature::KeyPair as _;
        match SigningKey::parse(pem).unwrap() {
            SigningKey::Rsa(key) => {
                let key = [&SPKI, key.public_key().as_ref()].concat();
                format!("v=DKIM1; k=rsa; p={}", BASE64_STANDARD.encode(key))
            }
            SigningKey::Ed25519(key) => {
                format!("v=DKIM1; k=ed25519; p={}", BASE64_STANDARD.encode(key.public_key()))
            }
        }
    }

    /// What an independent verifier says of a message.
    fn verify(name: &str, record: &str, message: &str) -> String {
        let house = Path::new(env!("CARGO_MANIFEST_DIR"));
        VERIFIER.call_once(|| {
            let installed = Command::new(house.join("scripts/tools")).arg("dkimpy").output().unwrap();
            assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        });
        let mut child = Command::new(house.join(".tools/python/bin/python"))
            .arg(house.join("tests/it/data/verify_dkim.py"))
            .args([name, record])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Takes one mail over SMTP, and gives its bytes without the dots that SMTP adds.
    fn take_mail(listener: &TcpListener) -> String {
        let (stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let say = |mut stream: &TcpStream, said: &str| stream.write_all(said.as_bytes()).unwrap();
        say(&stream, "220 sink.example\r\n");
        let (mut mail, mut in_data) = (String::new(), false);
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            if in_data && line == ".\r\n" {
                say(&stream, "250 taken\r\n");
                return mail;
            } else if in_data {
                mail.push_str(line.strip_prefix('.').unwrap_or(&line));
            } else {
                in_data = line == "DATA\r\n";
                say(&stream, if in_data { "354 go on\r\n" } else { "250 ok\r\n" });
            }
        }
    }

    /// A mail as a mail server got it.
    async fn sent(signer: DkimSigner, from: &str, subject: &str, body: &str, html: Option<&str>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let sink = thread::spawn(move || take_mail(&listener));
        let text = MailText {
            from: from.into(),
            subject: subject.into(),
            body: body.into(),
            html: html.map(Into::into),
        };
        let mail = OutgoingMail {
            id: MailId(Uuid::from_u128(7)),
            kind: MailKind::Activation,
            recipient: "alice@example.com",
            create_time: Timestamp::from_timestamp(1_700_000_000, 0).unwrap(),
            text: &text,
        };
        let sender = SmtpSender::new(&url.as_str().into(), Duration::from_mins(1), None).unwrap();
        sender.signed_by(Some(Arc::new(signer))).send(&mail).await.unwrap();
        sink.join().unwrap()
    }

    #[tokio::test]
    async fn a_mail_that_went_over_smtp_verifies_and_no_altered_copy_does() {
        let html = "<p>Gr\u{fc}\u{df}e</p>\n.\n";
        for key in [RSA.to_owned(), ed25519()] {
            let record = record(&key);
            for (from, subject, body, html) in [
                ("Shop <a@shop.example>", "Activate your account", "Hello,\n\nthe key\n", None),
                ("S\u{f8}ren <a@Shop.example>", "Gr\u{f6}\u{df}e  und\tmehr", "no line's end", None),
                ("a@shop.example", "s", "blanks  at \t the  ends \t \n\n.\n..\n \n\n\n", None),
                ("a@shop.example", "", "", None),
                ("a@shop.example", &"word  ".repeat(800), &"x".repeat(5000), None),
                ("\"Shop, Inc.\" <a@shop.example>", "s", "the key\n", Some(html)),
            ] {
                let signer = DkimSigner::new("mail2027", None, &key).unwrap();
                let mail = sent(signer, from, subject, body, html).await;
                let name = "mail2027._domainkey.shop.example.";
                assert_eq!(verify(name, &record, &mail), "pass", "{mail}");
                // A relay may fold and space as it likes, and nothing else.
                assert_eq!(verify(name, &record, &mail.replace("To: alice", "To:  alice")), "pass");
            }
            let signer = DkimSigner::new("m", Some("Shop.Example"), &key).unwrap();
            let mail = sent(signer, "a@mail.shop.example", "subject", "the key\n", None).await;
            let name = "m._domainkey.shop.example.";
            assert_eq!(verify(name, &record, &mail), "pass", "{mail}");
            for (was, is) in [
                ("the key", "the kez"),
                ("the key\r\n", "the key\r\nmore\r\n"),
                ("Subject: subject", "Subject: another"),
                ("To: alice", "To: malice"),
                ("auto-generated", "no"),
                ("From: a@", "From: b@"),
                ("From: a@", "From: eve@example.com\r\nFrom: a@"),
                ("Subject: s", "Subject: eve\r\nSubject: s"),
            ] {
                let altered = mail.replacen(was, is, 1);
                assert_ne!(altered, mail);
                assert_eq!(verify(name, &record, &altered), "fail", "{is}");
            }
            assert_eq!(verify("n._domainkey.shop.example.", &record, &mail), "fail", "no such name in DNS");
        }
        assert_eq!(verify("x.", &record(RSA), "From: a@shop.example\r\n\r\nunsigned\r\n"), "fail");
    }

    #[tokio::test]
    async fn a_second_delivery_has_the_same_signature_in_short_lines() {
        for key in [RSA.to_owned(), ed25519()] {
            let signer = || DkimSigner::new("mail", None, &key).unwrap();
            let first = sent(signer(), "a@shop.example", "s", "b", None).await;
            assert_eq!(first, sent(signer(), "a@shop.example", "s", "b", None).await);
            let (signature, _) = first.split_once("Message-ID").unwrap();
            assert!(signature.starts_with("DKIM-Signature: v=1; a="), "{signature}");
            assert!(signature.split("\r\n").all(|line| line.len() <= 78), "{signature}");
        }
    }

    #[test]
    fn a_key_is_read_in_the_forms_that_openssl_writes() {
        let (_, pkcs8) = decode_pem(RSA).unwrap();
        // In a key of 2048 bits PKCS #1 begins there.
        let pkcs1 = pem("RSA PRIVATE KEY", &pkcs8[26..]);
        assert_eq!(record(&pkcs1), record(RSA));
        let with_words = format!("Bag attributes\r\n{}", RSA.replace('\n', "\r\n"));
        assert_eq!(record(&with_words), record(RSA));
        for wrong in [
            String::new(),
            "hunter2".into(),
            pem("PUBLIC KEY", &pkcs8),
            pem("ENCRYPTED PRIVATE KEY", &pkcs8),
            pem("PRIVATE KEY", &pkcs8[..100]),
            pem("PRIVATE KEY", b"hunter2"),
            pem("RSA PRIVATE KEY", &pkcs8),
            RSA.replace("-----END", "-----"),
        ] {
            let Err(Invalid(said)) = DkimSigner::new("s", None, &wrong) else { panic!("{wrong}") };
            assert!(said.starts_with("must hold ") && !said.contains("hunter2"), "{said}");
        }
        assert!(!format!("{:?}", DkimSigner::new("s", None, RSA).unwrap()).contains("MII"));
    }
}
