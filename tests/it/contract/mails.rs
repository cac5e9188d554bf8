//! The mails as an operator sees them, and what an operator does about one.

use uuid::Uuid;
use vestibule::{
    domain::{
        delivery::Settlement,
        mail::{Mail, MailFilter, MailId, MailKind, MailState, NewMail},
        page::PageSize,
        user::{User, UserId},
    },
    repository::{KeyIssue, MailRefusal},
};

use super::{
    people::{email, issue, mail, register, registration_at, seconds, start, tick, unique_id, window},
    store::Store,
};

/// Which mails of which users a filter selects.
type Condition<'a> = &'a (dyn Fn(MailId, UserId) -> bool + Sync);

/// Queues a further mail of a user.
async fn queue(store: &Store, user: &User, second: i64) -> MailId {
    let (now, mail) = (start() + seconds(second), mail(start() + window()));
    let id = mail.id;
    let issue = KeyIssue { mail: Some(mail), ..issue(user, now) };
    store.issue_key(&issue).await.unwrap().unwrap();
    id
}

async fn the_mail_of(store: &Store, user: &User) -> Mail {
    let filter = MailFilter { user_id: Some(user.id), ..Default::default() };
    list(store, &filter, 1).await.remove(0)
}

/// Every mail that the filter selects, `size` at a time.
async fn list(store: &Store, filter: &MailFilter, size: i32) -> Vec<Mail> {
    let size = PageSize::parse(size).unwrap();
    let (mut mails, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_mails(filter, size, after).await.unwrap();
        assert!(page.items.len() <= size.get());
        mails.extend(page.items);
        after = page.next;
        if after.is_none() {
            return mails;
        }
    }
}

/// Takes a lease on every mail that is due a minute after [`start`].
async fn claim(store: &Store) -> Uuid {
    let (now, token) = (start() + seconds(60), unique_id());
    store.claim_mails(now, now + seconds(30), token, 100).await.unwrap();
    token
}

pub async fn a_mail_is_shown_whole_but_for_its_text(store: Store) {
    let registration = registration_at("alice", "Alice@example.com", start());
    let alice = store.register(&registration).await.unwrap().unwrap();
    let id = registration.mail.unwrap().id;
    let mut expected = Mail {
        id,
        user_id: alice.id,
        kind: MailKind::Activation,
        recipient: "Alice@example.com".into(),
        state: MailState::Queued,
        attempt: 0,
        next_attempt_time: start(),
        last_error: None,
        create_time: start(),
        finish_time: None,
        expire_time: start() + window(),
    };
    assert_eq!(store.find_mail(id).await.unwrap().as_ref(), Some(&expected));
    let token = claim(&store).await;
    let (now, next_attempt_time) = (start() + seconds(61), start() + seconds(99));
    let retry = Settlement::Retry { next_attempt_time, error: "421 busy".into() };
    assert!(store.settle_mail(id, token, &retry, now).await.unwrap());
    expected = Mail { attempt: 1, next_attempt_time, last_error: Some("421 busy".into()), ..expected };
    assert_eq!(store.find_mail(id).await.unwrap().as_ref(), Some(&expected));
    let due = store.retry_mail(id, now).await.unwrap().unwrap();
    assert_eq!(due, Mail { next_attempt_time: now, ..expected.clone() });
    let token = claim_at(&store, now).await;
    assert!(store.settle_mail(id, token, &Settlement::Delivered, now).await.unwrap());
    let (state, finish_time) = (MailState::Delivered, Some(now));
    let delivered = Mail { attempt: 2, next_attempt_time: now, state, finish_time, ..expected };
    assert_eq!(store.find_mail(id).await.unwrap(), Some(delivered.clone()));
    assert_eq!(list(&store, &MailFilter::default(), 100).await, [delivered]);
    assert_eq!(store.find_mail(MailId(unique_id())).await.unwrap(), None);
}

async fn claim_at(store: &Store, now: vestibule::domain::Timestamp) -> Uuid {
    let token = unique_id();
    store.claim_mails(now, now + seconds(30), token, 100).await.unwrap();
    token
}

