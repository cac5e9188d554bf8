//! A domain of recipients whose mails take long.

use crate::{
    contract::store::Store,
    delivery::start,
    support::{
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
    // A quarter of the places at first, and none more once it was seen to be slow.
    let rcpts = sink.steps(Step::Rcpt, 0).await.iter().filter(|step| **step == Step::Rcpt).count();
    assert_eq!(rcpts, MAILS + 4);
    wait_for_rows(&store, "mails WHERE state = 'QUEUED' AND claim_token IS NULL AND attempt = 0", 26).await;
}
