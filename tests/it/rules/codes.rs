//! Activating by the code that a mail carries beside its link.

use chrono::Duration;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use vestibule::{
    clock::Clock as _,
    grpc::proto::{
        ActivateRequest, ActivateUserRequest, CreateRegistrationProfileRequest,
        DeleteRegistrationProfileRequest, DisableUserRequest, EnableUserRequest, MailState,
        ReissueActivationKeyRequest, User, UserState, get_user_request,
        send_activation_email_request::User as By,
    },
};

use super::{start, tick};
use crate::{
    contract::store::Store,
    support::server::{Client, TestServer, instant, reason, refused, wait_for_rows},
};

const WITH_CODES: &str = "registration.activation_codes = true\npasswords.queue_seconds = 600";
const ADDRESS: &str = "alice@example.com";

/// The words of a text that are as many digits.
fn digits(text: &str, count: usize) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let is_code = |word: &&str| word.len() == count && word.bytes().all(|byte| byte.is_ascii_digit());
    words.filter(is_code).map(str::to_owned).collect()
}

/// The code in each mail to an address that was sent so far, in no order; in a mail's HTML it stands once more.
fn codes_to(server: &TestServer, address: &str) -> Vec<String> {
    let mails = server.mails().into_iter().filter(|mail| mail.contains(&format!("To: {address}\r\n")));
    let code = |mail: String| {
        let text = mail.split("Content-Type: text/html").next().unwrap().to_owned();
        let codes = digits(text.split("text/plain").nth(1).unwrap(), 8);
        assert!(codes.len() <= 1, "{text}");
        codes.into_iter().next()
    };
    mails.filter_map(code).collect()
}

/// Registers somebody by mail, and returns the code.
async fn register(server: &TestServer, client: &Client, name: &str) -> (User, String) {
    let address = format!("{name}@example.com");
    let user = client.register_by_mail(name, &address).await;
    client.wait_for_mail(&user.id, 1, MailState::Delivered).await;
    let codes = codes_to(server, &address);
    assert_eq!(codes.len(), 1, "one code to {address}");
    (user, codes.concat())
}

fn by_code(email: &str, code: &str) -> ActivateRequest {
    ActivateRequest { email: email.to_owned(), code: code.to_owned(), ..Default::default() }
}

async fn use_code(client: &Client, email: &str, code: &str) -> Result<User, Status> {
    Ok(client.activate(by_code(email, code)).await?.user.unwrap())
}

/// A code that is not this one.
fn another(code: &str) -> String {
    code.chars().map(|digit| if digit == '9' { '0' } else { char::from(digit as u8 + 1) }).collect()
}

fn rejected<T>(outcome: Result<T, Status>) {
    refused(outcome, Code::Unauthenticated, "ACTIVATION_CODE_REJECTED");
}

pub async fn r7_r12_the_code_of_a_mail_activates_as_its_key_does(store: Store) {
    let (server, client) = start(&store, WITH_CODES).await;
    let (alice, code) = register(&server, &client, "alice").await;
    let (bob, _) = register(&server, &client, "bob").await;
    server.clock.advance(Duration::microseconds(1_234_567));
    let active = use_code(&client, "alice@EXAMPLE.com", &code).await.unwrap();
    assert_eq!((&active.id, active.state(), active.active), (&alice.id, UserState::Active, true));
    assert_eq!(instant(active.activate_time), server.clock.now());
    let found = client.user(get_user_request::User::Email(ADDRESS.into())).await.unwrap();
    assert_eq!(found, active);
    assert_eq!(client.user(get_user_request::User::UserId(bob.id.clone())).await.unwrap(), bob);
    let id = alice.id.parse().unwrap();
    let told = ["user_registered", "activation_mail_sent", "user_activated"];
    assert_eq!(store.events(id).await, told);
    // Once used it is like any other that activates nobody, and so is whatever else is left of it.
    rejected(use_code(&client, ADDRESS, &code).await);
    assert_eq!(store.events(id).await, told);
}

