//! How many mails may be asked for: counted with the act, kept when the mail is gone.

use chrono::Duration;
use tokio::task::JoinSet;
use vestibule::{
    domain::{
        Timestamp,
        mail_limit::{MailCounter, MailLimit, MailLimitReached, last_span_past},
        request::Mac,
        user::User,
        user_email_address::AddressRefusal,
    },
    repository::{
        CreateProfileRefusal, IssueKeyRefusal, IssueKeysRefusal, KeyIssue, KeyIssues, NewProfile,
        NewRegistration, RegisterRefusal, VerificationKeyRefusal,
    },
};

use super::{
    addresses::{addition, key_for},
    people::{issue, mail, register, registration, registration_at, seconds, start, tick, window},
    purging::scope,
    reminding::{anybody, reminder},
    store::Store,
};

/// A counter of an address, by a number in its place.
fn address(number: u8, most: u32) -> MailCounter {
    MailCounter::new(MailLimit::Address, most, vec![Mac([number; 32])], 0)
}

fn counted(registration: NewRegistration, counters: &[MailCounter]) -> NewRegistration {
    NewRegistration { counters: counters.to_vec(), ..registration }
}

/// Registers somebody whose mail is counted.
async fn register_counted(
    store: &Store,
    name: &str,
    now: Timestamp,
    counters: &[MailCounter],
) -> Result<(), RegisterRefusal> {
    let registration = registration_at(name, &format!("{name}@example.com"), now);
    store.register(&counted(registration, counters)).await.unwrap().map(|_| ())
}

fn reached(refusal: RegisterRefusal) -> MailLimitReached {
    let RegisterRefusal::MailLimit(reached) = refusal else { panic!("{refusal:?}") };
    reached
}

pub async fn what_is_beyond_a_limit_is_refused_and_changes_nothing(store: Store) {
    let counters = [address(1, 2)];
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    register_counted(&store, "bob", start(), &counters).await.unwrap();
    let further = || KeyIssue {
        mail: Some(mail(start() + window())),
        counters: counters.to_vec(),
        ..issue(&alice, start())
    };
    store.issue_key(&further()).await.unwrap().unwrap();
    let (dora, _) = register(&store, "dora", "dora@example.com").await;
    store.delete_profile(dora.id).await.unwrap().unwrap();
    let before = store.contents().await;
    let refusal = register_counted(&store, "carol", start(), &counters).await.unwrap_err();
    assert_eq!(reached(refusal).limit, MailLimit::Address);
    let refusal = store.issue_key(&further()).await.unwrap().unwrap_err();
    assert!(matches!(refusal, IssueKeyRefusal::MailLimit(_)), "{refusal:?}");
    let of_dora = KeyIssue { counters: counters.to_vec(), ..issue(&dora, start()) };
    let profile = NewProfile { issue: of_dora, expire_time: start() + window() };
    let refusal = store.create_profile(&profile).await.unwrap().unwrap_err();
    assert!(matches!(refusal, CreateProfileRefusal::MailLimit(_)), "{refusal:?}");
    let keys = KeyIssues { issues: Vec::new(), request: None, counters: counters.to_vec(), now: start() };
    let refusal = store.issue_keys(&keys).await.unwrap().unwrap_err();
    assert!(matches!(refusal, IssueKeysRefusal::MailLimit(_)), "{refusal:?}");
    assert_eq!(store.contents().await, before);
    register_counted(&store, "carol", start(), &[address(2, 2)]).await.unwrap();
}

pub async fn what_is_refused_for_something_else_is_not_counted(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let counters = [address(1, 1)];
    let taken = counted(registration("alice", "other@example.com"), &counters);
    assert_eq!(store.register(&taken).await.unwrap().unwrap_err(), RegisterRefusal::UsernameTaken);
    let asking = NewRegistration { give_way: false, now: start() + window(), ..taken };
    assert_eq!(store.register(&asking).await.unwrap().unwrap_err(), RegisterRefusal::UsernameExpired);
    let late = KeyIssue { counters: counters.to_vec(), ..issue(&alice, start() + window()) };
    assert!(matches!(store.issue_key(&late).await.unwrap(), Err(IssueKeyRefusal::Key(_))));
    assert_eq!(store.count("mail_counts").await, 0);
    register_counted(&store, "bob", start(), &counters).await.unwrap();
    // Of two counters, that one is full keeps the other as it is.
    let both = [address(2, 1), address(1, 1)];
    register_counted(&store, "carol", start(), &both).await.unwrap_err();
    assert_eq!(store.count("mail_counts").await, 1);
}

