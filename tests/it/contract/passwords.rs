//! Passwords: what a guess is held against, how guesses are counted, and what a login and a new password change.

use chrono::Duration;
use tokio::task::JoinSet;
use vestibule::{
    domain::{
        Timestamp,
        password_guess::{Guess, GuessDigest},
        user::{User, UserId, UserName, UserState},
    },
    repository::PasswordLogin,
};

use super::{
    people::{
        email, find, log_in, password_hash, register, register_active, seconds, start, tick, unique_id,
        username,
    },
    store::Store,
};

/// Every guess in the database, as the counts of failures.
const COUNTS: &str = "SELECT CAST(failure_count AS text) FROM password_guesses ORDER BY failure_count";

pub fn named(name: &str) -> UserName {
    UserName::Username(username(name))
}

/// A guess from nowhere in particular.
fn from_nowhere(name: &UserName) -> Guess {
    Guess::new(name.clone(), None)
}

/// How long a guess has to wait, or that it was counted.
async fn guess(store: &Store, name: &UserName, now: Timestamp) -> Result<(), Duration> {
    store.count_guess(&from_nowhere(name), now).await.unwrap().map(drop)
}

/// Guesses until one has to wait, and returns how many were let in.
async fn exhaust(store: &Store, name: &UserName, now: Timestamp) -> u32 {
    let mut counted = 0;
    while guess(store, name, now).await.is_ok() {
        counted += 1;
    }
    counted
}

/// An active user with a password.
pub async fn with_password(store: &Store, name: &str) -> User {
    let (user, _) = register_active(store, name, &format!("{name}@example.com")).await;
    store.set_password(user.id, &password_hash("$first")).await.unwrap().unwrap()
}

pub fn login(
    user: &User,
    name: &UserName,
    verified: &str,
    new: Option<&str>,
    now: Timestamp,
) -> PasswordLogin {
    PasswordLogin {
        user_id: user.id,
        digest: GuessDigest::of(name),
        device: None,
        verified_hash: password_hash(verified),
        new_hash: new.map(password_hash),
        now,
    }
}

async fn stored_hash(store: &Store, user: &User) -> String {
    let id = store.id(user.id.0);
    store.texts(format!("SELECT coalesce(password_hash, 'none') FROM users WHERE id = {id}")).await.concat()
}

pub async fn x23_credentials_are_found_by_id_by_username_and_by_the_email_that_is_verified(store: Store) {
    let mike = with_password(&store, "mike").await;
    let (anna, _) = register(&store, "anna", "anna@example.com").await;
    let address = |text| UserName::Email(email(text));
    for (name, found) in [
        (UserName::Id(mike.id), Some((mike.id, UserState::Active, Some("$first")))),
        (named("MIKE"), Some((mike.id, UserState::Active, Some("$first")))),
        (address("mike@EXAMPLE.com"), Some((mike.id, UserState::Active, Some("$first")))),
        (named("anna"), Some((anna.id, UserState::Pending, None))),
        (address("anna@example.com"), None),
        (named("nobody"), None),
        (UserName::Id(UserId(unique_id())), None),
    ] {
        for credentials in [
            store.find_credentials(&name).await.unwrap(),
            store.count_guess(&from_nowhere(&name), start()).await.unwrap().unwrap().credentials,
        ] {
            let seen = credentials
                .as_ref()
                .map(|one| (one.user_id, one.state, one.password_hash.as_ref().map(|hash| hash.expose())));
            assert_eq!(seen, found, "{name:?}");
        }
    }
}

pub async fn guesses_are_counted_alike_whether_there_is_such_a_user_or_not(store: Store) {
    with_password(&store, "active").await;
    register(&store, "pending", "pending@example.com").await;
    let (disabled, _) = register(&store, "disabled", "disabled@example.com").await;
    store.disable_user(disabled.id, start()).await.unwrap().unwrap();
    for name in ["active", "pending", "disabled", "nobody"] {
        let (name, mut now, mut waits) = (named(name), start(), Vec::new());
        for _ in 0..12 {
            guess(&store, &name, now).await.unwrap();
            let wait = guess(&store, &name, now).await.err().unwrap_or_default();
            waits.push(wait.num_seconds());
            now += wait;
        }
        // The looks at how long the wait is were guesses themselves, as long as there was none.
        assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60], "{name:?}");
    }
    assert_eq!(store.texts(COUNTS).await, ["14"; 4]);
}

