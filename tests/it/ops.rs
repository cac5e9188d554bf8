//! The operator's port: what is counted, and whether the server lives and serves.

mod watching;

use crate::support::server::on_each_store;

on_each_store! {
    watching: [
        a_breaker_that_opens_and_what_becomes_of_mails_can_be_watched,
        a_server_says_whether_it_serves,
    ]
}
