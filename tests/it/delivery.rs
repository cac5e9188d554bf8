//! The outbox at work: what becomes of a mail and of its attempts, whatever the mail server does, and whatever becomes
//! of the servers that send it.

mod breaker;
mod domains;
mod killing;
mod leases;
mod matrix;
mod outage;
mod pointless;
mod ringing;

use crate::{
    contract::store::Store,
    support::{
        server::{Client, TestServer, on_each_store},
        smtp::SmtpSink,
    },
};

on_each_store! {
    breaker: [
        a_mail_server_that_fails_costs_no_mail_an_attempt_and_is_not_asked_again_and_again,
    ]
    domains: [
        a_domain_whose_mails_take_long_holds_up_no_other,
        recipients_whom_the_server_chokes_on_stop_nobody_elses_mail,
        a_server_that_takes_few_connections_is_none_that_fails,
    ]
    killing: [
        a_server_that_is_killed_before_it_has_recorded_a_mail_sends_it_once_more_and_loses_none,
    ]
    leases: [
        a_mail_that_takes_long_stays_with_its_server,
        a_mail_whose_lease_runs_out_while_it_is_sent_is_not_begun_again,
        a_server_that_stops_gives_back_what_it_has_not_begun,
    ]
    pointless: [
        a_mail_that_nobody_needs_any_more_is_never_sent,
    ]
}

/// A server that mails to `url`, with a second for an attempt and whatever else the settings say.
async fn start(store: &Store, url: &str, settings: &str) -> (TestServer, Client) {
    let timeout = if settings.contains("mail.timeout_seconds") { "" } else { "mail.timeout_seconds = 1" };
    let settings = format!("mail.sender = 'smtp'\nmail.smtp.url = '{url}'\n{timeout}\n{settings}");
    let server = TestServer::start_configured(store.url(), &settings).await;
    let client = server.client().await;
    (server, client)
}

/// How many mails the sink has taken for each recipient, by Message-ID.
async fn copies(sink: &SmtpSink) -> std::collections::BTreeMap<String, Vec<String>> {
    let mut copies = std::collections::BTreeMap::<String, Vec<String>>::new();
    for mail in sink.mails(0).await {
        let mail = mail.parse();
        copies.entry(mail.recipient).or_default().push(mail.message_id);
    }
    copies
}