pub async fn r12_of_five_calls_with_one_code_at_once_one_activates(store: Store) {
    let (server, client) = start(&store, WITH_CODES).await;
    let (alice, code) = register(&server, &client, "alice").await;
    let mut calls = JoinSet::new();
    for _ in 0..5 {
        let (client, code) = (client.clone(), code.clone());
        calls.spawn(async move { use_code(&client, ADDRESS, &code).await.map_err(|status| reason(&status)) });
    }
    let outcomes = calls.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let refusals = outcomes.into_iter().filter_map(Result::err);
    assert!(refusals.into_iter().all(|reason| reason == "ACTIVATION_CODE_REJECTED"));
    let events = store.events(alice.id.parse().unwrap()).await;
    assert_eq!(events.iter().filter(|kind| *kind == "user_activated").count(), 1);
}

pub async fn x8_the_code_says_which_of_those_who_claim_an_address_is_meant(store: Store) {
    let (server, client) = start(&store, WITH_CODES).await;
    let mut codes = Vec::new();
    for name in ["alice", "bob", "carol"] {
        let user = client.register_by_mail(name, ADDRESS).await;
        client.wait_for_mail(&user.id, 1, MailState::Delivered).await;
        let new = codes_to(&server, ADDRESS).into_iter().find(|code| !codes.contains(code));
        codes.push(new.unwrap());
    }
    assert_eq!(use_code(&client, ADDRESS, &codes[1]).await.unwrap().username, "bob");
    // The others' are like any that activate nobody: their address is somebody else's.
    for code in &codes {
        rejected(use_code(&client, ADDRESS, code).await);
    }
    let carol = client.user(get_user_request::User::Username("carol".into())).await.unwrap();
    assert_eq!(carol.state(), UserState::Pending);
}

pub async fn r10_a_code_works_for_a_quarter_of_an_hour_and_its_key_goes_on(store: Store) {
    let (server, client) = start(&store, WITH_CODES).await;
    let (_, first) = register(&server, &client, "alice").await;
    let (bob, second) = register(&server, &client, "bob").await;
    server.clock.advance(Duration::minutes(15) - tick());
    use_code(&client, ADDRESS, &first).await.unwrap();
    server.clock.advance(tick());
    rejected(use_code(&client, "bob@example.com", &second).await);
    let mail = server.mails().into_iter().find(|mail| mail.contains("To: bob@example.com")).unwrap();
    let key = mail.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 40).unwrap();
    assert_eq!(client.use_key(key).await.unwrap().id, bob.id);
}

pub async fn r10_a_code_never_outlives_the_window_of_its_key(store: Store) {
    let (server, client) = start(&store, WITH_CODES).await;
    let (alice, first) = register(&server, &client, "alice").await;
    let window_end = instant(client.profile(&alice.id).await.unwrap().expire_time);
    server.clock.set(window_end - Duration::minutes(5));
    client.mail_to(By::UserId(alice.id.clone())).await.unwrap();
    client.wait_for_mail(&alice.id, 2, MailState::Delivered).await;
    let at = store.at(window_end);
    assert_eq!(store.count(&format!("activation_codes WHERE expire_time = {at}")).await, 1);
    let second = codes_to(&server, ADDRESS).into_iter().find(|code| *code != first).unwrap();
    server.clock.set(window_end);
    rejected(use_code(&client, ADDRESS, &second).await);
}

pub async fn x15_a_newer_mail_brings_another_code_and_the_former_one_is_dead(store: Store) {
    let (server, client) = start(&store, WITH_CODES).await;
    let (alice, first) = register(&server, &client, "alice").await;
    for _ in 0..5 {
        rejected(use_code(&client, ADDRESS, &another(&first)).await);
    }
    rejected(use_code(&client, ADDRESS, &first).await);
    client.mail_to(By::Email(ADDRESS.into())).await.unwrap();
    client.wait_for_mail(&alice.id, 2, MailState::Delivered).await;
    let second = codes_to(&server, ADDRESS).into_iter().find(|code| *code != first).unwrap();
    rejected(use_code(&client, ADDRESS, &first).await);
    // What brings no code leaves the one that is there.
    client.reissue_activation_key(ReissueActivationKeyRequest { user_id: alice.id.clone() }).await.unwrap();
    assert_eq!(use_code(&client, ADDRESS, &second).await.unwrap().id, alice.id);
}

