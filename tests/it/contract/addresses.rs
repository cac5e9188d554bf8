//! The addresses of users: U8, X8, X15, X16, X23.

use vestibule::{
    domain::{
        Timestamp,
        activation_key::KeyDigest,
        delivery::Settlement,
        email_address::EmailAddress,
        mail::{MailKind, NewMail},
        page::PageSize,
        unverified::UnverifiedFilter,
        user::{User, UserId},
        user_email_address::{AddressRefusal, MaxEmailAddresses, UserEmailAddress},
    },
    repository::{AddressRemoval, NewEmailAddress, PrimaryChange, StorageError, VerificationKeyIssue},
};

use super::{
    people::{
        activation, digest, email, find, mail, register, register_active, seconds, start, unique_id, window,
    },
    purging::scope,
    store::Store,
    verifying::verify,
};

/// A key for an address, with its mail.
pub fn key_for(user: &User, address: &str, now: Timestamp) -> VerificationKeyIssue {
    let expire_time = now + window();
    VerificationKeyIssue {
        user_id: user.id,
        email: email(address),
        digest: digest(),
        expire_time,
        mail: NewMail { kind: MailKind::EmailVerification, ..mail(expire_time) },
        now,
        request: None,
        counters: Vec::new(),
    }
}

/// A further address, of ten at most.
pub fn addition(user: &User, address: &str, now: Timestamp) -> NewEmailAddress {
    NewEmailAddress { issue: key_for(user, address, now), max: max(10) }
}

pub fn max(number: u32) -> MaxEmailAddresses {
    MaxEmailAddresses::new(number).unwrap()
}

/// Adds an address a second after [`start`], and returns its key.
pub async fn add(store: &Store, user: &User, address: &str) -> KeyDigest {
    let addition = addition(user, address, start() + seconds(1));
    store.add_email_address(&addition).await.unwrap().unwrap();
    addition.issue.digest
}

/// Adds an address, and verifies it two seconds after [`start`].
pub async fn add_verified(store: &Store, user: &User, address: &str) -> KeyDigest {
    let key = add(store, user, address).await;
    verify(store, key, start() + seconds(2)).await.unwrap();
    key
}

/// A change of the primary address of the user as it was found.
pub fn change(user: &User, address: &str, now: Timestamp) -> PrimaryChange {
    PrimaryChange {
        user_id: user.id,
        email: email(address),
        old_email: user.email.clone(),
        mail: NewMail { kind: MailKind::PrimaryEmailChanged, ..mail(now + window()) },
        now,
    }
}

pub fn removal(user: &User, address: &str, now: Timestamp) -> AddressRemoval {
    AddressRemoval { user_id: user.id, email: email(address), now }
}

/// The addresses in order: a star for the primary one, a tick for a verified one.
pub fn shown(addresses: &[UserEmailAddress]) -> Vec<String> {
    let show = |address: &UserEmailAddress| {
        let star = if address.primary { "*" } else { "" };
        let tick = if address.verify_time.is_some() { "+" } else { "" };
        let name = address.email.strip_suffix("@example.com").unwrap();
        format!("{star}{tick}{name}")
    };
    addresses.iter().map(show).collect()
}

/// The addresses of a user as they are listed.
pub async fn listed(store: &Store, user: &User) -> Vec<String> {
    shown(&store.list_email_addresses(user.id).await.unwrap())
}

/// Waits for an act, expects that it is refused, and that nothing has changed.
macro_rules! refused {
    ($store:expr, $act:ident($argument:expr)) => {{
        let before = $store.contents().await;
        let refusal = $store.$act(&$argument).await.unwrap().unwrap_err();
        assert_eq!($store.contents().await, before);
        refusal
    }};
}
pub(super) use refused;

/// A user who is not there.
pub fn nobody() -> User {
    let mut nobody = super::people::registration("nobody", "nobody@example.com").user();
    nobody.id = UserId(unique_id());
    nobody
}

