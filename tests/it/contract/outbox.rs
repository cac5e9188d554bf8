//! The mails that wait: leases, attempts, and what becomes of them.

use chrono::Duration;
use uuid::Uuid;
use vestibule::{
    domain::{
        Timestamp,
        delivery::{ClaimedMail, MailLease, Settlement, Unfit, UnfitMail},
        mail::{MailId, MailKind, NewMail},
        user::User,
    },
    repository::NewRegistration,
};

use super::{
    people::{mail, register, registration_at, seconds, start, tick, unique_id, window},
    purging::scope,
    store::Store,
};

/// How long a lease lives in these cases.
fn lease() -> Duration {
    seconds(30)
}

/// Registers somebody whose mail is due at `now`.
async fn queue(store: &Store, name: &str, now: Timestamp) -> (User, NewMail) {
    let registration = registration_at(name, &format!("{name}@example.com"), now);
    let user = store.register(&registration).await.unwrap().unwrap();
    (user, registration.mail.unwrap())
}

/// Claims up to ten mails under a token of the claim's own.
async fn claim(store: &Store, now: Timestamp) -> (Uuid, Vec<ClaimedMail>) {
    let token = unique_id();
    (token, store.claim_mails(now, now + lease(), token, 10).await.unwrap().mails)
}

fn ids(mails: &[ClaimedMail]) -> Vec<MailId> {
    mails.iter().map(|mail| mail.id).collect()
}

/// Tries to settle a mail, and expects that it has changed nothing.
async fn assert_settles_nothing(store: &Store, id: MailId, token: Uuid, now: Timestamp) {
    let before = store.contents().await;
    for settlement in [
        Settlement::Delivered,
        Settlement::Discarded { error: "refused".into() },
        Settlement::Withdrawn,
        Settlement::Retry { next_attempt_time: now, error: "busy".into() },
        Settlement::Returned { next_attempt_time: now, error: None },
    ] {
        assert!(!store.settle_mail(id, token, &settlement, now).await.unwrap());
    }
    assert_eq!(store.contents().await, before);
}

pub async fn a_claimed_mail_is_whole(store: Store) {
    let mut registration = registration_at("alice", "Alice@Example.com", start());
    let sealed_text: Vec<u8> = (0..=255).collect();
    registration.mail = Some(NewMail { sealed_text: sealed_text.clone(), ..mail(start() + window()) });
    let user = store.register(&registration).await.unwrap().unwrap();
    let (token, claimed) = claim(&store, start()).await;
    let [mail] = &claimed[..] else { panic!("one mail") };
    assert_eq!(mail.id, registration.mail.unwrap().id);
    assert_eq!((mail.user_id, mail.kind), (user.id, MailKind::Activation));
    assert_eq!(mail.recipient, "Alice@example.com");
    assert_eq!(mail.sealed_text, sealed_text);
    assert_eq!((mail.attempt, mail.claim_token), (1, token));
    assert_eq!((mail.create_time, mail.expire_time), (start(), start() + window()));
}

pub async fn a_mail_is_handed_out_when_it_is_due_and_not_a_microsecond_earlier(store: Store) {
    let (_, mail) = queue(&store, "alice", start()).await;
    assert_eq!(ids(&claim(&store, start() - tick()).await.1), []);
    assert_eq!(ids(&claim(&store, start()).await.1), [mail.id]);
}

pub async fn no_mail_is_handed_out_twice_while_its_lease_lives(store: Store) {
    let (_, mail) = queue(&store, "alice", start()).await;
    assert_eq!(ids(&claim(&store, start()).await.1), [mail.id]);
    assert_eq!(ids(&claim(&store, start()).await.1), []);
    assert_eq!(ids(&claim(&store, start() + lease() - tick()).await.1), []);
    assert_eq!(ids(&claim(&store, start() + lease()).await.1), [mail.id]);
}

pub async fn mails_due_longest_come_first_and_limited(store: Store) {
    let mut due = Vec::new();
    for (name, second) in [("c", 3), ("a", 1), ("e", 5), ("b", 2), ("d", 4)] {
        due.push((name, queue(&store, name, start() + seconds(second)).await.1.id));
    }
    due.sort_unstable();
    let due: Vec<_> = due.into_iter().map(|(_, id)| id).collect();
    let now = start() + seconds(9);
    for expected in [&due[..2], &due[2..4], &due[4..], &[]] {
        let claimed = store.claim_mails(now, now + lease(), unique_id(), 2).await.unwrap().mails;
        assert_eq!(ids(&claimed), expected);
    }
}