pub async fn x2_without_a_mail_there_is_no_code(store: Store) {
    let (server, client) = start(&store, WITH_CODES).await;
    let alice = client.register("alice", ADDRESS).await;
    let user_id = alice.id.to_string();
    client.reissue_activation_key(ReissueActivationKeyRequest { user_id: user_id.clone() }).await.unwrap();
    let delete = DeleteRegistrationProfileRequest { user_id: user_id.clone() };
    client.delete_registration_profile(delete.clone()).await.unwrap();
    let create = CreateRegistrationProfileRequest { user_id: user_id.clone(), ..Default::default() };
    let unmailed = CreateRegistrationProfileRequest { send_email: Some(false), ..create.clone() };
    client.create_registration_profile(unmailed).await.unwrap();
    assert_eq!(store.count("activation_codes").await, 0);
    // And with one there is.
    client.delete_registration_profile(delete).await.unwrap();
    client.create_registration_profile(create).await.unwrap();
    client.wait_for_mail(&user_id, 1, MailState::Delivered).await;
    let codes = codes_to(&server, ADDRESS);
    assert_eq!(codes.len(), 1);
    assert_eq!(use_code(&client, ADDRESS, &codes.concat()).await.unwrap().id, user_id);
}

pub async fn x2_no_code_stands_in_the_database(store: Store) {
    let (server, client) = start(&store, WITH_CODES).await;
    let (_, code) = register(&server, &client, "alice").await;
    let stands = async || {
        let contents = store.contents().await;
        assert!(contents.iter().any(|row| row.starts_with("activation_codes ")));
        let hex: String = code.bytes().map(|byte| format!("{byte:02x}")).collect();
        contents.iter().any(|row| row.contains(&code) || row.to_lowercase().contains(&hex))
    };
    assert!(!stands().await, "mailed");
    rejected(use_code(&client, ADDRESS, &another(&code)).await);
    use_code(&client, ADDRESS, &code).await.unwrap();
    assert!(!stands().await, "used");
    assert_eq!(store.count("activation_code_guesses").await, 1);
}

pub async fn only_the_sites_that_have_codes_mail_them(store: Store) {
    let sites = "[[sites]]\nid = 'with'\nname = 'With'\ndomain = 'with.example'\nactivation_codes = true\n
        [[sites]]\nid = 'without'\nname = 'Without'\ndomain = 'without.example'\n";
    let (server, client) = start(&store, sites).await;
    for (site, name) in [("with", "alice"), ("without", "bob")] {
        let request = vestibule::grpc::proto::CreateInactiveUserRequest {
            username: name.into(),
            email: ADDRESS.into(),
            site: site.into(),
            ..Default::default()
        };
        let user = client.create_inactive_user(request).await.unwrap().user.unwrap();
        client.wait_for_mail(&user.id, 1, MailState::Delivered).await;
    }
    assert_eq!(store.count("activation_codes").await, 1);
    client.mail_to(By::Email(ADDRESS.into())).await.unwrap();
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 4).await;
    assert_eq!(store.count("activation_codes").await, 1);
    assert_eq!(codes_to(&server, ADDRESS).len(), 2);
}