pub async fn u8_a_user_has_one_primary_address_from_the_start(store: Store) {
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    let mut expected = UserEmailAddress {
        email: "alice@example.com".into(),
        primary: true,
        create_time: start(),
        verify_time: None,
    };
    assert_eq!(store.list_email_addresses(alice.id).await.unwrap(), [expected.clone()]);
    let now = start() + seconds(1);
    store.activate(&activation(key, now)).await.unwrap().unwrap();
    expected.verify_time = Some(now);
    assert_eq!(store.list_email_addresses(alice.id).await.unwrap(), [expected]);
    assert_eq!(store.list_email_addresses(nobody().id).await.unwrap(), []);
}

pub async fn u8_an_address_is_added_unverified_with_a_mail_and_nothing_else_changes(store: Store) {
    for (name, active) in [("pending", false), ("active", true)] {
        let address = format!("{name}@example.com");
        let (user, _) = if active {
            register_active(&store, name, &address).await
        } else {
            register(&store, name, &address).await
        };
        let events = store.events(user.id.0).await;
        let now = start() + seconds(5);
        let first = addition(&user, &format!("{name}-a@example.com"), now);
        let addresses = store.add_email_address(&first).await.unwrap().unwrap();
        let added = UserEmailAddress {
            email: format!("{name}-a@example.com"),
            primary: false,
            create_time: now,
            verify_time: None,
        };
        assert_eq!(addresses[1], added);
        let second = addition(&user, &format!("{name}-b@example.com"), now + seconds(1));
        let addresses = store.add_email_address(&second).await.unwrap().unwrap();
        let primary = if active { format!("*+{name}") } else { format!("*{name}") };
        assert_eq!(shown(&addresses), [primary, format!("{name}-a"), format!("{name}-b")]);
        assert_eq!(store.list_email_addresses(user.id).await.unwrap(), addresses);
        // X23: nobody is found by what is not verified.
        let owner = store.find_user_by_verified_email(&first.issue.email).await.unwrap();
        assert_eq!((find(&store, &user).await, owner), (Some(user.clone()), None));
        assert_eq!(store.events(user.id.0).await, events);
    }
    let waiting = "SELECT recipient FROM mails WHERE kind = 'email_verification' ORDER BY recipient";
    let recipients = ["active-a", "active-b", "pending-a", "pending-b"].map(|a| format!("{a}@example.com"));
    assert_eq!(store.texts(waiting).await, recipients);
    let claim = store.claim_mails(start() + window(), start() + window() * 2, unique_id(), 9).await.unwrap();
    // The active user's own activation mail is one that nobody needs any more.
    assert_eq!((claim.mails.len(), claim.unfit.len()), (5, 1));
}

pub async fn u8_what_cannot_be_added_is_refused_and_nothing_changes(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let (bob, _) = register_active(&store, "bob", "bob@example.com").await;
    add(&store, &alice, "unverified@example.com").await;
    add_verified(&store, &bob, "verified@example.com").await;
    let now = start() + seconds(9);
    for (address, because) in [
        ("alice@example.com", AddressRefusal::Exists),
        ("unverified@example.com", AddressRefusal::Exists),
        ("bob@example.com", AddressRefusal::EmailTaken),
        ("verified@example.com", AddressRefusal::EmailTaken),
    ] {
        assert_eq!(
            refused!(store, add_email_address(addition(&alice, address, now))),
            because.into(),
            "{address}"
        );
    }
    let mut third = addition(&alice, "third@example.com", now);
    third.max = max(2);
    assert_eq!(refused!(store, add_email_address(third)), AddressRefusal::TooMany.into());
    let of_nobody = addition(&nobody(), "new@example.com", now);
    assert_eq!(refused!(store, add_email_address(of_nobody)), AddressRefusal::UserNotFound.into());
    store.disable_user(alice.id, now).await.unwrap().unwrap();
    let disabled = addition(&alice, "new@example.com", now);
    assert_eq!(refused!(store, add_email_address(disabled)), AddressRefusal::UserDisabled.into());
}

