//! What was done for calls that brought a request's id: X10.

use chrono::Duration;
use tokio::task::JoinSet;
use vestibule::{
    domain::{
        Timestamp,
        mail::MailState,
        request::{Mac, RequestId, RequestKey},
        site::SiteId,
        user_email_address::AddressRefusal,
    },
    repository::{
        CreateProfileRefusal, IssueKeyRefusal, IssueKeysRefusal, KeyIssue, KeyIssues, MailCount, NewProfile,
        NewRegistration, RegisterRefusal, RemindCount, RequestRecord, VerificationKeyIssue,
        VerificationKeyRefusal,
    },
};

use super::{
    addresses::{addition, key_for},
    people::{issue, mail, register, registration, registration_at, seconds, start, tick, unique_id, window},
    purging::scope,
    store::Store,
};

/// What an act leaves, done at [`start`] for a caller of that name.
fn record(caller: &str) -> RequestRecord {
    RequestRecord {
        key: RequestKey { caller: caller.into(), id: RequestId(unique_id()) },
        fields_mac: Mac([7; 32]),
        create_time: start(),
        user_id: None,
        expire_time: None,
        site: None,
        mails: None,
        reminders: None,
    }
}

fn with(registration: NewRegistration, record: &RequestRecord) -> NewRegistration {
    NewRegistration { request: Some(record.clone()), ..registration }
}

/// Keys for nobody.
fn no_keys() -> KeyIssues {
    KeyIssues { issues: Vec::new(), request: None, counters: Vec::new(), now: start() }
}

/// Holds what is remembered of a request against what was given to be.
async fn assert_remembered(store: &Store, record: &RequestRecord) {
    assert_eq!(store.find_request(&record.key).await.unwrap().as_ref(), Some(record));
}

pub async fn x10_a_registration_is_done_once_and_remembered_whole(store: Store) {
    let asked = registration("alice", "alice@example.com");
    let record = RequestRecord {
        user_id: Some(asked.user_id),
        expire_time: Some(asked.expire_time),
        site: Some(SiteId::parse("shop").unwrap()),
        mails: Some(MailCount { delivered: 3, last_state: Some(MailState::Queued) }),
        ..record("shop")
    };
    assert_eq!(store.find_request(&record.key).await.unwrap(), None);
    store.register(&with(asked, &record)).await.unwrap().unwrap();
    assert_remembered(&store, &record).await;
    let before = store.contents().await;
    // Whatever else it asks for: that the fields are the same is for the caller of the store to see.
    for again in [registration("alice", "alice@example.com"), registration("bob", "bob@example.com")] {
        let other =
            RequestRecord { fields_mac: Mac([8; 32]), create_time: start() + window(), ..record.clone() };
        let refusal = store.register(&with(again, &other)).await.unwrap().unwrap_err();
        assert_eq!(refusal, RegisterRefusal::RequestDone);
    }
    assert_eq!(store.contents().await, before);
}

pub async fn x10_only_what_was_done_is_remembered(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let (nobody, record) = (KeyIssue { user_id: unique_user(), ..issue(&alice, start()) }, record(""));
    let before = store.contents().await;
    let taken = with(registration("alice", "other@example.com"), &record);
    assert_eq!(store.register(&taken).await.unwrap().unwrap_err(), RegisterRefusal::UsernameTaken);
    let asking = NewRegistration { give_way: false, now: start() + window(), ..taken };
    assert_eq!(store.register(&asking).await.unwrap().unwrap_err(), RegisterRefusal::UsernameExpired);
    let nobody = KeyIssue { request: Some(record.clone()), ..nobody };
    assert_eq!(store.issue_key(&nobody).await.unwrap().unwrap_err(), IssueKeyRefusal::UserNotFound);
    let issue = KeyIssue { request: Some(record.clone()), ..issue(&alice, start()) };
    let profile = NewProfile { issue, expire_time: start() + window() };
    let refusal = store.create_profile(&profile).await.unwrap().unwrap_err();
    assert_eq!(refusal, CreateProfileRefusal::ProfileExists);
    assert_eq!(store.contents().await, before);
    // The id is free for what succeeds.
    store.register(&with(registration("bob", "bob@example.com"), &record)).await.unwrap().unwrap();
    assert_remembered(&store, &record).await;
}

fn unique_user() -> vestibule::domain::user::UserId {
    vestibule::domain::user::UserId(unique_id())
}

