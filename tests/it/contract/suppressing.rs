//! Addresses whose mail has bounced for good: they are kept, listed, lifted, and get no mail meanwhile.

use chrono::Duration;
use uuid::Uuid;
use vestibule::{
    domain::{
        delivery::{MailLease, Unfit, UnfitMail},
        mail::{MailId, MailKind, NewMail},
        page::PageSize,
        suppression::{BounceReason, Suppression},
        user::User,
    },
    repository::{KeyIssue, PermanentBounce},
};

use super::{
    outbox::spoil_mails,
    people::{email, issue, mail, register, registration_at, seconds, start, unique_id, window},
    store::Store,
};

fn bounce(address: &str, second: i64) -> PermanentBounce {
    PermanentBounce {
        email: email(address),
        mail_id: None,
        reason: BounceReason::parse("550 5.1.1 no such mailbox").unwrap(),
        now: start() + seconds(second),
    }
}

async fn suppress(store: &Store, address: &str) -> Suppression {
    store.suppress(&bounce(address, 0)).await.unwrap()
}

/// What is listed, `size` at a time.
async fn list(store: &Store, only: Option<&str>, size: usize) -> Vec<String> {
    let (only, size) = (only.map(email), PageSize::at_most(size));
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_suppressions(only.as_ref(), size, after).await.unwrap();
        assert!(page.items.len() <= size.get());
        listed.extend(page.items.into_iter().map(|suppression| suppression.email));
        after = page.next;
        if after.is_none() {
            return listed;
        }
    }
}

/// Claims every mail that is due, and says which may be sent and which are suppressed.
async fn claim(store: &Store, second: i64) -> (Vec<MailId>, Vec<MailId>) {
    let (now, token) = (start() + seconds(second), unique_id());
    let claim = store.claim_mails(now, now + seconds(30), token, 100).await.unwrap();
    let is_suppressed = |mail: &UnfitMail| mail.why == Unfit::Suppressed && mail.lease.claim_token == token;
    assert!(claim.unfit.iter().all(is_suppressed));
    let suppressed = claim.unfit.iter().map(|mail| mail.lease.id).collect();
    (claim.mails.iter().map(|mail| mail.id).collect(), suppressed)
}

/// Queues a further mail of that kind.
async fn queue(store: &Store, user: &User, kind: MailKind) -> MailId {
    let mail = NewMail { kind, ..mail(start() + window()) };
    let id = mail.id;
    store.issue_key(&KeyIssue { mail: Some(mail), ..issue(user, start()) }).await.unwrap().unwrap();
    id
}

pub async fn a_suppression_stays_and_says_what_the_latest_bounce_said(store: Store) {
    let id = MailId(unique_id());
    let first = PermanentBounce { mail_id: Some(id), ..bounce("Alice@example.com", 0) };
    let mut expected = Suppression {
        email: "Alice@example.com".into(),
        create_time: start(),
        last_bounce_time: start(),
        reason: "550 5.1.1 no such mailbox".into(),
        mail_id: Some(id),
    };
    for _ in 0..2 {
        assert_eq!(store.suppress(&first).await.unwrap(), expected);
    }
    let reason = BounceReason::parse("554 \u{e4}").unwrap();
    let second = PermanentBounce { reason, ..bounce("Alice@example.com", 1) };
    expected.last_bounce_time = start() + seconds(1);
    expected.reason = "554 \u{e4}".into();
    expected.mail_id = None;
    assert_eq!(store.suppress(&second).await.unwrap(), expected);
    assert_eq!(store.find_suppression(&email("Alice@EXAMPLE.com")).await.unwrap(), Some(expected));
    assert_eq!(store.count("suppressions").await, 1);
    // Another spelling of the local part may be another mailbox.
    assert_eq!(store.find_suppression(&email("alice@example.com")).await.unwrap(), None);
}

pub async fn u4_suppressions_are_listed_in_the_order_of_addresses_page_by_page(store: Store) {
    assert!(list(&store, None, 10).await.is_empty());
    let addresses =
        ["Zoe@example.com", "a+b@example.com", "a@example.com", "b@xn--bcher-kva.example", "b@z.de"];
    for address in addresses.iter().rev() {
        suppress(&store, address).await;
    }
    for size in [1, 2, 4, 5, 1000] {
        assert_eq!(list(&store, None, size).await, addresses, "by {size}");
        assert_eq!(list(&store, Some("b@b\u{fc}cher.example"), size).await, [addresses[3]]);
        assert!(list(&store, Some("zoe@example.com"), size).await.is_empty());
    }
    // Whoever is there all the while is on one page, though others come and go and what was said changes.
    let size = PageSize::at_most(2);
    let page = store.list_suppressions(None, size, None).await.unwrap();
    assert_eq!(page.items[1].email, addresses[1]);
    store.lift_suppression(&email(addresses[1])).await.unwrap().unwrap();
    store.suppress(&bounce(addresses[0], 5)).await.unwrap();
    suppress(&store, "A@example.com").await;
    let rest = store.list_suppressions(None, PageSize::at_most(3), page.next).await.unwrap();
    let rest_of: Vec<_> = rest.items.iter().map(|suppression| suppression.email.as_str()).collect();
    assert_eq!((rest_of.as_slice(), rest.next), (&addresses[2..], None));
}