pub async fn u8_an_addition_that_fails_midway_leaves_nothing(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let taken = add(&store, &alice, "first@example.com").await;
    let before = store.contents().await;
    let mut same_key = addition(&alice, "second@example.com", start() + seconds(2));
    same_key.issue.digest = taken;
    let error = store.add_email_address(&same_key).await.unwrap_err();
    assert!(matches!(error, StorageError::Database(_)), "{error:?}");
    assert_eq!(store.contents().await, before);
}

pub async fn x8_an_unverified_address_can_be_added_by_several(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    register(&store, "carol", "shared@example.com").await;
    for user in [&alice, &bob] {
        add(&store, user, "shared@example.com").await;
    }
    assert_eq!(store.count("email_addresses WHERE email = 'shared@example.com'").await, 3);
}

pub async fn u8_a_verified_address_becomes_the_primary_one_and_the_old_one_is_told(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let (bob, _) = register_active(&store, "bob", "bob@example.com").await;
    add_verified(&store, &alice, "new@other.example.com").await;
    let now = start() + seconds(3);
    let change = change(&alice, "new@other.example.com", now);
    let addresses = store.set_primary_email_address(&change).await.unwrap().unwrap();
    let seen: Vec<_> = addresses.iter().map(|address| (address.email.as_str(), address.primary)).collect();
    assert_eq!(seen, [("new@other.example.com", true), ("alice@example.com", false)]);
    assert!(addresses.iter().all(|address| address.verify_time.is_some()));
    assert_eq!(store.list_email_addresses(alice.id).await.unwrap(), addresses);
    let changed = User { email: "new@other.example.com".into(), ..alice.clone() };
    assert_eq!(find(&store, &alice).await, Some(changed.clone()));
    let domain = "users WHERE email_domain = 'other.example.com' AND email_verified AND any_email_verified";
    assert_eq!(store.count(domain).await, 1);
    let told = "SELECT recipient FROM mails WHERE kind = 'primary_email_changed' AND state = 'QUEUED'";
    assert_eq!(store.texts(told).await, ["alice@example.com"]);
    let events = store.events(alice.id.0).await;
    assert_eq!(events[2..], ["email_address_verified", "primary_email_address_changed"]);
    // X23: found by either, and nobody else has changed.
    for address in ["new@other.example.com", "alice@example.com"] {
        let owner = store.find_user_by_verified_email(&email(address)).await.unwrap();
        assert_eq!(owner, Some(changed.clone()));
    }
    assert_eq!(find(&store, &bob).await, Some(bob));
}

pub async fn u8_the_primary_address_set_again_changes_nothing(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    let before = store.contents().await;
    for user in [alice, bob] {
        let addresses = store.list_email_addresses(user.id).await.unwrap();
        let again = change(&user, &user.email, start() + seconds(3));
        assert_eq!(store.set_primary_email_address(&again).await.unwrap().unwrap(), addresses);
    }
    assert_eq!(store.contents().await, before);
}

pub async fn u8_only_a_verified_address_of_an_active_user_becomes_the_primary_one(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    add(&store, &alice, "unverified@example.com").await;
    add_verified(&store, &bob, "verified@example.com").await;
    let now = start() + seconds(3);
    for (user, address, because) in [
        (&alice, "unverified@example.com", AddressRefusal::NotVerified),
        (&alice, "verified@example.com", AddressRefusal::NotFound),
        (&bob, "verified@example.com", AddressRefusal::UserPending),
        (&nobody(), "alice@example.com", AddressRefusal::UserNotFound),
    ] {
        let refusal = refused!(store, set_primary_email_address(change(user, address, now)));
        assert_eq!(refusal, because, "{address}");
    }
    add_verified(&store, &alice, "second@example.com").await;
    store.disable_user(alice.id, now).await.unwrap().unwrap();
    let refusal = refused!(store, set_primary_email_address(change(&alice, "second@example.com", now)));
    assert_eq!(refusal, AddressRefusal::UserDisabled);
}

