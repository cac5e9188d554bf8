//! Activation codes: which of them a guess is compared with, how guesses are counted, and what a code dies of.

use chrono::Duration;
use tokio::task::JoinSet;
use vestibule::{
    domain::{
        Timestamp,
        activation_code::{CodeHash, LIFETIME, MAX_COMPARED, MAX_GUESSES, MAX_TRIES},
        activation_key::KeyDigest,
        request::Mac,
        user::User,
    },
    repository::{CodeGuess, KeyIssue, LiveCode, NewCode, NewRegistration},
};

use super::{
    people::{activation, email, issue, register, registration_at, seconds, start, tick},
    store::Store,
};

const ADDRESS: &str = "alice@example.com";

fn hash(number: u8) -> CodeHash {
    CodeHash::new([number; CodeHash::BYTES])
}

fn code(number: u8, now: Timestamp) -> Option<NewCode> {
    Some(NewCode { hash: hash(number), expire_time: now + LIFETIME })
}

fn guess_at(address: &str) -> CodeGuess {
    let mut counter = [0; 32];
    counter.iter_mut().zip(address.bytes()).for_each(|(into, byte)| *into = byte);
    CodeGuess { counter: Mac(counter), email: email(address) }
}

/// Registers somebody whose mail carries a code.
async fn register_with_code(store: &Store, name: &str, number: u8, now: Timestamp) -> (User, KeyDigest) {
    let registration = NewRegistration { code: code(number, now), ..registration_at(name, ADDRESS, now) };
    let user = store.register(&registration).await.unwrap().unwrap();
    (user, registration.digest)
}

async fn compared(store: &Store, now: Timestamp) -> Vec<LiveCode> {
    store.count_code_guess(&guess_at(ADDRESS), now).await.unwrap()
}

/// The keys of the codes that a guess is compared with, which the guess then does not count for.
async fn look(store: &Store, now: Timestamp) -> Vec<KeyDigest> {
    let codes = compared(store, now).await;
    store.uncount_code_guess(&guess_at(ADDRESS), &codes).await.unwrap();
    codes.iter().map(|code| code.key).collect()
}

/// Guesses until nothing is compared, and returns how often something was.
async fn exhaust(store: &Store, now: Timestamp) -> u32 {
    let mut count = 0;
    while !compared(store, now).await.is_empty() {
        count += 1;
    }
    count
}

/// How often every code was tried, and how many guesses were counted for every address.
async fn counts(store: &Store) -> (Vec<String>, Vec<String>) {
    let of = async |column: &str, table: &str| {
        store.texts(format!("SELECT CAST({column} AS text) FROM {table} ORDER BY {column}")).await
    };
    (of("try_count", "activation_codes").await, of("guess_count", "activation_code_guesses").await)
}

pub async fn a_code_stands_for_the_key_in_its_mail_and_is_found_by_their_address(store: Store) {
    let (alice, key) = register_with_code(&store, "alice", 1, start()).await;
    let [found] = compared(&store, start()).await[..] else { panic!("one code") };
    assert!(found.key == key && found.hash.matches(&hash(1)));
    let other = store.count_code_guess(&guess_at("bob@example.com"), start()).await.unwrap();
    assert!(other.is_empty());
    // A key without a mail, or with a mail that has no code, leaves the code as it is.
    store.issue_key(&issue(&alice, start())).await.unwrap().unwrap();
    assert_eq!(look(&store, start()).await, [key]);
    register(&store, "bob", "bob@example.com").await;
    assert_eq!(store.count("activation_codes").await, 1);
}

pub async fn a_newer_code_takes_the_place_of_the_users_former_one_with_tries_of_its_own(store: Store) {
    let (alice, _) = register_with_code(&store, "alice", 1, start()).await;
    assert_eq!(exhaust(&store, start()).await, MAX_TRIES);
    let now = start() + seconds(60);
    let newer = KeyIssue { code: code(2, now), ..issue(&alice, now) };
    store.issue_key(&newer).await.unwrap().unwrap();
    let [found] = compared(&store, now).await[..] else { panic!("one code") };
    assert!(found.key == newer.digest && found.hash.matches(&hash(2)));
    assert_eq!(exhaust(&store, now).await, MAX_TRIES - 1);
    assert_eq!(look(&store, start() + LIFETIME).await, []);
}

