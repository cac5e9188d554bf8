//! Devices: from when and until when one is known, and what a guess from one is counted by.

use chrono::Duration;
use tokio::task::JoinSet;
use vestibule::{
    domain::{
        Timestamp,
        device::{Device, DeviceDigest, known_until},
        password_guess::{Guess, GuessDigest},
        user::{User, UserName},
    },
    repository::{CountedGuess, PasswordLogin},
};

use super::{
    passwords::{login, named, with_password},
    people::{email, password_hash, seconds, start, tick, verify_another_address},
    store::Store,
};

const PHONE: &str = "phone-0123456789";
const LAPTOP: &str = "laptop-0123456789";

fn from(device: &str, name: &UserName) -> Guess {
    Guess::new(name.clone(), Some(&Device::parse(device).unwrap()))
}

fn device(device: &str, name: &UserName) -> DeviceDigest {
    from(device, name).device().unwrap()
}

/// A login from a device that was no stranger, or was one: what is forgotten is what its guess was counted by.
fn login_from(text: &str, user: &User, name: &UserName, is_known: bool, now: Timestamp) -> PasswordLogin {
    let device = device(text, name);
    let digest = if is_known { GuessDigest::of_device(device) } else { GuessDigest::of(name) };
    PasswordLogin { digest, device: Some(device), ..login(user, name, "$first", None, now) }
}

/// Makes a device known.
async fn know(store: &Store, text: &str, user: &User, name: &UserName, now: Timestamp) {
    let login = login_from(text, user, name, false, now);
    store.record_password_login(&login).await.unwrap().unwrap();
}

async fn guess(store: &Store, guess: &Guess, now: Timestamp) -> Result<CountedGuess, Duration> {
    store.count_guess(guess, now).await.unwrap()
}

/// Guesses until one has to wait, and returns how many were let in.
async fn exhaust(store: &Store, one: &Guess, now: Timestamp) -> u32 {
    let mut counted = 0;
    while guess(store, one, now).await.is_ok() {
        counted += 1;
    }
    counted
}

/// Whether a guess from there is counted by the device, each time at an instant at which no other has to wait.
async fn is_known(store: &Store, text: &str, name: &UserName, now: Timestamp) -> bool {
    let counted = guess(store, &from(text, name), now).await.unwrap();
    store.uncount_guess(&counted.digest, now).await.unwrap();
    let by_device = GuessDigest::of_device(device(text, name));
    assert!([GuessDigest::of(name), by_device].contains(&counted.digest));
    counted.digest == by_device
}

pub async fn a_device_is_known_once_somebody_has_logged_in_from_it_and_only_for_that_name(store: Store) {
    let mike = with_password(&store, "mike").await;
    with_password(&store, "anna").await;
    let name = named("mike");
    assert!(!is_known(&store, PHONE, &name, start()).await);
    know(&store, PHONE, &mike, &name, start()).await;
    assert!(is_known(&store, PHONE, &name, start()).await);
    assert!(is_known(&store, PHONE, &named("MIKE"), start()).await);
    assert!(!is_known(&store, LAPTOP, &name, start()).await);
    for other in
        [UserName::Id(mike.id), UserName::Email(email("mike@example.com")), named("anna"), named("nobody")]
    {
        assert!(!is_known(&store, PHONE, &other, start()).await, "{other:?}");
    }
    // By each name that the user has.
    for name in [UserName::Id(mike.id), UserName::Email(email("mike@example.com"))] {
        know(&store, PHONE, &mike, &name, start()).await;
        assert!(is_known(&store, PHONE, &name, start()).await, "{name:?}");
    }
    let counted = guess(&store, &from(PHONE, &name), start()).await.unwrap();
    assert_eq!(counted.credentials.unwrap().user_id, mike.id);
}

pub async fn a_known_device_has_turns_of_its_own_and_all_strangers_share_those_of_the_name(store: Store) {
    let mike = with_password(&store, "mike").await;
    let name = named("mike");
    know(&store, PHONE, &mike, &name, start()).await;
    for number in 0..5 {
        guess(&store, &from(&format!("invented-0123456789-{number}"), &name), start()).await.unwrap();
    }
    let strangers = [from("invented-0123456789-9", &name), Guess::new(name.clone(), None)];
    for stranger in &strangers {
        assert_eq!(guess(&store, stranger, start()).await.unwrap_err(), seconds(1));
    }
    // The device's own failures are nobody else's, and it waits for them as a name does.
    let phone = from(PHONE, &name);
    assert_eq!(exhaust(&store, &phone, start()).await, 5);
    let later = start() + seconds(1);
    guess(&store, &phone, later).await.unwrap();
    assert_eq!(guess(&store, &phone, later).await.unwrap_err(), seconds(2));
    guess(&store, &strangers[0], later).await.unwrap();
    assert_eq!(guess(&store, &strangers[1], later).await.unwrap_err(), seconds(2));
}