pub async fn u8_a_mail_made_for_another_primary_address_is_a_conflict(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    add_verified(&store, &alice, "second@example.com").await;
    let before = store.contents().await;
    let mut stale = change(&alice, "second@example.com", start() + seconds(3));
    stale.old_email = "older@example.com".into();
    let error = store.set_primary_email_address(&stale).await.unwrap_err();
    assert!(matches!(error, StorageError::Conflict(_)), "{error:?}");
    assert_eq!(store.contents().await, before);
}

pub async fn x15_activation_keys_die_when_their_address_is_replaced(store: Store) {
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    let (_, bobs_key) = register(&store, "bob", "alice@example.com").await;
    add_verified(&store, &alice, "second@example.com").await;
    let alice = store.activate_user(alice.id, start() + seconds(3)).await.unwrap().unwrap();
    let change = change(&alice, "second@example.com", start() + seconds(4));
    store.set_primary_email_address(&change).await.unwrap().unwrap();
    assert_eq!(listed(&store, &alice).await, ["*+second", "alice"]);
    assert!(store.find_key(&key).await.unwrap().is_none());
    assert!(store.find_key(&bobs_key).await.unwrap().is_some(), "a key of somebody else for that address");
}

pub async fn u8_nothing_is_left_of_a_removed_address(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let (bob, _) = register_active(&store, "bob", "bob@example.com").await;
    let bobs_key = add(&store, &bob, "second@example.com").await;
    add(&store, &alice, "third@example.com").await;
    add_verified(&store, &alice, "second@example.com").await;
    let now = start() + seconds(3);
    let addresses =
        store.remove_email_address(&removal(&alice, "second@example.com", now)).await.unwrap().unwrap();
    assert_eq!(shown(&addresses), ["*+alice", "third"]);
    assert_eq!(listed(&store, &alice).await, ["*+alice", "third"]);
    assert_eq!(find(&store, &alice).await, Some(alice.clone()));
    let id = store.id(alice.id.0);
    for table in ["email_addresses", "verified_email_addresses", "verification_keys", "activation_keys"] {
        let left = format!("{table} WHERE email = 'second@example.com' AND user_id = {id}");
        assert_eq!(store.count(&left).await, 0, "{table}");
    }
    // The address is free.
    assert_eq!(store.find_user_by_verified_email(&email("second@example.com")).await.unwrap(), None);
    assert_eq!(verify(&store, bobs_key, now).await.unwrap().user_id, bob.id);
}

pub async fn u8_a_mail_to_a_removed_address_is_discarded_even_while_it_is_sent(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let (bob, _) = register_active(&store, "bob", "bob@example.com").await;
    let token = unique_id();
    store.claim_mails(start(), start() + seconds(30), token, 9).await.unwrap();
    for user in [&alice, &bob] {
        add(&store, user, "shared@example.com").await;
    }
    add(&store, &alice, "other@example.com").await;
    let now = start() + seconds(1);
    let claimed = store.claim_mails(now, now + seconds(30), token, 9).await.unwrap().mails;
    assert_eq!(claimed.len(), 3);
    store.remove_email_address(&removal(&alice, "shared@example.com", now)).await.unwrap().unwrap();
    let discarded = "mails WHERE state = 'DISCARDED' AND sealed_text IS NULL AND claim_token IS NULL";
    assert_eq!(store.count(discarded).await, 1);
    for mail in claimed {
        let gone = mail.user_id == alice.id && mail.recipient == "shared@example.com";
        let settled = store.settle_mail(mail.id, token, &Settlement::Delivered, now).await.unwrap();
        assert_eq!(settled, !gone, "{}", mail.recipient);
    }
    assert_eq!(store.count(discarded).await, 1);
    // What tells an address of its replacement is not taken back.
    add_verified(&store, &bob, "new@example.com").await;
    let replaced = change(&bob, "new@example.com", now);
    store.set_primary_email_address(&replaced).await.unwrap().unwrap();
    store.remove_email_address(&removal(&bob, "bob@example.com", now)).await.unwrap().unwrap();
    assert_eq!(store.count("mails WHERE kind = 'primary_email_changed' AND state = 'QUEUED'").await, 1);
}