pub async fn a_suppression_that_is_lifted_is_gone_and_shown_as_it_stood(store: Store) {
    let alice = suppress(&store, "alice@example.com").await;
    let before = store.contents().await;
    suppress(&store, "bob@example.com").await;
    assert_eq!(
        store.lift_suppression(&email("bob@example.com")).await.unwrap().unwrap().email,
        "bob@example.com"
    );
    for address in ["bob@example.com", "ALICE@example.com"] {
        assert_eq!(store.lift_suppression(&email(address)).await.unwrap(), None);
    }
    assert_eq!(store.contents().await, before);
    assert_eq!(store.lift_suppression(&email("alice@example.com")).await.unwrap(), Some(alice));
    assert_eq!(store.count("suppressions").await, 0);
}

pub async fn every_mail_to_a_suppressed_address_is_handed_out_as_such(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let (bob, _) = register(&store, "bob", "Alice@example.com").await;
    let registered = claim(&store, 0).await.0;
    assert_eq!(registered.len(), 2);
    let mut of_alice = Vec::new();
    for kind in MailKind::ALL {
        of_alice.push(queue(&store, &alice, kind).await);
    }
    of_alice.sort_unstable();
    let of_bob = queue(&store, &bob, MailKind::Reminder).await;
    suppress(&store, "alice@example.com").await;
    // What was claimed before is on its way, and comes back only when its lease is over.
    let (sendable, mut suppressed) = claim(&store, 1).await;
    suppressed.sort_unstable();
    assert_eq!((sendable, &suppressed), (vec![of_bob], &of_alice));
    assert_eq!(claim(&store, 2).await, (Vec::new(), Vec::new()), "they are leased like any other");
    let (sendable, suppressed) = claim(&store, 31).await;
    assert_eq!((sendable.len(), suppressed.len()), (2, 5));
    store.lift_suppression(&email("alice@example.com")).await.unwrap().unwrap();
    let (sendable, suppressed) = claim(&store, 90).await;
    assert_eq!((sendable.len(), suppressed.len()), (7, 0));
}

pub async fn a_mail_that_can_not_be_read_is_suppressed_like_any_other(store: Store) {
    let registration = registration_at("alice", "alice@example.com", start());
    store.register(&registration).await.unwrap().unwrap();
    let id = registration.mail.unwrap().id;
    suppress(&store, "alice@example.com").await;
    spoil_mails(&store, "true").await;
    let token = unique_id();
    let claim = store.claim_mails(start(), start() + seconds(30), token, 10).await.unwrap();
    let lease = MailLease { id, claim_token: token };
    assert_eq!(claim.unfit, [UnfitMail { lease, why: Unfit::Suppressed }]);
    assert!(claim.mails.is_empty());
}

pub async fn a_suppression_outlives_mail_and_user(store: Store) {
    let registration = registration_at("alice", "alice@example.com", start());
    let alice = store.register(&registration).await.unwrap().unwrap();
    let mail_id = Some(registration.mail.unwrap().id);
    let suppression =
        store.suppress(&PermanentBounce { mail_id, ..bounce("alice@example.com", 1) }).await.unwrap();
    store.delete_user(alice.id, start() + seconds(2)).await.unwrap().unwrap();
    assert_eq!(store.count("mails").await, 0);
    let found = store.find_suppression(&email("alice@example.com")).await.unwrap();
    assert_eq!(found, Some(suppression));
    // Whoever comes next with the address gets no mail either.
    let later: Duration = window();
    let next = registration_at("bob", "alice@example.com", start() + later);
    store.register(&next).await.unwrap().unwrap();
    let token = Uuid::nil();
    let now = start() + later;
    let claim = store.claim_mails(now, now + seconds(30), token, 10).await.unwrap();
    assert_eq!((claim.mails.len(), claim.unfit.len()), (0, 1));
}