pub async fn a_login_forgets_the_failures_that_were_counted_with_it_and_no_others(store: Store) {
    let mike = with_password(&store, "mike").await;
    let name = named("mike");
    know(&store, PHONE, &mike, &name, start()).await;
    let (phone, stranger) = (from(PHONE, &name), Guess::new(name.clone(), None));
    for guess in [&phone, &stranger] {
        assert_eq!(exhaust(&store, guess, start()).await, 5);
    }
    let login = login_from(PHONE, &mike, &name, true, start());
    store.record_password_login(&login).await.unwrap().unwrap();
    assert_eq!(exhaust(&store, &stranger, start()).await, 0);
    assert_eq!(exhaust(&store, &phone, start()).await, 5);
    know(&store, LAPTOP, &mike, &name, start()).await;
    assert_eq!(exhaust(&store, &phone, start()).await, 0);
    assert_eq!(exhaust(&store, &stranger, start()).await, 5);
}

pub async fn a_device_that_becomes_known_again_has_no_failures_from_before(store: Store) {
    let mike = with_password(&store, "mike").await;
    let name = named("mike");
    know(&store, PHONE, &mike, &name, start()).await;
    let phone = from(PHONE, &name);
    assert_eq!(exhaust(&store, &phone, start()).await, 5);
    store.set_password(mike.id, &password_hash("$first")).await.unwrap().unwrap();
    know(&store, PHONE, &mike, &name, start()).await;
    assert_eq!(exhaust(&store, &phone, start()).await, 5);
}

pub async fn of_a_hundred_guesses_at_once_from_a_known_device_five_are_let_in(store: Store) {
    let mike = with_password(&store, "mike").await;
    let name = named("mike");
    know(&store, PHONE, &mike, &name, start()).await;
    let replicas = [store.another(10), store.another(10)];
    let mut guesses = JoinSet::new();
    for number in 0..100 {
        let (replica, phone) = (replicas[number % 2].clone(), from(PHONE, &name));
        guesses.spawn(async move { replica.count_guess(&phone, start()).await.unwrap().is_ok() });
    }
    assert_eq!(guesses.join_all().await.into_iter().filter(|let_in| *let_in).count(), 5);
    for replica in replicas {
        replica.close().await;
    }
}

pub async fn a_device_is_known_for_ninety_days_after_its_last_login(store: Store) {
    let mike = with_password(&store, "mike").await;
    let name = named("mike");
    know(&store, PHONE, &mike, &name, start()).await;
    let end = known_until(start());
    assert_eq!(end, start() + Duration::days(90));
    assert!(is_known(&store, PHONE, &name, end - tick()).await);
    assert!(!is_known(&store, PHONE, &name, end).await);
    let login = login_from(PHONE, &mike, &name, true, end - tick());
    store.record_password_login(&login).await.unwrap().unwrap();
    assert!(is_known(&store, PHONE, &name, known_until(end - tick()) - tick()).await);
    assert!(!is_known(&store, PHONE, &name, known_until(end - tick())).await);
    assert_eq!(store.count("known_devices").await, 1);
}

pub async fn ten_devices_of_a_user_are_known_and_the_one_that_expires_first_gives_way(store: Store) {
    let (mike, anna) = (with_password(&store, "mike").await, with_password(&store, "anna").await);
    let (name, of_anna) = (named("mike"), named("anna"));
    know(&store, PHONE, &anna, &of_anna, start()).await;
    let number = |number: i64| format!("device-0123456789-{number}");
    for one in 0..10 {
        know(&store, &number(one), &mike, &name, start() + seconds(one)).await;
    }
    // The first is used again, so that the second is the next to go.
    let now = start() + seconds(10);
    know(&store, &number(0), &mike, &name, now).await;
    assert_eq!(store.count("known_devices").await, 11);
    for one in 10..13 {
        know(&store, &number(one), &mike, &name, now).await;
    }
    assert_eq!(store.count("known_devices").await, 11);
    for one in 0..13 {
        let expected = !(1..4).contains(&one);
        assert_eq!(is_known(&store, &number(one), &name, now).await, expected, "{one}");
    }
    assert!(is_known(&store, PHONE, &of_anna, now).await);
    // Another server's clock is behind: what it has just let in is known all the same.
    know(&store, LAPTOP, &mike, &name, start() - seconds(9)).await;
    assert!(is_known(&store, LAPTOP, &name, now).await);
    assert_eq!(store.count("known_devices").await, 11);
}

pub async fn however_many_log_in_at_once_ten_devices_of_a_user_are_known(store: Store) {
    let mike = with_password(&store, "mike").await;
    let replicas = [store.another(10), store.another(10)];
    let mut logins = JoinSet::new();
    for number in 0..40 {
        let replica = replicas[number % 2].clone();
        let text = format!("device-0123456789-{number}");
        let login = login_from(&text, &mike, &named("mike"), false, start());
        logins.spawn(async move { replica.record_password_login(&login).await.unwrap().unwrap() });
    }
    logins.join_all().await;
    assert_eq!(store.count("known_devices").await, 10);
    for replica in replicas {
        replica.close().await;
    }
}