pub async fn a_guess_that_comes_too_soon_is_refused_and_changes_nothing(store: Store) {
    let (name, other) = (named("mike"), named("anna"));
    assert_eq!(exhaust(&store, &name, start()).await, 5);
    let rows =
        "SELECT CAST(failure_count AS text) || ' ' || CAST(retry_time AS text) || CAST(expire_time AS text)
        FROM password_guesses";
    let before = store.texts(rows).await;
    for micros in [0, 1, 999_999] {
        let wait = guess(&store, &name, start() + Duration::microseconds(micros)).await.unwrap_err();
        assert_eq!(wait, seconds(1) - Duration::microseconds(micros));
    }
    assert_eq!(store.texts(rows).await, before);
    guess(&store, &other, start()).await.unwrap();
    guess(&store, &name, start() + seconds(1)).await.unwrap();
    assert_eq!(guess(&store, &name, start() + seconds(1)).await, Err(seconds(2)));
}

pub async fn of_a_hundred_guesses_at_once_five_are_let_in(store: Store) {
    let replicas = [store.another(10), store.another(10)];
    for name in ["first", "second"] {
        let mut guesses = JoinSet::new();
        for number in 0..100 {
            let replica = replicas[number % 2].clone();
            guesses.spawn(async move {
                replica.count_guess(&from_nowhere(&named(name)), start()).await.unwrap().is_ok()
            });
        }
        let let_in = guesses.join_all().await.into_iter().filter(|let_in| *let_in).count();
        assert_eq!(let_in, 5);
    }
    for replica in replicas {
        replica.close().await;
    }
}

pub async fn a_guess_that_is_taken_back_is_none(store: Store) {
    let name = named("mike");
    let digest = GuessDigest::of(&name);
    assert_eq!(exhaust(&store, &name, start()).await, 5);
    store.uncount_guess(&digest, start()).await.unwrap();
    assert_eq!(exhaust(&store, &name, start()).await, 1);
    for _ in 0..9 {
        store.uncount_guess(&digest, start()).await.unwrap();
    }
    assert_eq!(store.count("password_guesses").await, 0);
    store.uncount_guess(&GuessDigest::of(&named("nobody")), start()).await.unwrap();
    assert_eq!(exhaust(&store, &name, start()).await, 5);
}

pub async fn failures_are_forgotten_in_their_time_and_their_rows_deleted_as_new_ones_come(store: Store) {
    for number in 0..25 {
        guess(&store, &named(&format!("user{number}")), start()).await.unwrap();
    }
    let forgotten = start() + Duration::hours(1);
    exhaust(&store, &named("user0"), forgotten - tick()).await;
    assert_eq!(store.count("password_guesses").await, 25);
    // A row that is there is written again, and nothing deleted.
    guess(&store, &named("user1"), forgotten).await.unwrap();
    assert_eq!(store.count("password_guesses").await, 25);
    for (new, left) in [("a", 16), ("b", 7), ("c", 5), ("d", 6)] {
        guess(&store, &named(new), forgotten).await.unwrap();
        assert_eq!(store.count("password_guesses").await, left, "{new}");
    }
    assert_eq!(store.texts(COUNTS).await, ["1", "1", "1", "1", "1", "5"]);
}

pub async fn u7_a_login_by_password_is_recorded_and_its_failures_forgotten(store: Store) {
    let mike = with_password(&store, "mike").await;
    let (name, other) = (named("mike"), UserName::Id(mike.id));
    for name in [&name, &other] {
        guess(&store, name, start()).await.unwrap();
    }
    let now = start() + seconds(9);
    let user = store.record_password_login(&login(&mike, &name, "$first", None, now)).await.unwrap().unwrap();
    assert_eq!(user, User { last_login_time: Some(now), ..mike.clone() });
    assert_eq!(find(&store, &mike).await, Some(user));
    assert_eq!(stored_hash(&store, &mike).await, "$first");
    // Those that were counted by another name stay.
    assert_eq!(store.count("password_guesses").await, 1);
    let rehash = login(&mike, &other, "$first", Some("$second"), now + seconds(1));
    let user = store.record_password_login(&rehash).await.unwrap().unwrap();
    assert_eq!(user.last_login_time, Some(now + seconds(1)));
    assert_eq!(stored_hash(&store, &mike).await, "$second");
    assert_eq!(store.count("password_guesses").await, 0);
    assert_eq!(store.events(mike.id.0).await, ["user_registered", "user_activated"]);
}