pub async fn u8_what_cannot_be_removed_is_refused_and_nothing_changes(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    add(&store, &alice, "second@example.com").await;
    let now = start() + seconds(3);
    for (user, address, because) in [
        (&alice, "alice@example.com", AddressRefusal::Primary),
        (&bob, "bob@example.com", AddressRefusal::Primary),
        (&bob, "second@example.com", AddressRefusal::NotFound),
        (&nobody(), "second@example.com", AddressRefusal::UserNotFound),
    ] {
        let refusal = refused!(store, remove_email_address(removal(user, address, now)));
        assert_eq!(refusal, because, "{address}");
    }
    store.disable_user(alice.id, now).await.unwrap().unwrap();
    let refusal = refused!(store, remove_email_address(removal(&alice, "second@example.com", now)));
    assert_eq!(refusal, AddressRefusal::UserDisabled);
}

/// How many never-verified users there are, without and with those who have verified another address.
async fn unverified(store: &Store) -> (u64, u64) {
    let all = UnverifiedFilter { include_any_verified: true, ..Default::default() };
    let now = start() + window();
    let count = |filter| {
        let store = store.clone();
        async move { store.count_unverified(&filter, now).await.unwrap() }
    };
    (count(UnverifiedFilter::default()).await, count(all).await)
}

pub async fn x16_a_pending_user_is_spared_as_long_as_another_address_is_verified(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    for address in ["second@example.com", "third@example.com"] {
        add_verified(&store, &alice, address).await;
    }
    let now = start() + window();
    let spared = |store: Store| async move {
        assert_eq!(store.count_purgeable(scope(now), 9).await.unwrap(), 0);
        assert_eq!(store.purge(scope(now), 9).await.unwrap(), []);
        // X19: listed only for whoever asks for it.
        assert_eq!(unverified(&store).await, (0, 1));
    };
    spared(store.clone()).await;
    store.remove_email_address(&removal(&alice, "second@example.com", now)).await.unwrap().unwrap();
    spared(store.clone()).await;
    store.remove_email_address(&removal(&alice, "third@example.com", now)).await.unwrap().unwrap();
    assert_eq!(unverified(&store).await, (1, 1));
    let (all, size) = (UnverifiedFilter::default(), PageSize::parse(0).unwrap());
    let page = store.list_unverified(&all, now, size, None).await.unwrap();
    assert_eq!(page.items, std::slice::from_ref(&alice));
    assert_eq!(store.purge(scope(now), 9).await.unwrap(), [alice]);
    for table in ["email_addresses", "verification_keys", "verified_email_addresses", "mails"] {
        assert_eq!(store.count(table).await, 0, "{table}");
    }
}

pub async fn x23_by_email_whoever_verified_it_beside_the_primary_one_is_found(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let (bob, _) = register_active(&store, "bob", "bob@example.com").await;
    for (user, address) in [(&alice, "alices@example.com"), (&bob, "bobs@example.com")] {
        add_verified(&store, user, address).await;
        let by: EmailAddress = email(address);
        assert_eq!(store.find_user_by_verified_email(&by).await.unwrap(), Some(user.clone()));
    }
    let claim = store.list_pending_claims(&email("alices@example.com"), start(), 9).await.unwrap();
    assert_eq!(claim, [], "only the primary address of a pending user is a claim to be mailed");
}
