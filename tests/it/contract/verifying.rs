//! The keys that verify addresses: U8 with R7 to R11, X8, X11, X13, X15.

use vestibule::{
    domain::{
        Timestamp,
        activation_key::KeyDigest,
        mail::{MailKind, NewMail},
        user::{User, UserState},
        user_email_address::{AddressRefusal, VerificationRefusal},
    },
    repository::{ActivateRefusal, StorageError, Verification, VerifiedAddress, VerifyRefusal},
};

use super::{
    addresses::{add, add_verified, addition, key_for, listed, nobody, refused, removal, shown},
    people::{
        activation, digest, email, find, mail, register, register_active, seconds, start, tick, window,
    },
    store::Store,
};

/// Uses a key.
pub async fn verify(
    store: &Store,
    digest: KeyDigest,
    now: Timestamp,
) -> Result<VerifiedAddress, VerifyRefusal> {
    store.verify_email_address(&Verification { digest, now }).await.unwrap()
}

/// Uses a key, expects a refusal, and that nothing has changed.
async fn refusal(store: &Store, digest: KeyDigest, now: Timestamp) -> VerifyRefusal {
    refused!(store, verify_email_address(Verification { digest, now }))
}

/// What a key answers that is spent since then.
fn verified_already(user: &User, since: Timestamp) -> VerifyRefusal {
    let (user_id, verify_time) = (user.id, since);
    VerifyRefusal::Key(VerificationRefusal::AlreadyVerified { user_id, verify_time })
}

pub async fn u8_r7_a_key_verifies_the_address_it_was_issued_for_and_tells_of_it(store: Store) {
    for state in [UserState::Pending, UserState::Active] {
        let name = state.as_str().to_lowercase();
        let (user, _) = match state {
            UserState::Active => register_active(&store, &name, &format!("{name}@example.com")).await,
            _ => register(&store, &name, &format!("{name}@example.com")).await,
        };
        let events = store.events(user.id.0).await;
        let wanted = format!("{name}-second@example.com");
        let key = add(&store, &user, &wanted).await;
        add(&store, &user, &format!("{name}-third@example.com")).await;
        let now = start() + seconds(3);
        let verified = verify(&store, key, now).await.unwrap();
        assert_eq!((verified.user_id, &verified.email), (user.id, &wanted));
        let primary = if state == UserState::Active { "*+" } else { "*" };
        let expected = [format!("{primary}{name}"), format!("+{name}-second"), format!("{name}-third")];
        assert_eq!(shown(&verified.addresses), expected);
        assert_eq!(listed(&store, &user).await, expected);
        assert_eq!(verified.addresses[1].verify_time, Some(now));
        // The state, and whether the primary address is verified, are what they were.
        assert_eq!(find(&store, &user).await, Some(user.clone()));
        let owner = store.find_user_by_verified_email(&email(&wanted)).await.unwrap();
        assert_eq!(owner, Some(user.clone()));
        let told = store.events(user.id.0).await;
        assert_eq!(told, [events, vec!["email_address_verified".to_owned()]].concat());
    }
    assert_eq!(store.count("users WHERE any_email_verified").await, 2);
}

pub async fn u8_r8_a_key_is_unknown_to_all_but_its_own_purpose(store: Store) {
    let (alice, activation_key) = register(&store, "alice", "alice@example.com").await;
    let key = add(&store, &alice, "second@example.com").await;
    let now = start() + seconds(2);
    assert_eq!(refusal(&store, digest(), now).await, VerifyRefusal::UnknownKey);
    assert_eq!(refusal(&store, activation_key, now).await, VerifyRefusal::UnknownKey);
    let activated = refused!(store, activate(activation(key, now)));
    assert_eq!(activated, ActivateRefusal::UnknownKey);
    assert!(store.find_key(&key).await.unwrap().is_none());
    verify(&store, key, now).await.unwrap();
    store.activate(&activation(activation_key, now)).await.unwrap().unwrap();
}

pub async fn u8_r10_a_key_is_expired_at_its_instant_and_not_a_microsecond_earlier(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let expire_time = start() + seconds(1) + window();
    let key = add(&store, &alice, "second@example.com").await;
    let expired = VerifyRefusal::Key(VerificationRefusal::Expired { expire_time });
    for now in [expire_time, expire_time + seconds(1)] {
        assert_eq!(refusal(&store, key, now).await, expired);
    }
    let verified = verify(&store, key, expire_time - tick()).await.unwrap();
    assert_eq!(verified.addresses[1].verify_time, Some(expire_time - tick()));
    let mut at_once = addition(&alice, "third@example.com", start());
    at_once.issue.expire_time = start();
    store.add_email_address(&at_once).await.unwrap().unwrap();
    let expired = VerifyRefusal::Key(VerificationRefusal::Expired { expire_time: start() });
    assert_eq!(refusal(&store, at_once.issue.digest, start()).await, expired);
}

