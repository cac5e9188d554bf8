//! A domain of recipients whose mails take long.

use crate::{
    contract::store::Store,
    delivery::start,
    support::{
        http::ask,
        server::wait_for_rows,
        smtp::{Action, SmtpSink, Step},
    },
};

const MAILS: usize = 30;

pub async fn a_domain_whose_mails_take_long_holds_up_no_other(store: Store) {
    let sink = SmtpSink::start().await;
    sink.at_recipient("@slow.example", Step::Rcpt, Action::Stall);
    // Each of them would hold its place for half a minute, longer than this test waits for anything.
    let (_server, client) = start(&store, &sink.url(), "mail.timeout_seconds = 120").await;
    for number in 0..MAILS {
        client.register_by_mail(&format!("slow{number}"), &format!("slow{number}@slow.example")).await;
    }
    sink.steps(Step::Rcpt, 4).await;
    for number in 0..MAILS {
        client
            .register_by_mail(
                &format!("quick{number}"),
                &format!("quick{number}@quick{}.example", number % 3),
            )
            .await;
    }
    let arrived = sink.mails(MAILS).await;
    assert!(arrived.iter().all(|mail| !mail.recipients[0].ends_with("@slow.example")));
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 30).await;
    // A quarter of the places at first, and half of them once it was seen to be slow.
    // Eight more are kept to follow at once, and the rest are put off.
    wait_for_rows(&store, "mails WHERE state = 'QUEUED' AND claim_token IS NULL AND attempt = 0", 14).await;
    let rcpts = sink.steps(Step::Rcpt, 0).await.iter().filter(|step| **step == Step::Rcpt).count();
    assert_eq!(rcpts, MAILS + 8);
}

pub async fn recipients_whom_the_server_chokes_on_stop_nobody_elses_mail(store: Store) {
    let sink = SmtpSink::start().await;
    sink.at_recipient("@silent.example", Step::Rcpt, Action::Stall);
    sink.at_recipient("@closing.example", Step::Rcpt, Action::Reply("421 4.3.2 closing".into()));
    sink.at_recipient("@locked.example", Step::Rcpt, Action::Reply("530 5.7.0 authenticate first".into()));
    let (server, client) = start(&store, &sink.url(), "ops.listen = '127.0.0.1:0'").await;
    for number in 0..MAILS {
        for domain in ["silent", "closing", "locked"] {
            client
                .register_by_mail(&format!("{domain}{number}"), &format!("u{number}@{domain}.example"))
                .await;
        }
    }
    // By now the breaker would have opened, and whatever is older would be tried before the next.
    wait_for_rows(
        &store,
        "mails WHERE attempt = 1 AND claim_token IS NULL AND recipient LIKE '%@closing.example'",
        30,
    )
    .await;
    client.register_by_mail("alice", "alice@example.com").await;
    assert_eq!(sink.next_mail().await.recipients, ["alice@example.com"]);
    let metrics = ask(server.ops().unwrap(), "GET", "/metrics", &[]).await.body;
    assert!(metrics.contains("vestibule_mail_breaker_opened_total 0"), "{metrics}");
}

pub async fn a_server_that_takes_few_connections_is_none_that_fails(store: Store) {
    let sink = SmtpSink::start().await;
    sink.limit_connections(3);
    let (server, client) = start(&store, &sink.url(), "ops.listen = '127.0.0.1:0'").await;
    for number in 0..100 {
        client
            .register_by_mail(&format!("user{number}"), &format!("user{number}@d{}.example", number % 7))
            .await;
    }
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED' AND attempt = 1", 100).await;
    let metrics = ask(server.ops().unwrap(), "GET", "/metrics", &[]).await.body;
    assert!(metrics.contains("vestibule_mail_breaker_opened_total 0"), "{metrics}");
    server.stop().await;
    assert_eq!(sink.mails(0).await.len(), 100);
}
