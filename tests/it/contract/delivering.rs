//! What the outbox does for a worker that sends many mails at once: leases that are renewed, outcomes that are recorded
//! together, mails that wait for their domain, and mails that nobody needs any more.

use chrono::Duration;
use uuid::Uuid;
use vestibule::{
    domain::{
        Timestamp,
        delivery::{ClaimedMail, MailLease, RestingDomain, Settled, Settlement, Unfit, WITHDRAWN},
        mail::{MailId, NewMail},
        user::User,
    },
    repository::{Claim, ClaimRequest, KeyIssue, NewRegistration},
};

use super::{
    addresses::{add_verified, addition, change},
    people::{
        activate_by_hand, activation, issue, mail, register, register_active, registration_at, seconds,
        start, tick, unique_id, window,
    },
    store::Store,
    verifying::verify,
};

fn lease() -> Duration {
    seconds(30)
}

/// A registration whose mail carries its key.
fn mailed(name: &str, address: &str) -> NewRegistration {
    let mut registration = registration_at(name, address, start());
    let key_digest = Some(registration.digest);
    registration.mail = registration.mail.map(|mail| NewMail { key_digest, ..mail });
    registration
}

/// Registers somebody whose mail is due at [`start`].
async fn queue(store: &Store, name: &str, address: &str) -> (User, MailId) {
    let registration = mailed(name, address);
    let user = store.register(&registration).await.unwrap().unwrap();
    (user, registration.mail.unwrap().id)
}

async fn claim(store: &Store, now: Timestamp) -> Vec<ClaimedMail> {
    store.claim_mails(now, now + lease(), unique_id(), 10).await.unwrap().mails
}

fn leases(mails: &[ClaimedMail]) -> Vec<MailLease> {
    mails.iter().map(ClaimedMail::lease).collect()
}

pub async fn a_lease_that_is_renewed_lives_longer(store: Store) {
    queue(&store, "alice", "alice@example.com").await;
    queue(&store, "bob", "bob@example.com").await;
    let held = leases(&claim(&store, start()).await);
    let renewed = store.renew_mail_leases(&held, start() + lease() * 2).await.unwrap();
    assert_eq!(renewed.len(), 2);
    assert!(claim(&store, start() + lease() * 2 - tick()).await.is_empty());
    assert_eq!(claim(&store, start() + lease() * 2).await.len(), 2);
}

pub async fn a_lease_that_went_to_somebody_else_or_has_ended_is_not_renewed(store: Store) {
    let (_, lost) = queue(&store, "alice", "alice@example.com").await;
    let (_, settled) = queue(&store, "bob", "bob@example.com").await;
    let (_, kept) = queue(&store, "carol", "carol@example.com").await;
    let held = leases(&claim(&store, start()).await);
    let now = start() + lease();
    let other = unique_id();
    assert_eq!(store.claim_mails(now, now + lease(), other, 1).await.unwrap().mails[0].id, lost);
    assert!(store.settle_mail(settled, held[0].claim_token, &Settlement::Delivered, now).await.unwrap());
    let before = store.contents().await;
    let gone = MailLease { id: MailId(unique_id()), claim_token: held[0].claim_token };
    let lost_and_gone: Vec<_> = held.iter().copied().filter(|lease| lease.id != kept).chain([gone]).collect();
    assert_eq!(store.renew_mail_leases(&lost_and_gone, now + lease() * 9).await.unwrap(), []);
    assert_eq!(store.contents().await, before);
    assert_eq!(store.renew_mail_leases(&held, now + lease() * 9).await.unwrap(), [kept]);
}