pub async fn every_failure_of_a_code_is_answered_alike(store: Store) {
    let (server, client) = start(&store, WITH_CODES).await;
    let mut codes = Vec::new();
    for name in ["right", "expired", "tried", "active", "byhand", "disabled", "enabled", "taken"] {
        codes.push(register(&server, &client, name).await);
    }
    let address = |name: &str| format!("{name}@example.com");
    let code_of = |name: &str| {
        codes
            .iter()
            .find(|(user, _)| user.username == name)
            .map(|(user, code)| (user.id.clone(), code.clone()))
    };
    for _ in 0..5 {
        rejected(use_code(&client, &address("tried"), "00000000").await);
    }
    use_code(&client, &address("active"), &code_of("active").unwrap().1).await.unwrap();
    client.activate_user(ActivateUserRequest { user_id: code_of("byhand").unwrap().0 }).await.unwrap();
    for name in ["disabled", "enabled"] {
        client.disable_user(DisableUserRequest { user_id: code_of(name).unwrap().0 }).await.unwrap();
    }
    client.enable_user(EnableUserRequest { user_id: code_of("enabled").unwrap().0 }).await.unwrap();
    let owner = client.register("owner", &address("taken")).await;
    client.use_key(&owner.key).await.unwrap();
    client.register("unmailed", &address("unmailed")).await;
    let id = store.id(code_of("expired").unwrap().0.parse().unwrap());
    let now = store.at(server.clock.now());
    store.execute(format!("UPDATE activation_codes SET expire_time = {now} WHERE user_id = {id}")).await;
    let mut seen = Vec::new();
    let right = code_of("right").unwrap().1;
    for (name, code) in [
        ("right", another(&right)),
        ("right", right[..7].to_owned()),
        ("right", right[..6].to_owned()),
        ("nobody", right.clone()),
        ("unmailed", right.clone()),
        ("expired", code_of("expired").unwrap().1),
        ("tried", code_of("tried").unwrap().1),
        ("active", code_of("active").unwrap().1),
        ("byhand", code_of("byhand").unwrap().1),
        ("disabled", code_of("disabled").unwrap().1),
        ("enabled", code_of("enabled").unwrap().1),
        ("taken", code_of("taken").unwrap().1),
    ] {
        for password in [None, Some("correct horse".to_owned()), Some("trustno1".to_owned())] {
            // A guess for each, so that none of them is one too many.
            store.execute("UPDATE activation_codes SET try_count = 0 WHERE try_count < 5").await;
            let request = ActivateRequest { password, ..by_code(&address(name), &code) };
            let status = client.activate(request).await.unwrap_err();
            seen.push((status.code(), status.message().to_owned(), status.details().to_vec()));
            assert_eq!(seen.first(), seen.last(), "{name}");
            rejected::<()>(Err(status));
        }
    }
    use_code(&client, &address("right"), &right).await.unwrap();
}

pub async fn x9_a_password_comes_with_a_code_and_one_that_may_not_be_chosen_costs_no_try(store: Store) {
    let (server, client) = start(&store, WITH_CODES).await;
    let (alice, code) = register(&server, &client, "alice").await;
    let with = |password: &str| {
        client.activate(ActivateRequest { password: Some(password.into()), ..by_code(ADDRESS, &code) })
    };
    for _ in 0..9 {
        let details = refused(with("alice2026").await, Code::InvalidArgument, "PASSWORD_REJECTED");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "password");
    }
    assert_eq!(with("correct horse").await.unwrap().user.unwrap().id, alice.id);
    let by_name = vestibule::grpc::proto::verify_password_request::User::Username("alice".into());
    client.log_in(by_name, "correct horse").await.unwrap();
}

pub async fn what_can_be_no_code_is_refused_by_the_name_of_its_field(store: Store) {
    let (_server, client) = start(&store, WITH_CODES).await;
    let key = || "0".repeat(40);
    let request = |activation_key: String, email: &str, code: &str| ActivateRequest {
        activation_key,
        ..by_code(email, code)
    };
    for (request, wrong) in [
        (request(String::new(), ADDRESS, ""), vec!["code"]),
        (request(String::new(), "", "12345678"), vec!["email"]),
        (request(String::new(), "alice", "12345"), vec!["email", "code"]),
        (request(key(), ADDRESS, "12345678"), vec!["activation_key"]),
        (request(key(), ADDRESS, ""), vec!["activation_key"]),
        (request(key(), "", "12345678"), vec!["activation_key"]),
    ] {
        let details = refused(client.activate(request).await, Code::InvalidArgument, "INVALID_REQUEST");
        let bad_request = details.bad_request().unwrap();
        let named: Vec<_> = bad_request.field_violations.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(named, wrong);
    }
    assert_eq!(store.count("activation_code_guesses").await, 0);
    let nothing = client.activate(ActivateRequest::default()).await;
    refused(nothing, Code::NotFound, "ACTIVATION_KEY_UNKNOWN");
}