pub async fn an_address_is_added_and_its_key_sent_as_often_as_mails_may(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let adding = |address: &str, counters: &[MailCounter]| {
        let mut addition = addition(&alice, address, start());
        addition.issue.counters = counters.to_vec();
        addition
    };
    let counters = [address(1, 2)];
    store.add_email_address(&adding("second@example.com", &counters)).await.unwrap().unwrap();
    let exists = store.add_email_address(&adding("second@example.com", &counters)).await.unwrap();
    assert_eq!(exists, Err(AddressRefusal::Exists.into()), "and is not counted");
    let mut sending = key_for(&alice, "second@example.com", start());
    sending.counters = counters.to_vec();
    store.issue_verification_key(&sending).await.unwrap().unwrap();
    let before = store.contents().await;
    let added = store.add_email_address(&adding("third@example.com", &counters)).await.unwrap();
    assert!(matches!(added, Err(VerificationKeyRefusal::MailLimit(_))), "{added:?}");
    let sent = store.issue_verification_key(&sending).await.unwrap();
    assert!(matches!(sent, Err(VerificationKeyRefusal::MailLimit(_))), "{sent:?}");
    assert_eq!(store.contents().await, before);
    store.add_email_address(&adding("third@example.com", &[address(2, 1)])).await.unwrap().unwrap();
}

/// The sum of each count.
async fn sums(store: &Store) -> Vec<String> {
    let sums = "SELECT CAST(sum(count) AS text) FROM mail_counts GROUP BY counter ORDER BY min(count)";
    store.texts(sums).await
}

pub async fn as_many_are_reminded_as_may_and_only_they_are_counted(store: Store) {
    let mut users = Vec::new();
    for name in ["alice", "bob", "carol", "dora", "eve"] {
        users.push(register(&store, name, &format!("{name}@example.com")).await.0);
    }
    let now = start() + window();
    let limits = |caller, total| {
        [(MailLimit::Caller, caller, 1), (MailLimit::Total, total, 2)]
            .map(|(limit, most, mac)| MailCounter::new(limit, most, vec![Mac([mac; 32])], 0))
    };
    let remind = async |users: &[User], counters: &[MailCounter]| {
        let reminders: Vec<_> = users.iter().map(|user| reminder(user, now)).collect();
        let reminded = store.remind(&anybody(now), &reminders, counters).await.unwrap();
        reminded.map(|users| users.iter().map(|user| user.username.clone()).collect::<Vec<_>>())
    };
    // Alice is not due any more.
    assert_eq!(remind(&users[..1], &[]).await.unwrap(), ["alice"]);
    assert_eq!(remind(&users[..1], &limits(9, 9)).await.unwrap(), [""; 0]);
    assert_eq!(store.count("mail_counts").await, 0);
    assert_eq!(remind(&users[..2], &limits(9, 9)).await.unwrap(), ["bob"]);
    assert_eq!(sums(&store).await, ["1", "1"]);
    // Of three there is room for one, by whichever limit.
    assert_eq!(remind(&users[2..], &limits(9, 2)).await.unwrap(), ["carol"]);
    assert_eq!(sums(&store).await, ["2", "2"]);
    assert_eq!(remind(&users[3..], &limits(3, 9)).await.unwrap(), ["dora"]);
    assert_eq!(sums(&store).await, ["3", "3"]);
    let before = store.contents().await;
    for (limits, limit) in [(limits(3, 9), MailLimit::Caller), (limits(9, 3), MailLimit::Total)] {
        assert_eq!(remind(&users[4..], &limits).await.unwrap_err().limit, limit);
        assert_eq!(store.contents().await, before);
    }
}