pub async fn x10_whoever_gives_way_does_so_once(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let (now, record) = (start() + window(), record(""));
    let registration = || with(registration_at("alice", "new@example.com", now), &record);
    store.register(&registration()).await.unwrap().unwrap();
    let refusal = store.register(&registration()).await.unwrap().unwrap_err();
    assert_eq!(refusal, RegisterRefusal::RequestDone);
    assert_eq!(store.events(alice.id.0).await, ["user_registered", "user_deleted expired"]);
    assert_eq!(store.count("users").await, 1);
}

pub async fn x10_a_key_is_issued_and_a_profile_created_once(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let (first, second, third) = (record(""), record(""), record(""));
    let mailed = |record: &RequestRecord| KeyIssue {
        mail: Some(mail(start() + window())),
        request: Some(record.clone()),
        ..issue(&alice, start())
    };
    store.issue_key(&mailed(&first)).await.unwrap().unwrap();
    let refusal = store.issue_key(&mailed(&first)).await.unwrap().unwrap_err();
    assert_eq!(refusal, IssueKeyRefusal::RequestDone);
    store.delete_profile(alice.id).await.unwrap().unwrap();
    let profile = || NewProfile { issue: mailed(&second), expire_time: start() + window() };
    store.create_profile(&profile()).await.unwrap().unwrap();
    let refusal = store.create_profile(&profile()).await.unwrap().unwrap_err();
    assert_eq!(refusal, CreateProfileRefusal::RequestDone);
    let claims = || KeyIssues {
        issues: vec![KeyIssue { request: None, ..mailed(&third) }],
        request: Some(third.clone()),
        ..no_keys()
    };
    assert_eq!(store.issue_keys(&claims()).await.unwrap(), Ok(1));
    assert_eq!(store.issue_keys(&claims()).await.unwrap(), Err(IssueKeysRefusal::RequestDone));
    for record in [&first, &second, &third] {
        assert_remembered(&store, record).await;
    }
    // That of the registration, and one for each request.
    assert_eq!(store.count("mails").await, 4);
}

pub async fn x10_an_address_is_added_and_its_key_sent_once(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let (first, second) = (record(""), record("shop"));
    let with = |issue: VerificationKeyIssue, record: &RequestRecord| VerificationKeyIssue {
        request: Some(record.clone()),
        ..issue
    };
    let adding = |record: &RequestRecord| {
        let mut addition = addition(&alice, "second@example.com", start());
        addition.issue = with(addition.issue, record);
        addition
    };
    let sending = |record: &RequestRecord| with(key_for(&alice, "second@example.com", start()), record);
    store.add_email_address(&adding(&first)).await.unwrap().unwrap();
    store.issue_verification_key(&sending(&second)).await.unwrap().unwrap();
    assert_remembered(&store, &first).await;
    assert_remembered(&store, &second).await;
    let before = store.contents().await;
    for done in [&first, &second] {
        let added = store.add_email_address(&adding(done)).await.unwrap();
        assert_eq!(added, Err(VerificationKeyRefusal::RequestDone));
        let sent = store.issue_verification_key(&sending(done)).await.unwrap();
        assert_eq!(sent, Err(VerificationKeyRefusal::RequestDone));
    }
    // What is refused for something else leaves no record.
    let third = record("");
    let refusal = store.add_email_address(&adding(&third)).await.unwrap().unwrap_err();
    assert_eq!(refusal, AddressRefusal::Exists.into());
    let primary = with(key_for(&alice, "alice@example.com", start()), &third);
    let refusal = store.issue_verification_key(&primary).await.unwrap().unwrap_err();
    assert_eq!(refusal, AddressRefusal::UserPending.into());
    assert_eq!(store.contents().await, before);
}

pub async fn x10_what_several_acts_have_done_is_remembered_once(store: Store) {
    for (count, more) in [(0, false), (70, true)] {
        let reminders = Some(RemindCount { count, more });
        let record = RequestRecord { reminders, ..record("") };
        assert!(store.remember_request(&record).await.unwrap());
        let other =
            RequestRecord { reminders: Some(RemindCount { count: 9, more: !more }), ..record.clone() };
        assert!(!store.remember_request(&other).await.unwrap());
        assert_remembered(&store, &record).await;
    }
    assert_eq!(store.count("requests").await, 2);
}