pub async fn x20_outcomes_of_every_kind_are_recorded_together(store: Store) {
    let mut users = Vec::new();
    for name in ["delivered", "discarded", "withdrawn", "retried", "returned", "lost"] {
        users.push(queue(&store, name, &format!("{name}@example.com")).await);
    }
    let held = claim(&store, start()).await;
    let now = start() + seconds(1);
    let next_attempt_time = start() + seconds(60);
    let settlement = |id: MailId| match users.iter().position(|(_, other)| *other == id).unwrap() {
        0 | 5 => Settlement::Delivered,
        1 => Settlement::Discarded { error: "550 no".into() },
        2 => Settlement::Withdrawn,
        3 => Settlement::Retry { next_attempt_time, error: "451 later".into() },
        _ => Settlement::Returned { next_attempt_time, error: Some("421 closing".into()) },
    };
    let mut batch: Vec<_> =
        held.iter().map(|mail| Settled { lease: mail.lease(), settlement: settlement(mail.id) }).collect();
    // The last one's lease is somebody else's; the others don't suffer for it.
    for settled in batch.iter_mut().filter(|settled| settled.lease.id == users[5].1) {
        settled.lease.claim_token = unique_id();
    }
    // One comes also under a lease that is over, and is told of once.
    let over = MailLease { id: users[0].1, claim_token: unique_id() };
    batch.insert(0, Settled { lease: over, settlement: Settlement::Delivered });
    let mut recorded = store.settle_mails(&batch, now).await.unwrap();
    recorded.sort_unstable();
    let mut expected: Vec<_> = users[..5].iter().map(|(_, id)| *id).collect();
    expected.sort_unstable();
    assert_eq!(recorded, expected);
    assert_eq!(store.settle_mails(&batch, now).await.unwrap(), [], "each lease ends once");

    for ((user, id), (state, attempt, error, event)) in users.iter().zip([
        ("DELIVERED", 1, "none", Some("activation_mail_sent")),
        ("DISCARDED", 1, "550 no", Some("activation_mail_failed")),
        ("DISCARDED", 1, WITHDRAWN, None),
        ("QUEUED", 1, "451 later", None),
        ("QUEUED", 0, "421 closing", None),
        ("QUEUED", 1, "none", None),
    ]) {
        let row = format!("FROM mails WHERE id = {}", store.id(id.0));
        assert_eq!(store.texts(&format!("SELECT state {row}")).await, [state]);
        assert_eq!(store.texts(&format!("SELECT coalesce(last_error, 'none') {row}")).await, [error]);
        assert_eq!(
            store.count(&format!("{} AND attempt = {attempt}", &row[5..])).await,
            1,
            "{state} {error}"
        );
        let is_over = if state == "QUEUED" { "IS NULL" } else { "IS NOT NULL" };
        assert_eq!(store.count(&format!("{} AND finish_time {is_over}", &row[5..])).await, 1, "{state}");
        let events: Vec<_> = ["user_registered"].into_iter().chain(event).collect();
        assert_eq!(store.events(user.id.0).await, events);
    }
    let waiting =
        format!("mails WHERE claim_token IS NULL AND next_attempt_time = {}", store.at(next_attempt_time));
    assert_eq!(store.count(&waiting).await, 2);
}

pub async fn settling_nothing_changes_nothing(store: Store) {
    queue(&store, "alice", "alice@example.com").await;
    let before = store.contents().await;
    assert_eq!(store.settle_mails(&[], start()).await.unwrap(), []);
    assert_eq!(store.renew_mail_leases(&[], start()).await.unwrap(), []);
    assert_eq!(store.contents().await, before);
}

/// Claims while mail to `domain` has to wait until an instant.
async fn claim_resting(store: &Store, now: Timestamp, domain: &str, until: Timestamp, limit: u32) -> Claim {
    let request = ClaimRequest {
        now,
        lease_expire_time: now + lease(),
        claim_token: unique_id(),
        limit,
        resting: vec![
            RestingDomain { domain: "other.example".into(), until: until + lease() },
            RestingDomain { domain: domain.into(), until },
        ],
    };
    (**store).claim_mails(&request).await.unwrap()
}

pub async fn mails_of_a_domain_that_rests_are_put_off_and_hold_up_no_other(store: Store) {
    let (_, first) = queue(&store, "a", "a@slow.example").await;
    let (_, second) = queue(&store, "b", "b@slow.example").await;
    let (_, alike) = queue(&store, "c", "c@notslow.example").await;
    let (_, below) = queue(&store, "d", "d@sub.slow.example").await;
    let until = start() + seconds(9);
    let claim = claim_resting(&store, start(), "slow.example", until, 3).await;
    // Those that are put off count towards the limit, so that a claim examines no more than it says.
    assert_eq!((claim.put_off, claim.mails.len(), claim.unfit.len()), (2, 1, 0));
    let claim = claim_resting(&store, start(), "slow.example", until, 3).await;
    assert_eq!((claim.put_off, claim.mails.len()), (0, 1));
    assert_eq!(store.count("mails WHERE attempt = 0 AND claim_token IS NULL").await, 2);
    assert!(self::claim(&store, until - tick()).await.is_empty());
    let mut later: Vec<_> =
        self::claim(&store, until).await.iter().map(|mail| (mail.id, mail.attempt)).collect();
    later.sort_unstable();
    let mut expected = [(first, 1), (second, 1)];
    expected.sort_unstable();
    assert_eq!(later, expected);
    assert_eq!(store.count(&format!("mails WHERE id = {}", store.id(alike.0))).await, 1);
    assert_eq!(store.count(&format!("mails WHERE id = {}", store.id(below.0))).await, 1);
}

/// Expects that the only mail which is due is not sent, since nobody needs it.
async fn assert_pointless(store: &Store, id: MailId, what: &str) {
    let now = start() + seconds(60);
    let claim = store.claim_mails(now, now + lease(), Uuid::nil(), 10).await.unwrap();
    let unfit: Vec<_> = claim.unfit.iter().map(|mail| (mail.lease.id, mail.why)).collect();
    assert_eq!((claim.mails.len(), unfit.as_slice()), (0, &[(id, Unfit::Pointless)][..]), "{what}");
    assert!(store.settle_mail(id, Uuid::nil(), &Settlement::Withdrawn, now).await.unwrap());
}