pub async fn a_mail_is_counted_for_an_hour_and_told_until_when(store: Store) {
    // The span began 12:00.
    let counters = [address(1, 2)];
    register_counted(&store, "alice", start(), &counters).await.unwrap();
    let later = start() + Duration::minutes(25);
    register_counted(&store, "bob", later, &counters).await.unwrap();
    let hour = start() + Duration::hours(1);
    let refusal = reached(register_counted(&store, "carol", hour, &counters).await.unwrap_err());
    let free = hour + refusal.wait;
    assert_eq!(free, "2026-03-01T13:10:00Z".parse::<Timestamp>().unwrap());
    register_counted(&store, "carol", free - tick(), &counters).await.unwrap_err();
    register_counted(&store, "carol", free, &counters).await.unwrap();
    let refusal = reached(register_counted(&store, "dora", free, &counters).await.unwrap_err());
    assert_eq!(free + refusal.wait, "2026-03-01T13:30:00Z".parse::<Timestamp>().unwrap());
}

pub async fn a_count_outlives_its_user_and_tells_nothing_of_it(store: Store) {
    let counters = [address(1, 1)];
    register_counted(&store, "alice", start(), &counters).await.unwrap();
    let purged = scope(start() + window());
    assert_eq!(store.purge(purged, 1).await.unwrap().len(), 1);
    register_counted(&store, "alice", start() + seconds(1), &counters).await.unwrap_err();
    let held = store.contents().await.join("\n").to_lowercase();
    for text in ["alice", "example.com", "616c696365", "6578616d706c65"] {
        assert!(!held.contains(text), "{text} in {held}");
    }
}

pub async fn a_count_goes_on_under_another_key(store: Store) {
    let [old, new] = [Mac([1; 32]), Mac([2; 32])];
    let by = |macs: &[Mac]| [MailCounter::new(MailLimit::Address, 3, macs.to_vec(), 0)];
    register_counted(&store, "alice", start(), &by(&[old])).await.unwrap();
    register_counted(&store, "bob", start(), &by(&[new, old])).await.unwrap();
    register_counted(&store, "carol", start(), &by(&[old, new])).await.unwrap();
    register_counted(&store, "dora", start(), &by(&[old, new])).await.unwrap_err();
    register_counted(&store, "dora", start(), &by(&[new, old])).await.unwrap_err();
}

pub async fn a_count_is_the_sum_of_its_rows(store: Store) {
    let total = |number| [MailCounter::new(MailLimit::Total, 20, vec![Mac([1; 32])], number)];
    for number in 0..20 {
        register_counted(&store, &format!("user{number}"), start(), &total(number)).await.unwrap();
    }
    assert_eq!(store.count("mail_counts").await, 16);
    for number in 0..16 {
        register_counted(&store, "late", start(), &total(number)).await.unwrap_err();
    }
}

pub async fn x23_whose_address_has_had_its_mails_is_passed_over_in_silence(store: Store) {
    let mut issues = Vec::new();
    for name in ["alice", "bob", "carol"] {
        let (user, _) = register(&store, name, "shared@example.com").await;
        let (mail, counters) = (Some(mail(start() + window())), vec![address(1, 2)]);
        issues.push(KeyIssue { mail, counters, ..issue(&user, start()) });
    }
    let keys = KeyIssues { issues, request: None, counters: vec![address(2, 2)], now: start() };
    assert_eq!(store.issue_keys(&keys).await.unwrap(), Ok(2));
    assert_eq!(store.count("mails").await, 5);
}

pub async fn of_fifty_mails_to_one_address_at_once_as_many_go_as_may(store: Store) {
    let mut calls = JoinSet::new();
    for number in 0..50 {
        let replica = store.clone();
        calls.spawn(async move {
            register_counted(&replica, &format!("user{number}"), start(), &[address(1, 7)]).await
        });
    }
    let outcomes = calls.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 7);
    assert_eq!(store.counts().await, [7, 7, 0, 7, 7, 7]);
}

pub async fn the_oldest_counts_are_forgotten_and_limited(store: Store) {
    for minute in [0, 10, 20, 30] {
        let now = start() + Duration::minutes(minute);
        register_counted(&store, &format!("user{minute}"), now, &[address(1, 9)]).await.unwrap();
    }
    let past = |minutes| last_span_past(start() + Duration::minutes(minutes));
    assert_eq!(store.forget_mail_counts(past(69), 10).await.unwrap(), 0);
    assert_eq!(store.forget_mail_counts(past(95), 2).await.unwrap(), 2);
    assert_eq!(store.forget_mail_counts(past(95), 2).await.unwrap(), 1);
    assert_eq!(store.forget_mail_counts(past(95), 2).await.unwrap(), 0);
    assert_eq!(store.count("mail_counts").await, 1);
}