pub async fn each_claim_counts_an_attempt(store: Store) {
    queue(&store, "alice", start()).await;
    for attempt in 1..=4 {
        let (_, claimed) = claim(&store, start() + lease() * attempt).await;
        assert_eq!(i32::try_from(claimed[0].attempt).unwrap(), attempt);
    }
}

pub async fn a_lease_that_went_to_somebody_else_settles_nothing(store: Store) {
    let (_, mail) = queue(&store, "alice", start()).await;
    let (stale, _) = claim(&store, start()).await;
    let now = start() + lease();
    let (live, _) = claim(&store, now).await;
    assert_settles_nothing(&store, mail.id, stale, now).await;
    assert!(store.settle_mail(mail.id, live, &Settlement::Delivered, now).await.unwrap());
}

pub async fn a_lease_that_ran_out_still_settles_if_nobody_took_it(store: Store) {
    let (user, mail) = queue(&store, "alice", start()).await;
    let (token, _) = claim(&store, start()).await;
    let late = start() + lease() * 2;
    assert!(store.settle_mail(mail.id, token, &Settlement::Delivered, late).await.unwrap());
    assert_eq!(store.events(user.id.0).await, ["user_registered", "activation_mail_sent"]);
}

pub async fn what_nobody_has_claimed_settles_nothing(store: Store) {
    let (_, mail) = queue(&store, "alice", start()).await;
    assert_settles_nothing(&store, mail.id, unique_id(), start()).await;
    let (token, _) = claim(&store, start()).await;
    assert_settles_nothing(&store, MailId(unique_id()), token, start()).await;
    assert_settles_nothing(&store, mail.id, unique_id(), start()).await;
}

pub async fn a_retry_waits_until_its_time_and_keeps_the_text(store: Store) {
    let (user, mail) = queue(&store, "alice", start()).await;
    let (token, _) = claim(&store, start()).await;
    let next_attempt_time = start() + seconds(5);
    let retry = Settlement::Retry { next_attempt_time, error: "421 busy".into() };
    assert!(store.settle_mail(mail.id, token, &retry, start() + seconds(1)).await.unwrap());
    assert_settles_nothing(&store, mail.id, token, start() + seconds(1)).await;
    assert_eq!(ids(&claim(&store, next_attempt_time - tick()).await.1), []);
    let (_, claimed) = claim(&store, next_attempt_time).await;
    assert_eq!((claimed[0].attempt, &*claimed[0].sealed_text), (2, &b"sealed"[..]));
    assert_eq!(store.texts("SELECT last_error FROM mails").await, ["421 busy"]);
    assert_eq!(store.events(user.id.0).await, ["user_registered"]);
}

/// Settles a mail for good, and expects that nothing of it is left but its record.
async fn finish(store: &Store, settlement: Settlement, state: &str, event: &str) {
    let (user, mail) = queue(store, "alice", start()).await;
    let (token, _) = claim(store, start()).await;
    let now = start() + seconds(1);
    assert!(store.settle_mail(mail.id, token, &settlement, now).await.unwrap());
    assert_eq!(store.texts("SELECT state FROM mails").await, [state]);
    assert_eq!(store.count("mails WHERE sealed_text IS NULL AND claim_token IS NULL").await, 1);
    assert_eq!(store.count(&format!("mails WHERE finish_time = {}", store.at(now))).await, 1);
    assert_eq!(store.events(user.id.0).await, ["user_registered", event]);
    let (id, at) = (store.id(mail.id.0), store.at(now));
    assert_eq!(store.count(&format!("events WHERE mail_id = {id} AND create_time = {at}")).await, 1);
    assert_settles_nothing(store, mail.id, token, now).await;
    assert_eq!(ids(&claim(store, start() + window()).await.1), []);
}

pub async fn x20_a_delivered_mail_is_erased_and_told_of(store: Store) {
    finish(&store, Settlement::Delivered, "DELIVERED", "activation_mail_sent").await;
}

pub async fn x20_a_discarded_mail_is_erased_and_told_of_with_its_error_kept(store: Store) {
    let discarded = Settlement::Discarded { error: "550 no such user".into() };
    finish(&store, discarded, "DISCARDED", "activation_mail_failed").await;
    assert_eq!(store.texts("SELECT last_error FROM mails").await, ["550 no such user"]);
}

pub async fn a_delivery_keeps_the_error_of_the_attempt_before(store: Store) {
    let (_, mail) = queue(&store, "alice", start()).await;
    let (token, _) = claim(&store, start()).await;
    let retry = Settlement::Retry { next_attempt_time: start(), error: "421 busy".into() };
    store.settle_mail(mail.id, token, &retry, start()).await.unwrap();
    let (token, _) = claim(&store, start()).await;
    store.settle_mail(mail.id, token, &Settlement::Delivered, start()).await.unwrap();
    assert_eq!(store.texts("SELECT last_error FROM mails").await, ["421 busy"]);
}

