//! The activation page, as browsers and the programs that open the links of mails meet it: a real client, a real server.

mod branding;
mod guarding;
mod hosts;
mod limiting;
mod looking;
mod pressing;
mod resending;
mod secrets;
mod serving;
mod trouble;

use std::net::SocketAddr;

use crate::{
    contract::store::Store,
    support::{
        http::{self, Answer, Connection},
        server::{Client, TestServer, on_each_store},
    },
};

/// One site with all that there can be, and one under a path that speaks German.
const SITES: &str = "
[[sites]]
id = 'shop'
name = 'The Shop'
domain = 'shop.example'
activation_url = 'https://shop.example/activate/{key}'
verification_url = 'https://shop.example/verify/{key}'
continue_url = 'https://shop.example/welcome?a=1&b=2'

[[sites]]
id = 'forum'
name = 'Das <Forum>'
domain = 'forum.example'
activation_url = 'http://forum.example:8080/account/activate/{key}'
locale = 'de'
";
/// A page that counts nobody's requests.
const UNLIMITED: &str = "page.listen = '127.0.0.1:0'\npage.requests_per_minute = 0\n";
const SHOP: (&str, &str) = ("host", "shop.example");
/// A key that nobody has.
const UNKNOWN: &str = "0123456789abcdef0123456789abcdef01234567";

on_each_store! {
    looking: [
        x14_a_program_that_opens_every_link_a_hundred_times_activates_nobody,
        every_key_has_its_page,
    ]
    pressing: [
        x13_pressing_the_button_twice_is_a_success_twice,
        r12_of_many_who_press_at_once_one_activates,
        a_key_that_does_nothing_changes_nothing,
        a_key_of_another_site_is_answered_in_its_name,
        x9_an_account_without_a_password_is_activated_without_one,
        u8_a_further_address_is_verified_by_its_button,
    ]
    resending: [
        x23_everybody_gets_the_same_answer_at_the_same_time,
    ]
    trouble: [
        a_fault_is_a_page_that_says_nothing_of_it,
    ]
}

/// A server with a page.
struct Site {
    server: TestServer,
    client: Client,
    page: SocketAddr,
}

impl Site {
    async fn start(store: &Store) -> Self {
        Self::start_with(store.url(), UNLIMITED).await
    }

    /// Starts one on the database of `url` whose settings begin so.
    async fn start_with(url: &str, settings: &str) -> Self {
        let server = TestServer::start_configured(url, &format!("{settings}{SITES}")).await;
        let client = server.client().await;
        let page = server.page.unwrap();
        Self { server, client, page }
    }

    /// Asks the shop.
    async fn ask(&self, method: &str, path: &str) -> Answer {
        self.ask_with(method, path, &[SHOP]).await
    }

    async fn ask_with(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        http::ask(self.page, method, path, headers).await
    }

    /// Sends the shop's form for another mail.
    async fn ask_for_mail(&self, form: &str) -> Answer {
        let headers = [SHOP, ("content-type", "application/x-www-form-urlencoded")];
        let mut connection = Connection::open(self.page).await;
        connection.send("POST", "/resend", &headers, form.to_owned()).await.unwrap()
    }
}

/// The heading of a page, which its title repeats.
fn heading(answer: &Answer) -> &str {
    let between = |start: &str, end: &str| {
        let parts: Vec<_> = answer.body.split(start).collect();
        assert_eq!(parts.len(), 2, "{start} in {answer:?}");
        parts[1].split(end).next().unwrap()
    };
    let (heading, title) = (between("<h1>", "</h1>"), between("<title>", "</title>"));
    assert!(title.starts_with(&format!("{heading} – ")), "{title}");
    heading
}

/// Whether a page has a button that posts.
fn has_button(answer: &Answer) -> bool {
    answer.body.contains("<form method=\"post\">") && answer.body.contains("<button type=\"submit\">")
}