pub async fn a_code_that_found_no_slot_had_no_try(store: Store) {
    let (server, client) = start(&store, "registration.activation_codes = true").await;
    register(&server, &client, "alice").await;
    server.stop().await;
    let (_server, client) =
        start(&store, "registration.activation_codes = true\npasswords.queue_seconds = 0").await;
    let mut guesses = JoinSet::new();
    for number in 0..64 {
        let client = client.clone();
        let address =
            if number % 2 == 0 { ADDRESS.to_owned() } else { format!("nobody{number}@example.com") };
        guesses.spawn(async move { reason(&use_code(&client, &address, "00000000").await.unwrap_err()) });
    }
    let reasons = guesses.join_all().await;
    let compared = reasons.iter().filter(|reason| *reason == "ACTIVATION_CODE_REJECTED").count();
    let refused = reasons.iter().filter(|reason| *reason == "OVERLOADED").count();
    assert!(compared > 0 && compared < 64 && compared + refused == 64, "{reasons:?}");
    let counted = store.texts("SELECT CAST(sum(guess_count) AS text) FROM activation_code_guesses").await;
    assert_eq!(counted.concat(), compared.to_string());
}

pub async fn of_fifty_wrong_codes_at_once_five_are_compared(store: Store) {
    let (server, client) = start(&store, WITH_CODES).await;
    let (alice, code) = register(&server, &client, "alice").await;
    let (_other_server, other) = start(&store, WITH_CODES).await;
    let mut guesses = JoinSet::new();
    for number in 0..50 {
        let (client, wrong) = (if number % 2 == 0 { client.clone() } else { other.clone() }, another(&code));
        guesses.spawn(async move { reason(&use_code(&client, ADDRESS, &wrong).await.unwrap_err()) });
    }
    let reasons = guesses.join_all().await;
    assert!(reasons.iter().all(|reason| reason == "ACTIVATION_CODE_REJECTED"), "{reasons:?}");
    let tries = store.texts("SELECT CAST(try_count AS text) FROM activation_codes").await;
    assert_eq!(tries, ["5"]);
    rejected(use_code(&client, ADDRESS, &code).await);
    // It is the code that is dead, and not the key.
    let profile = client.profile(&alice.id).await.unwrap();
    assert!(instant(profile.expire_time) > server.clock.now());
    let mail = server.mails().concat();
    let key = mail.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 40).unwrap();
    assert_eq!(client.use_key(key).await.unwrap().id, alice.id);
}

pub async fn a_code_is_nothing_without_the_keyring_that_it_was_hashed_with(store: Store) {
    let (server, client) = start(&store, WITH_CODES).await;
    let (alice, code) = register(&server, &client, "alice").await;
    // Every server of these tests has a keyring of its own.
    let (_stranger, stranger) = start(&store, WITH_CODES).await;
    rejected(use_code(&stranger, ADDRESS, &code).await);
    assert_eq!(use_code(&client, ADDRESS, &code).await.unwrap().id, alice.id);
}

pub async fn x23_mails_to_an_address_cost_hashes_whether_anybody_claims_it_or_not(store: Store) {
    let (_server, client) =
        start(&store, "registration.activation_codes = true\npasswords.queue_seconds = 0").await;
    let mut calls = JoinSet::new();
    for number in 0..32 {
        let client = client.clone();
        calls.spawn(async move { client.mail_to(By::Email(format!("nobody{number}@example.com"))).await });
    }
    let outcomes = calls.join_all().await;
    let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err().map(reason));
    let refused: Vec<_> = refused.collect();
    assert!(!refused.is_empty() && refused.iter().all(|reason| reason == "OVERLOADED"), "{refused:?}");
}

pub async fn the_servers_forget_codes_and_guesses_whose_time_is_over(store: Store) {
    let (server, client) = start(&store, WITH_CODES).await;
    register(&server, &client, "alice").await;
    rejected(use_code(&client, "nobody@example.com", "00000000").await);
    let now = store.at(server.clock.now());
    for table in ["activation_codes", "activation_code_guesses"] {
        assert_eq!(store.count(table).await, 1);
        store.execute(format!("UPDATE {table} SET expire_time = {now}")).await;
    }
    // A server that starts begins with it.
    let _other = start(&store, "").await;
    for table in ["activation_codes", "activation_code_guesses"] {
        wait_for_rows(&store, table, 0).await;
    }
}
