//! Who is taken for whom, and where mail goes.

use tonic::Code;
use vestibule::grpc::proto::{
    CreateInactiveUserRequest, get_user_request::User as By, send_activation_email_request,
};

use crate::{
    contract::store::Store,
    support::{
        server::{Client, TestServer, refused},
        smtp::SmtpSink,
    },
};

const MIKE: &str = "mike";
const DOTLESS: &str = "m\u{131}ke";
const KELVIN: &str = "mi\u{212a}e";
const WIDE: &str = "\u{ff4d}\u{ff49}\u{ff4b}\u{ff45}";

fn registration(username: &str) -> CreateInactiveUserRequest {
    let (username, email) = (username.to_owned(), "mike@example.com".to_owned());
    CreateInactiveUserRequest { username, email, ..Default::default() }
}

/// The fields that a registration is refused for, each with what is said of it.
async fn wrong(client: &Client, request: CreateInactiveUserRequest) -> Vec<(String, String)> {
    let details =
        refused(client.create_inactive_user(request).await, Code::InvalidArgument, "INVALID_REQUEST");
    let violations = &details.bad_request().unwrap().field_violations;
    violations.iter().map(|violation| (violation.field.clone(), violation.description.clone())).collect()
}

pub async fn x7_names_are_equal_when_the_standard_says_so_and_by_nothing_else(store: Store) {
    let server = TestServer::start_configured(store.url(), "").await;
    let client = server.client().await;
    let mike = client.register(MIKE, "mike@example.com").await.id.to_string();
    for equal in [MIKE, "MIKE", "Mike", WIDE, "\u{ff2d}\u{ff29}\u{ff2b}\u{ff25}"] {
        let taken = client.create_inactive_user(registration(equal)).await;
        refused(taken, Code::AlreadyExists, "USERNAME_TAKEN");
        assert_eq!(client.user(By::Username(equal.into())).await.unwrap().id, mike, "{equal}");
    }
    // A name like any other to whoever looks it up, but too like this one to be registered.
    refused(client.user(By::Username(DOTLESS.into())).await, Code::NotFound, "USER_NOT_FOUND");
    assert_eq!(wrong(&client, registration(DOTLESS)).await[0].0, "username");
    for no_name in [KELVIN, "mike\u{0}", "mike\u{200b}", "mi ke"] {
        let outcome = client.user(By::Username(no_name.into())).await;
        refused(outcome, Code::InvalidArgument, "INVALID_REQUEST");
        assert_eq!(wrong(&client, registration(no_name)).await[0].0, "username");
    }
    // Who is there already, with whatever name, is found by it.
    let cyrillic = "\u{441}\u{43e}\u{440}";
    let id = store.id(mike.parse().unwrap());
    store
        .execute(format!(
            "UPDATE users SET username = '{cyrillic}', username_key = '{cyrillic}' WHERE id = {id}"
        ))
        .await;
    let upper = By::Username(cyrillic.to_uppercase());
    assert_eq!(client.user(upper).await.unwrap().username, cyrillic);
    assert_eq!(store.count("users").await, 1);
}

pub async fn a_new_name_that_is_reserved_or_looks_like_another_is_named_with_the_other_wrong_fields(
    store: Store,
) {
    let server = TestServer::start_configured(store.url(), "usernames.reserved = ['Chef', 'straße']").await;
    let client = server.client().await;
    for (name, said) in [
        ("chef", "reserved"),
        ("CHEF", "reserved"),
        ("STRAßE", "reserved"),
        (DOTLESS, "look like"),
        ("\u{430}lice", "one script"),
        ("a\u{1c3}", "UTS 39"),
    ] {
        let all_wrong = CreateInactiveUserRequest { email: "nobody".into(), ..registration(name) };
        let wrong = wrong(&client, all_wrong).await;
        let fields: Vec<_> = wrong.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["username", "email"]);
        assert!(wrong[0].1.contains(said), "{name}: {}", wrong[0].1);
    }
    // A file's list takes the place of the one that is there by default.
    client.register("admin", "admin@example.com").await;
    assert_eq!(store.count("users").await, 1);
}

pub async fn a_site_with_another_script_can_allow_names_that_look_latin(store: Store) {
    let server = TestServer::start_configured(store.url(), "usernames.look_alikes = 'allow'").await;
    let client = server.client().await;
    client.register("\u{412}\u{435}\u{440}\u{430}", "vera@example.com").await;
    for (name, said) in [("\u{430}lice", "one script"), ("admin", "reserved")] {
        let wrong = wrong(&client, registration(name)).await;
        assert!(wrong[0].1.contains(said), "{name}: {}", wrong[0].1);
    }
}

pub async fn x7_mail_goes_to_the_address_that_the_database_holds(store: Store) {
    let sink = SmtpSink::start().await;
    let settings = format!("mail.sender = 'smtp'\nmail.smtp.url = '{}'\n", sink.url());
    let server = TestServer::start_configured(store.url(), &settings).await;
    let client = server.client().await;
    let held = "Bob@xn--bcher-kva.example";
    let spellings =
        ["Bob@B\u{dc}CHER.example", "Bob@bu\u{308}cher.example", "Bob@\u{ff42}\u{fc}cher\u{3002}example"];
    for (number, email) in spellings.into_iter().enumerate() {
        let user = client.register_by_mail(&format!("bob{number}"), email).await;
        assert_eq!(user.email, held);
    }
    sink.mails(3).await;
    let by = send_activation_email_request::User::Email("Bob@B\u{fc}cher.EXAMPLE".into());
    client.mail_to(by).await.unwrap();
    let stored = store.texts("SELECT DISTINCT email FROM email_addresses").await;
    assert_eq!(stored, [held]);
    for mail in sink.mails(6).await {
        assert_eq!(mail.recipients, [held]);
        let text = String::from_utf8(mail.data).unwrap();
        assert!(text.contains(&format!("\r\nTo: {held}\r\n")), "{text}");
    }
    // A claim of another person's spelling of the local part is another address, and gets nothing of this one.
    let other = send_activation_email_request::User::Email("bob@b\u{fc}cher.example".into());
    client.mail_to(other).await.unwrap();
    assert_eq!(store.count("mails").await, 6);
}
