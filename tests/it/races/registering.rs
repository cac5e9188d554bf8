//! Registering the same username at the same instant: X7.

use tonic::Code;
use vestibule::grpc::proto::CreateInactiveUserRequest;

use super::{CROWD, Servers, crowd};
use crate::{
    contract::store::{Store, on_postgres, on_sqlite},
    support::server::refused,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x7_of_a_thousand_spellings_of_a_username_one_is_registered_by_two_processes_on_postgres() {
    on_postgres(|store| one_is_registered(store, 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x7_of_a_thousand_spellings_of_a_username_one_is_registered_on_sqlite() {
    on_sqlite(|store| one_is_registered(store, 1)).await;
}

async fn one_is_registered(store: Store, processes: usize) {
    let servers = Servers::start(&store, processes).await;
    let told = crowd(&servers.clients, |client, number| async move {
        let request = CreateInactiveUserRequest {
            username: spelling(number),
            email: format!("caller{number}@example.com"),
            ..Default::default()
        };
        client.create_inactive_user(request).await
    })
    .await;
    let (registered, refusals): (Vec<_>, Vec<_>) = told.into_iter().partition(Result::is_ok);
    assert_eq!((registered.len(), refusals.len()), (1, CROWD - 1));
    for refusal in refusals {
        refused(refusal, Code::AlreadyExists, "USERNAME_TAKEN");
    }
    for table in
        ["users", "email_addresses", "activation_keys", "mails", "events WHERE kind = 'user_registered'"]
    {
        assert_eq!(store.count(table).await, 1, "{table}");
    }
    servers.stop();
}

/// One of the spellings that differ in case and width alone.
fn spelling(number: usize) -> String {
    let spell = |(place, letter): (u32, char)| match number / 4_usize.pow(place) % 4 {
        0 => letter,
        1 => letter.to_ascii_uppercase(),
        2 => full_width(letter),
        _ => full_width(letter.to_ascii_uppercase()),
    };
    (0..).zip("alice".chars()).map(spell).collect()
}

fn full_width(letter: char) -> char {
    char::from_u32(u32::from(letter) - u32::from('!') + 0xff01).unwrap()
}

#[test]
fn every_caller_spells_the_username_differently() {
    let spellings: std::collections::BTreeSet<_> = (0..CROWD).map(spelling).collect();
    assert_eq!(spellings.len(), CROWD);
    assert!(spellings.contains("aLi\u{ff43}e") && spellings.contains("\u{ff21}lice"));
}