pub async fn u4_mails_are_listed_by_every_condition_page_by_page(store: Store) {
    let (alice, _) = register(&store, "alice", "shared@example.com").await;
    let (bob, _) = register(&store, "bob", "shared@example.com").await;
    let (carol, _) = register(&store, "carol", "carol@example.com").await;
    let mut all = Vec::new();
    for user in [&alice, &bob, &carol] {
        all.push((0, the_mail_of(&store, user).await.id, user.id));
    }
    for second in (1..=4).rev() {
        all.push((second, queue(&store, &alice, second).await, alice.id));
        // Several of one instant are in the order of their ids.
        all.push((second, queue(&store, &carol, second).await, carol.id));
    }
    all.sort_unstable();
    let discarded = [all[1].1, all[5].1, all[6].1];
    for id in discarded {
        store.discard_mail(id, start()).await.unwrap().unwrap();
    }
    let none = MailFilter::default;
    let of = |user: &User| MailFilter { user_id: Some(user.id), ..none() };
    let to = |address: &str| MailFilter { recipient: Some(email(address)), ..none() };
    let in_state = |state, filter| MailFilter { state: Some(state), ..filter };
    let cases: [(MailFilter, Condition<'_>); 8] = [
        (none(), &|_, _| true),
        (of(&alice), &|_, user| user == alice.id),
        (of(&bob), &|_, user| user == bob.id),
        (to("shared@EXAMPLE.com"), &|_, user| user != carol.id),
        (in_state(MailState::Discarded, none()), &|id, _| discarded.contains(&id)),
        (in_state(MailState::Delivered, none()), &|_, _| false),
        (in_state(MailState::Queued, of(&carol)), &|id, user| user == carol.id && !discarded.contains(&id)),
        (in_state(MailState::Discarded, to("carol@example.com")), &|id, user| {
            user == carol.id && discarded.contains(&id)
        }),
    ];
    for (filter, selects) in cases {
        let expected: Vec<_> =
            all.iter().filter(|(_, id, user)| selects(*id, *user)).map(|(_, id, _)| *id).collect();
        for size in [1, 2, 3, 1000] {
            let listed: Vec<_> = list(&store, &filter, size).await.iter().map(|mail| mail.id).collect();
            assert_eq!(listed, expected, "{filter:?} by {size}");
        }
    }
    let both = MailFilter { user_id: Some(bob.id), ..to("carol@example.com") };
    assert!(list(&store, &both, 10).await.is_empty());
}

pub async fn a_retry_makes_a_queued_mail_due_and_nothing_later(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let id = the_mail_of(&store, &alice).await.id;
    let mail = store.retry_mail(id, start() + seconds(9)).await.unwrap().unwrap();
    assert_eq!(mail.next_attempt_time, start(), "what is due since then stays so");
    let token = claim(&store).await;
    let next_attempt_time = start() + window() - tick();
    let retry = Settlement::Retry { next_attempt_time, error: "421 busy".into() };
    store.settle_mail(id, token, &retry, start() + seconds(60)).await.unwrap();
    let now = start() + seconds(61);
    assert_eq!(store.retry_mail(id, now).await.unwrap().unwrap().next_attempt_time, now);
    // While it is being sent, the lease stays whose it is.
    let token = claim_at(&store, now).await;
    store.retry_mail(id, now).await.unwrap().unwrap();
    let again = store.claim_mails(now, now + seconds(30), unique_id(), 10).await.unwrap();
    assert!(again.mails.is_empty());
    assert!(store.settle_mail(id, token, &Settlement::Delivered, now).await.unwrap());
    let before = store.contents().await;
    assert_eq!(store.retry_mail(id, now).await.unwrap(), Err(MailRefusal::Finished));
    assert_eq!(store.discard_mail(id, now).await.unwrap(), Err(MailRefusal::Finished));
    let nobody = MailId(unique_id());
    assert_eq!(store.retry_mail(nobody, now).await.unwrap(), Err(MailRefusal::MailNotFound));
    assert_eq!(store.discard_mail(nobody, now).await.unwrap(), Err(MailRefusal::MailNotFound));
    assert_eq!(store.contents().await, before);
}

pub async fn x20_a_mail_discarded_by_hand_is_erased_and_told_of_once(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let id = the_mail_of(&store, &alice).await.id;
    let now = start() + seconds(1);
    let mail = store.discard_mail(id, now).await.unwrap().unwrap();
    assert_eq!(
        (mail.state, mail.finish_time, mail.last_error.as_deref()),
        (MailState::Discarded, Some(now), None)
    );
    assert_eq!(store.count("mails WHERE sealed_text IS NULL AND claim_token IS NULL").await, 1);
    assert_eq!(store.events(alice.id.0).await, ["user_registered", "activation_mail_failed"]);
    let told = format!("events WHERE mail_id = {} AND create_time = {}", store.id(id.0), store.at(now));
    assert_eq!(store.count(&told).await, 1);
    let before = store.contents().await;
    assert_eq!(store.discard_mail(id, now + seconds(1)).await.unwrap(), Ok(mail));
    assert_eq!(store.retry_mail(id, now).await.unwrap(), Err(MailRefusal::Finished));
    assert_eq!(store.contents().await, before);
}

pub async fn only_what_carries_an_activation_key_is_told_of_as_failed(store: Store) {
    let kinds =
        [(MailKind::Reminder, 1), (MailKind::EmailVerification, 0), (MailKind::PrimaryEmailChanged, 0)];
    for (kind, events) in kinds {
        let mut registration = registration_at(kind.as_str(), "alice@example.com", start());
        registration.mail = registration.mail.map(|mail| NewMail { kind, ..mail });
        let user = store.register(&registration).await.unwrap().unwrap();
        let id = registration.mail.unwrap().id;
        assert_eq!(store.discard_mail(id, start()).await.unwrap().unwrap().kind, kind);
        assert_eq!(store.events(user.id.0).await.len(), 1 + events, "{kind:?}");
    }
}

pub async fn a_worker_settles_nothing_that_was_discarded_under_it(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let token = claim(&store).await;
    let id = the_mail_of(&store, &alice).await.id;
    store.discard_mail(id, start() + seconds(61)).await.unwrap().unwrap();
    let before = store.contents().await;
    let retry = Settlement::Retry { next_attempt_time: start(), error: "421 busy".into() };
    for settlement in [Settlement::Delivered, Settlement::Discarded { error: "550".into() }, retry] {
        assert!(!store.settle_mail(id, token, &settlement, start() + seconds(62)).await.unwrap());
    }
    assert_eq!(store.contents().await, before);
    let later = start() + window();
    assert!(store.claim_mails(later, later + seconds(30), unique_id(), 10).await.unwrap().mails.is_empty());
}