pub async fn u8_x13_every_key_of_a_verified_address_is_spent_and_says_since_when(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let first = add(&store, &alice, "second@example.com").await;
    let further = key_for(&alice, "second@example.com", start() + seconds(2));
    store.issue_verification_key(&further).await.unwrap().unwrap();
    let now = start() + seconds(3);
    verify(&store, further.digest, now).await.unwrap();
    for key in [first, further.digest] {
        // Long after the window too: spent comes before expired.
        for later in [now, now + seconds(1), now + window() * 2] {
            assert_eq!(refusal(&store, key, later).await, verified_already(&alice, now));
        }
    }
    assert_eq!(store.events(alice.id.0).await.len(), 3, "told once");
}

pub async fn u8_r11_the_answers_come_in_order(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let (bob, _) = register_active(&store, "bob", "bob@example.com").await;
    let key = add(&store, &alice, "shared@example.com").await;
    let (in_time, late) = (start() + seconds(3), start() + seconds(1) + window());
    let key_refusal = |refusal| VerifyRefusal::Key(refusal);
    add_verified(&store, &bob, "shared@example.com").await;
    assert_eq!(refusal(&store, key, in_time).await, key_refusal(VerificationRefusal::EmailTaken));
    let expired = VerificationRefusal::Expired { expire_time: late };
    assert_eq!(refusal(&store, key, late).await, key_refusal(expired));
    store.remove_email_address(&removal(&bob, "shared@example.com", in_time)).await.unwrap().unwrap();
    verify(&store, key, in_time).await.unwrap();
    assert_eq!(refusal(&store, key, late).await, verified_already(&alice, in_time));
    store.disable_user(alice.id, in_time).await.unwrap().unwrap();
    assert_eq!(refusal(&store, key, late).await, key_refusal(VerificationRefusal::Disabled));
    store.delete_user(alice.id, in_time).await.unwrap().unwrap();
    assert_eq!(refusal(&store, key, late).await, VerifyRefusal::UnknownKey);
}

pub async fn x15_the_newest_five_keys_of_an_address_live_each_in_its_own_window(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let other = add(&store, &alice, "third@example.com").await;
    let mut keys = vec![add(&store, &alice, "second@example.com").await];
    for second in 2..8 {
        let further = key_for(&alice, "second@example.com", start() + seconds(second));
        store.issue_verification_key(&further).await.unwrap().unwrap();
        keys.push(further.digest);
    }
    assert_eq!(store.count("verification_keys WHERE email = 'second@example.com'").await, 5);
    assert_eq!(store.count("mails WHERE recipient = 'second@example.com'").await, 7);
    let now = start() + window() + seconds(4);
    // Second by second one was issued; of those that are there, two have expired by now.
    for (second, key) in (1..).zip(&keys) {
        let expire_time = start() + seconds(second) + window();
        let expected = match second {
            1 | 2 => VerifyRefusal::UnknownKey,
            3 | 4 => VerifyRefusal::Key(VerificationRefusal::Expired { expire_time }),
            _ => continue,
        };
        assert_eq!(refusal(&store, *key, now).await, expected, "{second}");
    }
    verify(&store, keys[4], now).await.unwrap();
    verify(&store, other, start() + seconds(9)).await.unwrap();
}

pub async fn u8_no_key_is_issued_for_what_cannot_be_verified_by_it(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    add(&store, &alice, "shared@example.com").await;
    add_verified(&store, &bob, "shared@example.com").await;
    let now = start() + seconds(9);
    let user_id = alice.id;
    for (user, address, because) in [
        (&nobody(), "alice@example.com", AddressRefusal::UserNotFound),
        (&alice, "bob@example.com", AddressRefusal::NotFound),
        (&alice, "shared@example.com", AddressRefusal::EmailTaken),
        (&bob, "bob@example.com", AddressRefusal::UserPending),
        (
            &alice,
            "alice@example.com",
            AddressRefusal::AlreadyVerified { user_id, verify_time: start() + seconds(1) },
        ),
    ] {
        let refusal = refused!(store, issue_verification_key(key_for(user, address, now)));
        assert_eq!(refusal, because.into(), "{address}");
    }
    store.disable_user(alice.id, now).await.unwrap().unwrap();
    let refusal = refused!(store, issue_verification_key(key_for(&alice, "shared@example.com", now)));
    assert_eq!(refusal, AddressRefusal::UserDisabled.into());
}