pub async fn r10_a_code_is_live_until_a_microsecond_before_its_expiry(store: Store) {
    let (_, key) = register_with_code(&store, "alice", 1, start()).await;
    assert_eq!(look(&store, start() + LIFETIME - tick()).await, [key]);
    assert_eq!(look(&store, start() + LIFETIME).await, []);
}

pub async fn x8_a_guess_is_compared_with_the_codes_of_all_who_claim_the_address(store: Store) {
    let mut keys = Vec::new();
    for number in 0..u8::try_from(MAX_COMPARED).unwrap() + 2 {
        let now = start() + seconds(number.into());
        keys.push(register_with_code(&store, &format!("user{number}"), number, now).await.1);
    }
    let now = start() + seconds(60);
    let codes = compared(&store, now).await;
    assert_eq!(codes.len(), usize::try_from(MAX_COMPARED).unwrap());
    // The oldest are left out, and have not been tried.
    for (number, key) in keys.iter().enumerate() {
        let found = codes.iter().find(|code| code.key == *key);
        assert_eq!(found.is_some(), number >= 2, "{number}");
        assert!(found.is_none_or(|code| code.hash.matches(&hash(u8::try_from(number).unwrap()))));
    }
    let (tries, guesses) = counts(&store).await;
    assert_eq!(tries, [vec!["0"; 2], vec!["1"; 20]].concat());
    assert_eq!(guesses, ["1"]);
}

pub async fn of_fifty_guesses_at_once_five_are_compared(store: Store) {
    let replicas = [store.another(10), store.another(10)];
    register_with_code(&store, "alice", 1, start()).await;
    register_with_code(&store, "bob", 2, start()).await;
    let mut guesses = JoinSet::new();
    for number in 0..50 {
        let replica = replicas[number % 2].clone();
        guesses
            .spawn(async move { replica.count_code_guess(&guess_at(ADDRESS), start()).await.unwrap().len() });
    }
    let compared: Vec<_> = guesses.join_all().await.into_iter().filter(|codes| *codes > 0).collect();
    assert_eq!(compared, [2; 5]);
    assert_eq!(counts(&store).await, (vec!["5".to_owned(); 2], vec!["50".to_owned()]));
    for replica in replicas {
        replica.close().await;
    }
}

pub async fn guesses_at_an_address_are_counted_whether_anybody_claims_it_or_not(store: Store) {
    register_with_code(&store, "alice", 1, start()).await;
    for _ in 0..3 {
        for address in [ADDRESS, "nobody@example.com"] {
            store.count_code_guess(&guess_at(address), start()).await.unwrap();
        }
    }
    assert_eq!(counts(&store).await, (vec!["3".to_owned()], vec!["3".to_owned(); 2]));
}

pub async fn an_address_has_so_many_guesses_in_an_hour_and_no_newer_code_has_more(store: Store) {
    let (alice, _) = register_with_code(&store, "alice", 1, start()).await;
    let mut compared = 0;
    for round in 0..2 * MAX_GUESSES / MAX_TRIES {
        compared += exhaust(&store, start()).await;
        let newer = KeyIssue { code: code(u8::try_from(round).unwrap(), start()), ..issue(&alice, start()) };
        store.issue_key(&newer).await.unwrap().unwrap();
    }
    // Each time one guess was compared with nothing.
    assert_eq!(compared, MAX_GUESSES - MAX_GUESSES / (MAX_TRIES + 1));
    let over = start() + Duration::hours(1);
    let newer = KeyIssue { code: code(200, over - tick()), ..issue(&alice, over - tick()) };
    store.issue_key(&newer).await.unwrap().unwrap();
    assert_eq!(exhaust(&store, over - tick()).await, 0);
    assert_eq!(exhaust(&store, over).await, MAX_TRIES);
    // An hour that a clock began which was wrong keeps nobody from guessing.
    let later = over + Duration::days(365);
    store.count_code_guess(&guess_at(ADDRESS), later).await.unwrap();
    store.execute("UPDATE activation_code_guesses SET guess_count = 1000").await;
    let newer = KeyIssue { code: code(201, over), ..issue(&alice, over) };
    store.issue_key(&newer).await.unwrap().unwrap();
    assert_eq!(exhaust(&store, over).await, MAX_TRIES);
}