pub async fn a_new_password_makes_strangers_of_a_users_devices(store: Store) {
    let (mike, anna) = (with_password(&store, "mike").await, with_password(&store, "anna").await);
    let by_id = UserName::Id(mike.id);
    for name in [&named("mike"), &by_id] {
        know(&store, PHONE, &mike, name, start()).await;
    }
    know(&store, PHONE, &anna, &named("anna"), start()).await;
    // A hash that takes the place of another one by a login is no new password.
    let rehash = PasswordLogin {
        new_hash: Some(password_hash("$second")),
        ..login_from(PHONE, &mike, &by_id, true, start())
    };
    store.record_password_login(&rehash).await.unwrap().unwrap();
    assert!(is_known(&store, PHONE, &named("mike"), start()).await);
    store.set_password(mike.id, &password_hash("$third")).await.unwrap().unwrap();
    for name in [&named("mike"), &by_id] {
        assert!(!is_known(&store, PHONE, name, start()).await);
    }
    assert!(is_known(&store, PHONE, &named("anna"), start()).await);
    assert_eq!(store.count("known_devices").await, 1);
}

pub async fn x17_of_a_login_and_a_new_password_at_one_instant_no_device_stays_known(store: Store) {
    for round in 0..30 {
        let name = format!("user{round}");
        let mike = with_password(&store, &name).await;
        let login = login_from(PHONE, &mike, &named(&name), false, start());
        let (one, other) = (store.clone(), store.clone());
        let id = mike.id;
        let logs_in = tokio::spawn(async move { one.record_password_login(&login).await.unwrap() });
        let sets = tokio::spawn(async move { other.set_password(id, &password_hash("$new")).await.unwrap() });
        logs_in.await.unwrap();
        sets.await.unwrap().unwrap();
        assert_eq!(store.count("known_devices").await, 0);
    }
}

pub async fn x17_a_login_that_changes_nothing_makes_no_device_known(store: Store) {
    let mike = with_password(&store, "mike").await;
    let name = named("mike");
    let stale = login_from(PHONE, &mike, &name, false, start());
    store.set_password(mike.id, &password_hash("$changed")).await.unwrap().unwrap();
    assert_eq!(store.record_password_login(&stale).await.unwrap(), None);
    let disabled = with_password(&store, "anna").await;
    store.disable_user(disabled.id, start()).await.unwrap().unwrap();
    let login = login_from(PHONE, &disabled, &named("anna"), false, start());
    assert_eq!(store.record_password_login(&login).await.unwrap(), None);
    assert_eq!(store.count("known_devices").await, 0);
}

pub async fn a_device_goes_with_its_user_and_with_the_name_that_it_was_known_for(store: Store) {
    let (mike, anna) = (with_password(&store, "mike").await, with_password(&store, "anna").await);
    let address = UserName::Email(email("shared@example.com"));
    verify_another_address(&store, &mike, "shared@example.com").await;
    know(&store, PHONE, &mike, &address, start()).await;
    // The address changes hands.
    let to_anna = format!("UPDATE verified_email_addresses SET user_id = {}", store.id(anna.id.0));
    let shared = "WHERE email = 'shared@example.com'";
    store.execute(format!("{to_anna} {shared}")).await;
    assert!(!is_known(&store, PHONE, &address, start()).await);
    know(&store, PHONE, &anna, &address, start()).await;
    assert!(is_known(&store, PHONE, &address, start()).await);
    know(&store, PHONE, &mike, &named("mike"), start()).await;
    assert_eq!(store.count("known_devices").await, 2);
    store.delete_user(anna.id, start()).await.unwrap().unwrap();
    assert!(!is_known(&store, PHONE, &address, start()).await);
    assert!(is_known(&store, PHONE, &named("mike"), start()).await);
    assert_eq!(store.count("known_devices").await, 1);
}

pub async fn devices_whose_time_is_over_are_forgotten_and_limited(store: Store) {
    let mike = with_password(&store, "mike").await;
    let number = |number: i64| format!("device-0123456789-{number}");
    for one in 0..4 {
        know(&store, &number(one), &mike, &named("mike"), start() + seconds(one)).await;
    }
    let end = known_until(start());
    assert_eq!(store.forget_devices(end - tick(), 10).await.unwrap(), 0);
    for forgotten in [2, 1, 0] {
        assert_eq!(store.forget_devices(end + seconds(2), 2).await.unwrap(), forgotten);
    }
    assert_eq!(store.count("known_devices").await, 1);
    assert!(is_known(&store, &number(3), &named("mike"), start()).await);
}
