//! The form that asks for another activation mail: X23.

use std::time::{Duration, Instant};

use super::{SHOP, Site, UNLIMITED, has_button, heading};
use crate::{
    contract::store::{Store, on_sqlite},
    support::{
        http::{Answer, Connection},
        server::wait_for_rows,
    },
};

/// What of an answer somebody could tell people apart by.
fn shown(mut answer: Answer) -> String {
    answer.headers.remove("date");
    format!("{} {:?} {}", answer.status, answer.headers, answer.body)
}

pub async fn x23_everybody_gets_the_same_answer_at_the_same_time(store: Store) {
    let settings = format!("mail.limits.per_address_per_hour = 2\n{UNLIMITED}");
    let site = Site::start_with(store.url(), &settings).await;
    let client = &site.client;
    client.register("alice", "alice@example.com").await;
    let bob = client.register("bob", "bob@example.com").await;
    client.use_key(&bob.key).await.unwrap();
    let mut answers = Vec::new();
    for email in ["alice", "bob", "nobody", "alice", "nobody", "alice", "nobody", "bob", "bob"] {
        let begun = Instant::now();
        let answer = site.ask_for_mail(&format!("email={email}%40example.com")).await;
        assert!(begun.elapsed() >= Duration::from_millis(500), "{email} can be told by the time");
        assert_eq!((answer.status, heading(&answer)), (200, "Look into your mailbox"));
        assert!(!answer.body.contains(email));
        answers.push(shown(answer));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 2).await;
    assert_eq!(store.count("mails").await, 2, "the limit lets alice have two mails");
    assert!(site.server.mails().iter().all(|mail| mail.contains("To: alice@example.com\r\n")));
    assert!(site.server.mails().iter().all(|mail| mail.contains("https://shop.example/activate/")));
}

#[tokio::test]
async fn what_is_no_address_is_asked_for_again_and_never_obeyed() {
    on_sqlite(|store: Store| async move {
        let site = Site::start(&store).await;
        let empty = site.ask("GET", "/resend").await;
        assert_eq!((empty.status, heading(&empty)), (200, "Get another activation mail"));
        assert!(has_button(&empty) && empty.body.contains("<label for=\"email\">Email address</label>"));
        assert!(!empty.body.contains("role=\"alert\""));
        for (form, value) in [
            ("email=alice", "alice"),
            (
                "email=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E",
                "&quot;&gt;&lt;script&gt;alert(1)&lt;&#x2f;script&gt;",
            ),
            ("email=%7B%7B7*7%7D%7D", "{{7*7}}"),
            ("email=a%40example.com%0D%0ABcc%3A%20b%40example.com", "a@example.com\r\nBcc: b@example.com"),
            ("email=%ff%00", "\u{fffd}\0"),
            ("email=", ""),
            ("", ""),
            ("mail=alice%40example.com", ""),
        ] {
            let answer = site.ask_for_mail(form).await;
            assert_eq!((answer.status, heading(&answer)), (422, "Get another activation mail"), "{form}");
            assert!(answer.body.contains(&format!("value=\"{value}\"")), "{form}: {}", answer.body);
            assert!(answer.body.contains("role=\"alert\" id=\"fault\""));
            assert!(answer.body.contains("aria-invalid=\"true\" aria-describedby=\"fault\""));
        }
        // Blanks around an address are a slip of the hand.
        assert_eq!(site.ask_for_mail("email=+alice%40example.com+").await.status, 200);
        assert_eq!(store.count("mails").await, 0);
    })
    .await;
}

#[tokio::test]
async fn asking_for_mails_counts_as_thirty_requests() {
    on_sqlite(|store: Store| async move {
        let site =
            Site::start_with(store.url(), "page.listen = '127.0.0.1:0'\npage.requests_per_minute = 70\n")
                .await;
        let mut connection = Connection::open(site.page).await;
        let mut statuses = Vec::new();
        for _ in 0..3 {
            let answer = connection.send("POST", "/resend", &[SHOP], "email=a%40b.example".into()).await;
            statuses.push(answer.unwrap().status);
        }
        assert_eq!(statuses, [200, 200, 429]);
        assert_eq!(site.ask("GET", "/resend").await.status, 200);
    })
    .await;
}