pub async fn a_code_guess_that_is_taken_back_is_none(store: Store) {
    register_with_code(&store, "alice", 1, start()).await;
    let codes = compared(&store, start()).await;
    assert_eq!(exhaust(&store, start()).await, MAX_TRIES - 1);
    store.uncount_code_guess(&guess_at(ADDRESS), &codes).await.unwrap();
    assert_eq!(exhaust(&store, start()).await, 1);
    for _ in 0..20 {
        store.uncount_code_guess(&guess_at(ADDRESS), &codes).await.unwrap();
    }
    assert_eq!(counts(&store).await, (vec!["0".to_owned()], vec!["0".to_owned()]));
    store.uncount_code_guess(&guess_at("nobody@example.com"), &[]).await.unwrap();
}

pub async fn x15_a_code_dies_with_the_key_that_it_stands_for(store: Store) {
    let now = start();
    let (alice, _) = register_with_code(&store, "alice", 1, now).await;
    store.disable_user(alice.id, now).await.unwrap().unwrap();
    store.enable_user(alice.id, now).await.unwrap().unwrap();
    assert_eq!(look(&store, now).await, [], "enabled again");
    let (bob, _) = register_with_code(&store, "bob", 2, now).await;
    store.delete_profile(bob.id).await.unwrap().unwrap();
    assert_eq!(look(&store, now).await, [], "without a profile");
    let (carol, _) = register_with_code(&store, "carol", 3, now).await;
    store.delete_user(carol.id, now).await.unwrap().unwrap();
    assert_eq!(look(&store, now).await, [], "deleted");
    let (dora, _) = register_with_code(&store, "dora", 4, now).await;
    for number in 1..=5 {
        let now = now + seconds(number);
        store.issue_key(&issue(&dora, now)).await.unwrap().unwrap();
    }
    assert_eq!(look(&store, now).await, [], "five newer keys");
    assert_eq!(store.count("activation_codes").await, 0);
    // A spent key stays, to say so; the code then leads to it, and to nothing more.
    let (emma, key) = register_with_code(&store, "emma", 5, now).await;
    store.activate(&activation(key, now)).await.unwrap().unwrap();
    assert_eq!(look(&store, now).await, [key]);
    assert!(store.activate(&activation(key, now)).await.unwrap().is_err());
    store.delete_user(emma.id, now).await.unwrap().unwrap();
    assert_eq!(store.count("activation_codes").await, 0);
}

pub async fn codes_and_counts_whose_time_is_over_are_forgotten_and_limited(store: Store) {
    for number in 0..5 {
        let now = start() + seconds(number.into());
        register_with_code(&store, &format!("user{number}"), number, now).await;
        let guess = guess_at(&format!("user{number}@example.com"));
        store.count_code_guess(&guess, now).await.unwrap();
    }
    for (span, codes) in [(LIFETIME, true), (Duration::hours(1), false)] {
        let forget = async |now, limit| {
            if codes {
                store.forget_activation_codes(now, limit).await.unwrap()
            } else {
                store.forget_code_guesses(now, limit).await.unwrap()
            }
        };
        assert_eq!(forget(start() + span - tick(), 10).await, 0);
        assert_eq!(forget(start() + span, 10).await, 1);
        assert_eq!(forget(start() + span + seconds(9), 3).await, 3);
        assert_eq!(forget(start() + span + seconds(9), 3).await, 1);
    }
    assert_eq!(counts(&store).await, (Vec::new(), Vec::new()));
}