pub async fn x23_keys_for_several_users_pass_over_whoever_can_have_none(store: Store) {
    let mut issues = Vec::new();
    for name in ["alice", "bob", "carol", "dora", "eve"] {
        let (user, _) = register(&store, name, "shared@example.com").await;
        issues.push(KeyIssue { mail: Some(mail(start() + window())), ..issue(&user, start() + seconds(1)) });
    }
    // In an order that is none of theirs.
    issues.reverse();
    store.delete_profile(issues[0].user_id).await.unwrap().unwrap();
    store.disable_user(issues[1].user_id, start()).await.unwrap().unwrap();
    issues[2].email = "another@example.com".into();
    store.delete_user(issues[3].user_id, start()).await.unwrap().unwrap();
    let left = issues[4].user_id;
    let keys = KeyIssues { issues, ..no_keys() };
    assert_eq!(store.issue_keys(&keys).await.unwrap(), Ok(1));
    let mailed = format!("mails WHERE user_id = {}", store.id(left.0));
    assert_eq!((store.count(&mailed).await, store.count("mails").await), (2, 5));
    assert_eq!(store.issue_keys(&no_keys()).await.unwrap(), Ok(0));
}

pub async fn x10_equal_ids_of_two_callers_are_two_requests(store: Store) {
    let shop = record("shop");
    let key = RequestKey { caller: "forum".into(), ..shop.key.clone() };
    let forum = RequestRecord { key, fields_mac: Mac([9; 32]), ..shop.clone() };
    for (name, record) in [("alice", &shop), ("bob", &forum)] {
        assert_eq!(store.find_request(&record.key).await.unwrap(), None);
        let registration = registration(name, &format!("{name}@example.com"));
        store.register(&with(registration, record)).await.unwrap().unwrap();
    }
    assert_remembered(&store, &shop).await;
    assert_remembered(&store, &forum).await;
}

pub async fn x10_a_record_outlives_its_user_and_holds_nothing_of_it_but_id_and_times(store: Store) {
    let asked = registration("alice", "alice@example.com");
    let record = RequestRecord {
        user_id: Some(asked.user_id),
        expire_time: Some(asked.expire_time),
        ..record("shop")
    };
    store.register(&with(asked, &record)).await.unwrap().unwrap();
    store.purge(scope(start() + window()), 1).await.unwrap();
    assert_eq!(store.count("users").await, 0);
    assert_remembered(&store, &record).await;
    let held = store.contents().await.join("\n").to_lowercase();
    for text in ["alice", "example.com", "sealed", "616c696365", "6578616d706c65"] {
        assert!(!held.contains(text), "{text} in {held}");
    }
    let again = with(registration("alice", "alice@example.com"), &record);
    assert_eq!(store.register(&again).await.unwrap().unwrap_err(), RegisterRefusal::RequestDone);
    assert_eq!(store.count("users").await, 0);
}

pub async fn x10_the_oldest_requests_are_forgotten_first_and_limited(store: Store) {
    let done_at = |time: Timestamp| RequestRecord { create_time: time, ..record("") };
    let records = [2, 0, 1, 3].map(|second| done_at(start() + seconds(second)));
    for (number, record) in records.iter().enumerate() {
        let registration = registration(&format!("user{number}"), &format!("user{number}@example.com"));
        store.register(&with(registration, record)).await.unwrap().unwrap();
    }
    let left = async |store: &Store| {
        let mut left = Vec::new();
        for (number, record) in records.iter().enumerate() {
            if store.find_request(&record.key).await.unwrap().is_some() {
                left.push(number);
            }
        }
        left
    };
    assert_eq!(store.forget_requests(start() - tick(), 10).await.unwrap(), 0);
    assert_eq!(store.forget_requests(start() + seconds(3) - tick(), 2).await.unwrap(), 2);
    assert_eq!(left(&store).await, [0, 3]);
    assert_eq!(store.forget_requests(start() + seconds(3), 10).await.unwrap(), 2);
    assert_eq!(store.forget_requests(start() + Duration::days(1), 10).await.unwrap(), 0);
    assert_eq!(store.count("users").await, 4);
}

pub async fn x10_of_fifty_calls_with_one_id_one_is_done(store: Store) {
    let record = record("");
    let mut calls = JoinSet::new();
    for number in 0..50 {
        let replica = store.clone();
        let registration = with(registration(&format!("user{number}"), "shared@example.com"), &record);
        calls.spawn(async move { replica.register(&registration).await.unwrap() });
    }
    let outcomes = calls.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let lost = outcomes.iter().filter(|outcome| **outcome == Err(RegisterRefusal::RequestDone)).count();
    assert_eq!(lost, 49);
    assert_eq!(store.counts().await, [1, 1, 0, 1, 1, 1]);
    assert_eq!(store.count("requests").await, 1);
}
