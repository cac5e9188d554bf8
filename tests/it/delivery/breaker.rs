//! A mail server that fails as a whole.

use crate::{
    contract::store::Store,
    delivery::start,
    support::{
        server::wait_for_rows,
        smtp::{Action, SmtpSink, Step},
    },
};

const MAILS: usize = 40;

pub async fn a_mail_server_that_fails_costs_no_mail_an_attempt_and_is_not_asked_again_and_again(
    store: Store,
) {
    let sink = SmtpSink::start().await;
    sink.at(Step::Greeting, Action::Reply("421 4.3.2 down for maintenance".into()));
    let (server, client) = start(&store, &sink.url(), "").await;
    for number in 0..MAILS {
        client.register_by_mail(&format!("user{number}"), &format!("user{number}@example.com")).await;
    }
    // Those that were on their way when it opened, and a probe after each pause.
    let asked = sink.steps(Step::Greeting, 6).await.len();
    assert!(asked < MAILS, "{asked}");
    // Nothing is in hand while it is open.
    wait_for_rows(&store, "mails WHERE state = 'QUEUED' AND attempt = 0 AND claim_token IS NULL", 40).await;
    assert!(store.count("mails WHERE last_error LIKE 'greeting: 421%'").await > 0);
    sink.behave();
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED' AND attempt = 1", 40).await;
    server.stop().await;
    assert_eq!(sink.mails(0).await.len(), MAILS);
}