pub async fn u7_an_earlier_login_by_password_takes_nothing_back(store: Store) {
    let mike = with_password(&store, "mike").await;
    let late = start() + seconds(100);
    log_in(&store, &mike, late).await;
    let earlier = login(&mike, &named("mike"), "$first", None, late - tick());
    let user = store.record_password_login(&earlier).await.unwrap().unwrap();
    assert_eq!(user.last_login_time, Some(late));
}

pub async fn x17_a_login_by_a_hash_that_is_no_longer_stored_changes_nothing(store: Store) {
    let mike = with_password(&store, "mike").await;
    let anna = with_password(&store, "anna").await;
    let name = named("mike");
    guess(&store, &name, start()).await.unwrap();
    store.set_password(mike.id, &password_hash("$changed")).await.unwrap().unwrap();
    let before = store.contents().await;
    for stale in [
        login(&mike, &name, "$first", None, start()),
        login(&mike, &name, "$first", Some("$second"), start()),
        login(&mike, &name, "", Some("$second"), start()),
        PasswordLogin { user_id: UserId(unique_id()), ..login(&anna, &name, "$first", None, start()) },
    ] {
        assert_eq!(store.record_password_login(&stale).await.unwrap(), None);
    }
    assert_eq!(store.contents().await, before);
    assert_eq!(store.texts(COUNTS).await, ["1"]);
}

pub async fn x17_who_is_no_longer_active_does_not_log_in(store: Store) {
    let mike = with_password(&store, "mike").await;
    store.disable_user(mike.id, start()).await.unwrap().unwrap();
    let (anna, _) = register(&store, "anna", "anna@example.com").await;
    store.set_password(anna.id, &password_hash("$first")).await.unwrap().unwrap();
    let before = store.contents().await;
    for user in [&mike, &anna] {
        let login = login(user, &named("x"), "$first", Some("$second"), start());
        assert_eq!(store.record_password_login(&login).await.unwrap(), None);
    }
    assert_eq!(store.contents().await, before);
}

pub async fn x17_of_a_login_and_a_new_password_at_one_instant_the_new_password_stays(store: Store) {
    for round in 0..30 {
        let mike = with_password(&store, &format!("user{round}")).await;
        let login = login(&mike, &named("x"), "$first", Some("$rehashed"), start());
        let (one, other) = (store.clone(), store.clone());
        let id = mike.id;
        let logs_in = tokio::spawn(async move { one.record_password_login(&login).await.unwrap() });
        let sets = tokio::spawn(async move { other.set_password(id, &password_hash("$new")).await.unwrap() });
        logs_in.await.unwrap();
        sets.await.unwrap().unwrap();
        assert_eq!(stored_hash(&store, &mike).await, "$new");
    }
}

pub async fn x9_a_password_is_given_or_replaced_whatever_the_state(store: Store) {
    let (pending, _) = register(&store, "pending", "pending@example.com").await;
    let (active, _) = register_active(&store, "active", "active@example.com").await;
    let (disabled, _) = register(&store, "disabled", "disabled@example.com").await;
    store.disable_user(disabled.id, start()).await.unwrap().unwrap();
    for user in [&pending, &active, &disabled] {
        assert_eq!(stored_hash(&store, user).await, "none");
        for hash in ["$first", "$second"] {
            let set = store.set_password(user.id, &password_hash(hash)).await.unwrap();
            assert_eq!(set, find(&store, user).await);
            assert_eq!(stored_hash(&store, user).await, hash);
        }
    }
    assert_eq!(store.set_password(UserId(unique_id()), &password_hash("$third")).await.unwrap(), None);
    assert_eq!(store.count("users WHERE password_hash = '$second'").await, 3);
}

pub async fn x20_setting_a_password_is_told_to_nobody(store: Store) {
    let (user, _) = register(&store, "mike", "mike@example.com").await;
    let (events, mails) = (store.count("events").await, store.count("mails").await);
    store.set_password(user.id, &password_hash("$first")).await.unwrap().unwrap();
    assert_eq!((store.count("events").await, store.count("mails").await), (events, mails));
}