pub async fn u8_an_issue_that_fails_midway_leaves_nothing_and_kills_no_key(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let first = addition(&alice, "second@example.com", start() + seconds(1));
    store.add_email_address(&first).await.unwrap().unwrap();
    for second in 2..6 {
        let further = key_for(&alice, "second@example.com", start() + seconds(second));
        store.issue_verification_key(&further).await.unwrap().unwrap();
    }
    let before = store.contents().await;
    let mut same_mail = key_for(&alice, "second@example.com", start() + seconds(9));
    same_mail.mail.id = first.issue.mail.id;
    let error = store.issue_verification_key(&same_mail).await.unwrap_err();
    assert!(matches!(error, StorageError::Database(_)), "{error:?}");
    assert_eq!(store.contents().await, before);
    verify(&store, first.issue.digest, start() + seconds(9)).await.unwrap();
}

pub async fn u8_who_was_made_active_by_hand_verifies_the_primary_address_by_a_key(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let alice = store.activate_user(alice.id, start() + seconds(1)).await.unwrap().unwrap();
    let issue = key_for(&alice, "alice@example.com", start() + seconds(2));
    assert_eq!(shown(&store.issue_verification_key(&issue).await.unwrap().unwrap()), ["*alice"]);
    let verified = verify(&store, issue.digest, start() + seconds(3)).await.unwrap();
    assert_eq!(shown(&verified.addresses), ["*+alice"]);
    assert_eq!(find(&store, &alice).await, Some(User { email_verified: true, ..alice }));
    assert_eq!(store.count("users WHERE email_verified AND any_email_verified").await, 1);
}

pub async fn u8_a_key_is_dead_once_its_address_was_removed_and_stays_so(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let old = add(&store, &alice, "second@example.com").await;
    let now = start() + seconds(2);
    store.remove_email_address(&removal(&alice, "second@example.com", now)).await.unwrap().unwrap();
    assert_eq!(refusal(&store, old, now).await, VerifyRefusal::UnknownKey);
    let new = addition(&alice, "second@example.com", now);
    store.add_email_address(&new).await.unwrap().unwrap();
    assert_eq!(refusal(&store, old, now).await, VerifyRefusal::UnknownKey);
    verify(&store, new.issue.digest, now).await.unwrap();
}

pub async fn x15_keys_of_addresses_that_died_with_a_disabling_stay_dead(store: Store) {
    let (pending, _) = register(&store, "pending", "pending@example.com").await;
    let (active, _) = register_active(&store, "active", "active@example.com").await;
    for user in [pending, active] {
        let spent = add_verified(&store, &user, &format!("{}-a@example.com", user.username)).await;
        let unspent = add(&store, &user, &format!("{}-b@example.com", user.username)).await;
        let now = start() + seconds(5);
        store.disable_user(user.id, now).await.unwrap().unwrap();
        for key in [spent, unspent] {
            let disabled = VerifyRefusal::Key(VerificationRefusal::Disabled);
            assert_eq!(refusal(&store, key, now).await, disabled);
        }
        store.enable_user(user.id, now).await.unwrap().unwrap();
        assert_eq!(refusal(&store, unspent, now).await, VerifyRefusal::UnknownKey);
        // X13: a spent one goes on saying so.
        assert_eq!(refusal(&store, spent, now).await, verified_already(&user, start() + seconds(2)));
        let new = key_for(&user, &format!("{}-b@example.com", user.username), now);
        store.issue_verification_key(&new).await.unwrap().unwrap();
        verify(&store, new.digest, now).await.unwrap();
    }
}

pub async fn x8_the_first_to_verify_keeps_the_address_whatever_the_others_have(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let (bob, _) = register_active(&store, "bob", "bob@example.com").await;
    let (_, claim) = register(&store, "carol", "shared@example.com").await;
    let [first, second] =
        [add(&store, &alice, "shared@example.com").await, add(&store, &bob, "shared@example.com").await];
    let now = start() + seconds(3);
    verify(&store, second, now).await.unwrap();
    let taken = VerifyRefusal::Key(VerificationRefusal::EmailTaken);
    assert_eq!(refusal(&store, first, now).await, taken);
    let activated = refused!(store, activate(activation(claim, now)));
    assert_eq!(activated, ActivateRefusal::Key(vestibule::domain::profile::KeyRefusal::EmailTaken));
    assert_eq!(listed(&store, &bob).await, ["*+bob", "+shared"]);
    assert_eq!(listed(&store, &alice).await, ["*+alice", "shared"]);
    // Nor can it be registered, and nobody else can be mailed there.
    let mut late = super::people::registration("dave", "shared@example.com");
    late.mail = Some(NewMail { kind: MailKind::Activation, ..mail(now) });
    let refused = refused!(store, register(late));
    assert_eq!(refused, vestibule::repository::RegisterRefusal::EmailTaken);
}