pub async fn x20_nothing_is_settled_or_told_after_the_user_was_purged(store: Store) {
    let (user, mail) = queue(&store, "alice", start()).await;
    let now = start() + window();
    let (token, _) = claim(&store, now).await;
    store.purge(scope(now), 1).await.unwrap();
    assert_settles_nothing(&store, mail.id, token, now).await;
    assert_eq!(store.events(user.id.0).await, ["user_registered", "user_deleted expired"]);
}

pub async fn settling_one_mail_leaves_the_others_as_they_are(store: Store) {
    let (_, first) = queue(&store, "alice", start()).await;
    let (bob, second) = queue(&store, "bob", start()).await;
    let (token, claimed) = claim(&store, start()).await;
    assert_eq!(ids(&claimed), [first.id, second.id]);
    assert!(store.settle_mail(first.id, token, &Settlement::Delivered, start()).await.unwrap());
    assert_eq!(store.events(bob.id.0).await, ["user_registered"]);
    assert_eq!(store.count("mails WHERE state = 'QUEUED'").await, 1);
    assert!(store.settle_mail(second.id, token, &Settlement::Delivered, start()).await.unwrap());
}

pub async fn a_mail_that_cannot_be_read_is_handed_out_as_such_and_holds_up_no_other(store: Store) {
    let (_, first) = queue(&store, "alice", start()).await;
    let (bob, spoilt) = queue(&store, "bob", start()).await;
    let (_, last) = queue(&store, "carol", start()).await;
    spoil_mails(&store, &format!("id = {}", store.id(spoilt.id.0))).await;
    let (now, token) = (start(), unique_id());
    let claim = store.claim_mails(now, now + lease(), token, 10).await.unwrap();
    assert_eq!(ids(&claim.mails), [first.id, last.id]);
    let spoilt_lease = MailLease { id: spoilt.id, claim_token: token };
    let why = Unfit::Unreadable("a mail's kind");
    assert_eq!(claim.unfit, [UnfitMail { lease: spoilt_lease, why }]);
    // Under the same lease as the others, and settled as they are.
    let again = store.claim_mails(now, now + lease(), unique_id(), 10).await.unwrap();
    assert!(again.mails.is_empty() && again.unfit.is_empty());
    let discarded = Settlement::Discarded { error: "a mail's kind".into() };
    assert!(store.settle_mail(spoilt.id, token, &discarded, now).await.unwrap());
    assert_eq!(store.events(bob.id.0).await, ["user_registered", "activation_mail_failed"]);
    let later = store.claim_mails(now + lease(), now + lease() * 2, unique_id(), 10).await.unwrap();
    assert_eq!((later.mails.len(), later.unfit.len()), (2, 0));
}

pub async fn an_instant_that_is_none_makes_a_mail_unreadable(store: Store) {
    let never = if store.url().starts_with("sqlite:") { i64::MAX.to_string() } else { "'infinity'".into() };
    for column in ["create_time", "expire_time"] {
        let (_, spoilt) = queue(&store, column, start()).await;
        let (_, sound) = queue(&store, &format!("sound_{column}"), start()).await;
        let id = store.id(spoilt.id.0);
        store.execute(format!("UPDATE mails SET {column} = {never} WHERE id = {id}")).await;
        let claim = store.claim_mails(start(), start() + lease(), unique_id(), 10).await.unwrap();
        assert_eq!(ids(&claim.mails), [sound.id]);
        assert_eq!(claim.unfit.iter().map(|mail| mail.lease.id).collect::<Vec<_>>(), [spoilt.id]);
    }
}

/// Changes mails to what the schema forbids.
pub async fn spoil_mails(store: &Store, condition: &str) {
    let update = format!("UPDATE mails SET kind = 'riddle' WHERE {condition}");
    if store.url().starts_with("sqlite:") {
        let pragma = "PRAGMA ignore_check_constraints";
        store.execute(format!("{pragma} = ON; {update}; {pragma} = OFF")).await;
    } else {
        store.execute("ALTER TABLE mails DROP CONSTRAINT mails_kind_check").await;
        store.execute(update).await;
    }
}

pub async fn a_user_without_a_mail_has_none_to_claim(store: Store) {
    let registration =
        NewRegistration { mail: None, ..registration_at("alice", "alice@example.com", start()) };
    store.register(&registration).await.unwrap().unwrap();
    assert_eq!(ids(&claim(&store, start() + window()).await.1), []);
    register(&store, "bob", "bob@example.com").await;
    assert_eq!(claim(&store, start() + window()).await.1.len(), 1);
}
