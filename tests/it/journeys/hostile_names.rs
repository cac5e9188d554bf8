//! Names and templates that would be more than text, and arrive as text: seen in the raw bytes on the wire.

use std::fs;

use tonic::Code;
use vestibule::grpc::proto::CreateInactiveUserRequest;

use super::key_in;
use crate::{
    contract::store::Store,
    support::{
        server::{TestServer, refused},
        smtp::{ParsedMail, SmtpSink},
        tap::{Conversation, Tap},
    },
};

/// A name of a site that is everything but a name.
const SITE: &str = r#"{{ activation_key }} {% raw %} <script>alert(1)</script> " Bcc: eve@example.com ."#;
/// The same in HTML.
const SITE_IN_HTML: &str =
    "{{ activation_key }} {% raw %} &lt;script&gt;alert(1)&lt;&#x2f;script&gt; &quot; Bcc: eve@example.com .";

/// What can be a username, and in HTML.
const USERNAMES: [(&str, &str); 8] = [
    ("{{activation_key}}", "{{activation_key}}"),
    ("{%raw%}{{7*7}}", "{%raw%}{{7*7}}"),
    ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;&#x2f;script&gt;"),
    ("\"><img/src=x>&amp;", "&quot;&gt;&lt;img&#x2f;src=x&gt;&amp;amp;"),
    ("Bcc:eve@example.com", "Bcc:eve@example.com"),
    (".", "."),
    ("..", ".."),
    // Written from right to left.
    ("\u{5e9}\u{5dc}\u{5d5}\u{5dd}", "\u{5e9}\u{5dc}\u{5d5}\u{5dd}"),
];

/// What every message with two parts has, and no more.
const HEADERS: [&str; 8] =
    ["Message-ID", "Date", "From", "To", "Subject", "Auto-Submitted", "MIME-Version", "Content-Type"];

/// A body in which lines stand that end a message, or begin another.
const BODY: &str =
    ".\n..\n{{ user.username }}\n.\r\nMAIL FROM:<eve@example.com>\r\nDATA\n.\n{{ activation_key }}\n.\n";

struct Wire {
    sink: SmtpSink,
    tap: Tap,
    server: TestServer,
    seen: usize,
}

impl Wire {
    async fn start(store: &Store, toml: &str) -> Self {
        let sink = SmtpSink::start().await;
        let tap = Tap::to(&sink).await;
        let settings = format!(
            "mail.sender = 'smtp'\nmail.smtp.url = '{}'\nusernames.reserved = []\n{toml}\n\
             [[sites]]\nid = 'evil'\nname = '{SITE}'\ndomain = '<b>evil</b>.example'\nfrom = 'Shop <shop@shop.example>'\n",
            tap.url()
        );
        let server = TestServer::start_configured(store.url(), &settings).await;
        Self { sink, tap, server, seen: 0 }
    }

    /// Registers somebody, and returns the mail, which was exactly one message in a conversation of its own.
    async fn register(&mut self, username: &str) -> ParsedMail {
        let client = self.server.client().await;
        client.register_by_mail(username, "alice@example.com").await;
        self.seen += 1;
        let said = self.tap.said(self.seen).await;
        assert_eq!(said.len(), self.seen);
        let conversation = Conversation::read(said.last().unwrap());
        assert_eq!(
            conversation.commands[1..],
            ["MAIL FROM:<shop@shop.example>", "RCPT TO:<alice@example.com>"]
        );
        assert_eq!(conversation.headers()[..HEADERS.len()], HEADERS);
        let mail = self.sink.next_mail().await.parse();
        assert_eq!(self.sink.mails(self.seen).await.len(), self.seen);
        assert_eq!(mail.subject, format!("Activate your account at {SITE}"));
        mail
    }
}

pub async fn hostile_names_arrive_as_plain_text_in_exactly_one_message(store: Store) {
    let mut wire = Wire::start(&store, "").await;
    let longest = "x".repeat(255);
    for (username, in_html) in USERNAMES.into_iter().chain([(longest.as_str(), longest.as_str())]) {
        let mail = wire.register(username).await;
        let greeting =
            format!("Hello {username},\n\nsomebody, presumably you, registered an account at {SITE} (");
        assert!(mail.body.starts_with(&greeting), "{}", mail.body);
        key_in(&mail);
        let html = mail.html.unwrap();
        assert!(html.contains(&format!("<p>Hello <bdi>{in_html}</bdi>,</p>")), "{html}");
        assert!(html.contains(&format!("an account at {SITE_IN_HTML} (&lt;b&gt;evil")), "{html}");
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("<b>"), "{html}");
    }
}

pub async fn what_would_end_a_line_is_refused_before_anything_is_stored_or_sent(store: Store) {
    let mut wire = Wire::start(&store, "").await;
    let client = wire.server.client().await;
    let before = store.contents().await;
    for (field, username, email, locale) in [
        ("username", "a\r\nBcc: eve@example.com", "a@example.com", ""),
        ("username", "a\nb", "a@example.com", ""),
        ("username", "a\rb", "a@example.com", ""),
        ("username", "\u{202e}a", "a@example.com", ""),
        ("email", "alice", "a@example.com\r\nRCPT TO:<eve@example.com>", ""),
        ("email", "alice", "a@example.com>\r\nDATA", ""),
        ("locale", "alice", "a@example.com", "de\r\nBcc: eve@example.com"),
        ("locale", "alice", "a@example.com", "../../etc/passwd"),
    ] {
        let request = CreateInactiveUserRequest {
            username: username.into(),
            email: email.into(),
            locale: locale.into(),
            ..Default::default()
        };
        let details =
            refused(client.create_inactive_user(request).await, Code::InvalidArgument, "INVALID_REQUEST");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, field, "{username:?} {email:?}");
    }
    assert_eq!(store.contents().await, before);
    wire.register("alice").await;
}

pub async fn a_template_with_the_line_that_ends_a_message_is_still_one_message(store: Store) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("activation")).unwrap();
    fs::write(folder.path().join("activation/body.txt"), BODY).unwrap();
    fs::write(folder.path().join("activation/body.html"), BODY).unwrap();
    let mut wire = Wire::start(&store, &format!("templates.directory = '{}'", folder.path().display())).await;
    for username in ["alice", "."] {
        let mail = wire.register(username).await;
        let key = key_in(&mail);
        let lines = [".", "..", username, ".", "MAIL FROM:<eve@example.com>", "DATA", ".", &key, "."];
        assert_eq!(mail.body.lines().collect::<Vec<_>>(), lines);
        assert_eq!(mail.html.unwrap().lines().collect::<Vec<_>>(), lines);
    }
}