pub async fn an_activation_mail_that_nobody_needs_is_handed_out_as_pointless(store: Store) {
    let registration = mailed("activated", "activated@example.com");
    store.register(&registration).await.unwrap().unwrap();
    store.activate(&activation(registration.digest, start() + seconds(1))).await.unwrap().unwrap();
    assert_pointless(&store, registration.mail.unwrap().id, "its key was used").await;

    let (user, id) = queue(&store, "by-hand", "by-hand@example.com").await;
    activate_by_hand(&store, &user, start()).await;
    assert_pointless(&store, id, "its user is active").await;

    let (user, id) = queue(&store, "disabled", "disabled@example.com").await;
    store.disable_user(user.id, start() + seconds(1)).await.unwrap().unwrap();
    assert_pointless(&store, id, "its user is disabled").await;

    let (user, id) = queue(&store, "back", "back@example.com").await;
    store.disable_user(user.id, start() + seconds(1)).await.unwrap().unwrap();
    store.enable_user(user.id, start() + seconds(2)).await.unwrap().unwrap();
    assert_pointless(&store, id, "its key died when the user was disabled").await;

    let (user, id) = queue(&store, "bare", "bare@example.com").await;
    store.delete_profile(user.id).await.unwrap().unwrap();
    assert_pointless(&store, id, "there is no profile any more").await;

    let (_, id) = queue(&store, "late", "shared@example.com").await;
    let (owner, digest) = register(&store, "owner", "shared@example.com").await;
    store.execute(format!("DELETE FROM mails WHERE user_id = {}", store.id(owner.id.0))).await;
    store.activate(&activation(digest, start() + seconds(1))).await.unwrap().unwrap();
    assert_pointless(&store, id, "somebody else has verified the address").await;
    // Nobody is told of any of them: nothing has failed.
    assert_eq!(store.count("events WHERE kind LIKE 'activation_mail%'").await, 0);
}

pub async fn a_mail_whose_key_gave_way_to_newer_ones_is_pointless(store: Store) {
    let (user, id) = queue(&store, "alice", "alice@example.com").await;
    for second in 1..=5 {
        store.issue_key(&issue(&user, start() + seconds(second))).await.unwrap().unwrap();
    }
    assert_pointless(&store, id, "five younger keys live").await;
}

pub async fn a_verification_mail_that_nobody_needs_is_handed_out_as_pointless(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    store.execute("DELETE FROM mails").await;
    let add = async |address: &str| {
        let mut addition = addition(&alice, address, start() + seconds(1));
        addition.issue.mail.key_digest = Some(addition.issue.digest);
        store.add_email_address(&addition).await.unwrap().unwrap();
        (addition.issue.mail.id, addition.issue.digest)
    };
    let (id, key) = add("verified@example.com").await;
    verify(&store, key, start() + seconds(2)).await.unwrap();
    assert_pointless(&store, id, "the address is verified").await;

    let (id, _) = add("taken@example.com").await;
    let (_, digest) = register(&store, "bob", "taken@example.com").await;
    store.execute("DELETE FROM mails WHERE kind = 'activation'").await;
    store.activate(&activation(digest, start() + seconds(3))).await.unwrap().unwrap();
    assert_pointless(&store, id, "somebody else has verified the address").await;

    // The key died when the user was disabled, and the address is still the user's.
    let (id, key) = add("kept@example.com").await;
    store.disable_user(alice.id, start() + seconds(4)).await.unwrap().unwrap();
    store.enable_user(alice.id, start() + seconds(5)).await.unwrap().unwrap();
    verify(&store, key, start() + seconds(6)).await.unwrap_err();
    assert_pointless(&store, id, "its key is dead").await;
}

pub async fn what_is_needed_is_no_less_so_for_what_happens_beside_it(store: Store) {
    let (alice, first) = queue(&store, "alice", "alice@example.com").await;
    let further = issue(&alice, start());
    let second = NewMail { key_digest: Some(further.digest), ..mail(start() + window()) };
    let second_id = second.id;
    store.issue_key(&KeyIssue { mail: Some(second), ..further }).await.unwrap().unwrap();
    // Somebody else claims the address too, and another user changes its addresses.
    let (_, third) = queue(&store, "bob", "alice@example.com").await;
    let (carol, _) = register_active(&store, "carol", "carol@example.com").await;
    store.execute(format!("DELETE FROM mails WHERE user_id = {}", store.id(carol.id.0))).await;
    add_verified(&store, &carol, "carol@other.example").await;
    store.execute(format!("DELETE FROM mails WHERE user_id = {}", store.id(carol.id.0))).await;
    let told = change(&carol, "carol@other.example", start() + seconds(3));
    store.set_primary_email_address(&told).await.unwrap().unwrap();
    let claim = store.claim_mails(start() + seconds(9), start() + lease(), unique_id(), 10).await.unwrap();
    let mut ids: Vec<_> = claim.mails.iter().map(|mail| mail.id).collect();
    ids.sort_unstable();
    let mut expected = [first, second_id, third, told.mail.id];
    expected.sort_unstable();
    assert_eq!((ids.as_slice(), claim.unfit.len()), (&expected[..], 0));
}
