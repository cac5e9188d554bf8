//! Profiles and further keys: R13, R14, X15.

use vestibule::{
    domain::{
        Timestamp,
        delivery::Settlement,
        mail::MailState,
        policy::MAX_LIVE_KEYS,
        profile::{KeyRefusal, RegistrationProfile},
        user::{User, UserId, UserState},
    },
    repository::{
        ActivateRefusal, CreateProfileRefusal, IssueKeyRefusal, KeyIssue, MailCount, NewProfile,
        ProfileRefusal, StorageError,
    },
};

use super::{
    people::{
        activate_by_hand, activation, email, find, issue, mail, register, register_active, seconds, start,
        tick, unique_id, window,
    },
    store::Store,
};

/// A profile whose window begins at `now`.
fn profile(user: &User, now: Timestamp) -> NewProfile {
    NewProfile { issue: issue(user, now), expire_time: now + window() }
}

/// Asks for a further key, expects a refusal, and that nothing has changed.
async fn issue_refused(store: &Store, issue: &KeyIssue) -> IssueKeyRefusal {
    let before = store.contents().await;
    let refusal = store.issue_key(issue).await.unwrap().unwrap_err();
    assert_eq!(store.contents().await, before);
    refusal
}

/// Asks for a profile, expects a refusal, and that nothing has changed.
async fn profile_refused(store: &Store, profile: &NewProfile) -> CreateProfileRefusal {
    let before = store.contents().await;
    let refusal = store.create_profile(profile).await.unwrap().unwrap_err();
    assert_eq!(store.contents().await, before);
    refusal
}

fn nobody() -> User {
    let mut nobody = super::people::registration("nobody", "nobody@example.com").user();
    nobody.id = UserId(unique_id());
    nobody
}

pub async fn r13_deleting_a_profile_kills_its_keys_and_shows_the_user_as_it_stood(store: Store) {
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    let (bob, bobs_key) = register(&store, "bob", "bob@example.com").await;
    assert_eq!(store.delete_profile(alice.id).await.unwrap().unwrap(), alice);
    assert_eq!(find(&store, &alice).await, Some(User { profile: None, ..alice }));
    assert!(store.find_key(&key).await.unwrap().is_none());
    let refusal = store.activate(&activation(key, start() + seconds(1))).await.unwrap().unwrap_err();
    assert_eq!(refusal, ActivateRefusal::UnknownKey);
    assert_eq!(store.find_key(&bobs_key).await.unwrap().unwrap().user, bob);
}

pub async fn r13_a_spent_profile_can_be_deleted_and_the_user_stays_active(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    assert_eq!(store.delete_profile(alice.id).await.unwrap().unwrap(), alice);
    assert_eq!(find(&store, &alice).await, Some(User { profile: None, ..alice }));
}

pub async fn r13_there_is_no_profile_to_delete_twice_or_of_nobody(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.delete_profile(alice.id).await.unwrap().unwrap();
    let before = store.contents().await;
    let refusal = store.delete_profile(alice.id).await.unwrap().unwrap_err();
    assert_eq!(refusal, ProfileRefusal::ProfileNotFound);
    let refusal = store.delete_profile(nobody().id).await.unwrap().unwrap_err();
    assert_eq!(refusal, ProfileRefusal::UserNotFound);
    assert_eq!(store.contents().await, before);
}

pub async fn r13_a_new_profile_starts_its_window_now_with_a_key_that_works(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.delete_profile(alice.id).await.unwrap().unwrap();
    let now = start() + window() * 3;
    let mut new = profile(&alice, now);
    new.issue.mail = Some(mail(new.expire_time));
    let with_profile = store.create_profile(&new).await.unwrap().unwrap();
    let window = RegistrationProfile { issue_time: now, expire_time: new.expire_time, activate_time: None };
    assert_eq!(with_profile, User { profile: Some(window), ..alice });
    assert_eq!(find(&store, &with_profile).await, Some(with_profile.clone()));
    assert_eq!(store.count("mails").await, 2);
    let active = store.activate(&activation(new.issue.digest, now + seconds(1))).await.unwrap().unwrap();
    assert_eq!(active.state, UserState::Active);
}

pub async fn r13_a_user_has_at_most_one_profile(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    for now in [start() + seconds(1), start() + window() * 2] {
        let refusal = profile_refused(&store, &profile(&alice, now)).await;
        assert_eq!(refusal, CreateProfileRefusal::ProfileExists);
    }
}

pub async fn r13_only_a_pending_user_gets_a_profile(store: Store) {
    let now = start() + seconds(2);
    let refusal = profile_refused(&store, &profile(&nobody(), now)).await;
    assert_eq!(refusal, CreateProfileRefusal::UserNotFound);
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let activated = CreateProfileRefusal::Key(KeyRefusal::AlreadyActivated {
        user_id: alice.id,
        activate_time: start() + seconds(1),
    });
    assert_eq!(profile_refused(&store, &profile(&alice, now)).await, activated);
    store.delete_profile(alice.id).await.unwrap().unwrap();
    assert_eq!(profile_refused(&store, &profile(&alice, now)).await, activated);
    store.disable_user(alice.id, now).await.unwrap().unwrap();
    let disabled = CreateProfileRefusal::Key(KeyRefusal::Disabled);
    assert_eq!(profile_refused(&store, &profile(&alice, now)).await, disabled);
}

pub async fn x8_no_profile_for_an_address_that_another_has_verified(store: Store) {
    let (alice, _) = register(&store, "alice", "shared@example.com").await;
    register_active(&store, "bob", "shared@example.com").await;
    store.delete_profile(alice.id).await.unwrap().unwrap();
    let refusal = profile_refused(&store, &profile(&alice, start() + seconds(2))).await;
    assert_eq!(refusal, CreateProfileRefusal::Key(KeyRefusal::EmailTaken));
}

pub async fn r13_a_profile_that_fails_midway_leaves_nothing(store: Store) {
    let (_, taken) = register(&store, "bob", "bob@example.com").await;
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    store.delete_profile(alice.id).await.unwrap().unwrap();
    let before = store.contents().await;
    let mut same_key = profile(&alice, start() + seconds(1));
    same_key.issue.digest = taken;
    let error = store.create_profile(&same_key).await.unwrap_err();
    assert!(matches!(error, StorageError::Database(_)), "{error:?}");
    let mut stale = profile(&alice, start() + seconds(1));
    stale.issue.email = email("old@example.com").to_string();
    let error = store.create_profile(&stale).await.unwrap_err();
    assert!(matches!(error, StorageError::Conflict(_)), "{error:?}");
    assert_eq!(store.contents().await, before);
}

pub async fn r14_a_further_key_works_beside_the_first_and_moves_no_expiry(store: Store) {
    let (alice, first) = register(&store, "alice", "alice@example.com").await;
    let mut further = issue(&alice, start() + window() - tick());
    further.mail = Some(mail(start() + window()));
    assert_eq!(store.issue_key(&further).await.unwrap().unwrap(), alice);
    assert_eq!(find(&store, &alice).await, Some(alice.clone()));
    assert_eq!(store.texts("SELECT recipient FROM mails").await, ["alice@example.com"; 2]);
    for key in [first, further.digest] {
        assert_eq!(store.find_key(&key).await.unwrap().unwrap().user, alice);
        let refusal = store.activate(&activation(key, start() + window())).await.unwrap().unwrap_err();
        let expire_time = start() + window();
        assert_eq!(refusal, ActivateRefusal::Key(KeyRefusal::Expired { expire_time }));
    }
    store.activate(&activation(first, start() + seconds(1))).await.unwrap().unwrap();
}

pub async fn r14_without_a_mail_a_key_is_issued_all_the_same(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let further = issue(&alice, start() + seconds(1));
    store.issue_key(&further).await.unwrap().unwrap();
    assert_eq!(store.count("mails").await, 1);
    store.activate(&activation(further.digest, start() + seconds(2))).await.unwrap().unwrap();
}

pub async fn r10_a_key_is_issued_until_a_microsecond_before_the_expiry(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let expire_time = start() + window();
    let refusal = issue_refused(&store, &issue(&alice, expire_time)).await;
    assert_eq!(refusal, IssueKeyRefusal::Key(KeyRefusal::Expired { expire_time }));
    store.issue_key(&issue(&alice, expire_time - tick())).await.unwrap().unwrap();
}

pub async fn r14_only_a_pending_user_with_a_profile_gets_a_key(store: Store) {
    let now = start() + seconds(2);
    let refusal = issue_refused(&store, &issue(&nobody(), now)).await;
    assert_eq!(refusal, IssueKeyRefusal::UserNotFound);
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    activate_by_hand(&store, &alice, start() + seconds(1)).await;
    let activated = KeyRefusal::AlreadyActivated { user_id: alice.id, activate_time: start() + seconds(1) };
    assert_eq!(issue_refused(&store, &issue(&alice, now)).await, IssueKeyRefusal::Key(activated));
    store.disable_user(alice.id, now).await.unwrap().unwrap();
    let disabled = IssueKeyRefusal::Key(KeyRefusal::Disabled);
    assert_eq!(issue_refused(&store, &issue(&alice, now)).await, disabled);
    store.delete_profile(alice.id).await.unwrap().unwrap();
    assert_eq!(issue_refused(&store, &issue(&alice, now)).await, IssueKeyRefusal::ProfileNotFound);
}

pub async fn x8_no_key_for_an_address_that_another_has_verified(store: Store) {
    let (alice, _) = register(&store, "alice", "shared@example.com").await;
    register_active(&store, "bob", "shared@example.com").await;
    let refusal = issue_refused(&store, &issue(&alice, start() + seconds(2))).await;
    assert_eq!(refusal, IssueKeyRefusal::Key(KeyRefusal::EmailTaken));
}

pub async fn r14_a_key_for_another_address_than_the_primary_is_a_conflict(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let before = store.contents().await;
    let mut stale = issue(&alice, start() + seconds(1));
    stale.email = email("old@example.com").to_string();
    let error = store.issue_key(&stale).await.unwrap_err();
    assert!(matches!(error, StorageError::Conflict(_)), "{error:?}");
    assert_eq!(store.contents().await, before);
}

pub async fn r14_an_issue_that_fails_midway_leaves_nothing_and_kills_no_key(store: Store) {
    let (alice, first) = register(&store, "alice", "alice@example.com").await;
    for second in 1..i64::from(MAX_LIVE_KEYS) {
        store.issue_key(&issue(&alice, start() + seconds(second))).await.unwrap().unwrap();
    }
    assert_eq!(store.count("activation_keys").await, 5);
    let (_, taken) = register(&store, "bob", "bob@example.com").await;
    let before = store.contents().await;
    let mut same_key = issue(&alice, start() + seconds(9));
    same_key.digest = taken;
    same_key.mail = Some(mail(start() + window()));
    store.issue_key(&same_key).await.unwrap_err();
    assert_eq!(store.contents().await, before);
    assert!(store.find_key(&first).await.unwrap().is_some());
}

pub async fn x15_the_newest_five_keys_live_and_no_more(store: Store) {
    let (alice, first) = register(&store, "alice", "alice@example.com").await;
    let (_, bobs) = register(&store, "bob", "bob@example.com").await;
    let mut keys = vec![first];
    for second in 1..8 {
        let further = issue(&alice, start() + seconds(second));
        store.issue_key(&further).await.unwrap().unwrap();
        keys.push(further.digest);
        let mut live = Vec::new();
        for key in &keys {
            if store.find_key(key).await.unwrap().is_some() {
                live.push(*key);
            }
        }
        let newest = keys.len().saturating_sub(5);
        assert_eq!(live, keys[newest..], "after {} keys", keys.len());
    }
    assert!(store.find_key(&bobs).await.unwrap().is_some());
    let refusal = store.activate(&activation(first, start() + seconds(9))).await.unwrap().unwrap_err();
    assert_eq!(refusal, ActivateRefusal::UnknownKey);
    store.activate(&activation(keys[3], start() + seconds(9))).await.unwrap().unwrap();
}

pub async fn x15_keys_of_one_instant_are_five_at_most_too(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let mut last = None;
    for _ in 0..8 {
        let further = issue(&alice, start());
        store.issue_key(&further).await.unwrap().unwrap();
        last = Some(further.digest);
    }
    assert_eq!(store.count("activation_keys").await, 5);
    assert!(store.find_key(&last.unwrap()).await.unwrap().is_some());
}

pub async fn x15_every_key_is_dead_once_the_user_is_disabled(store: Store) {
    let (alice, first) = register(&store, "alice", "alice@example.com").await;
    let further = issue(&alice, start() + seconds(1));
    store.issue_key(&further).await.unwrap().unwrap();
    store.disable_user(alice.id, start() + seconds(2)).await.unwrap().unwrap();
    for key in [first, further.digest] {
        let refusal = store.activate(&activation(key, start() + seconds(3))).await.unwrap().unwrap_err();
        assert_eq!(refusal, ActivateRefusal::Key(KeyRefusal::Disabled));
    }
}

pub async fn mails_are_counted_by_what_became_of_them(store: Store) {
    let count = |user: UserId| {
        let store = store.clone();
        async move { store.count_activation_mails(user).await.unwrap() }
    };
    let none = MailCount { delivered: 0, last_state: None };
    assert_eq!(count(nobody().id).await, none);
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    assert_eq!(count(alice.id).await, MailCount { delivered: 0, last_state: Some(MailState::Queued) });
    let settle = |settlement: Settlement, now: Timestamp| {
        let store = store.clone();
        async move {
            let token = unique_id();
            let claimed = store.claim_mails(now, now + seconds(30), token, 1).await.unwrap().mails;
            assert!(store.settle_mail(claimed[0].id, token, &settlement, now).await.unwrap());
        }
    };
    settle(Settlement::Delivered, start()).await;
    assert_eq!(count(alice.id).await, MailCount { delivered: 1, last_state: Some(MailState::Delivered) });
    let mut further = issue(&alice, start() + seconds(1));
    further.mail = Some(mail(start() + window()));
    store.issue_key(&further).await.unwrap().unwrap();
    assert_eq!(count(alice.id).await, MailCount { delivered: 1, last_state: Some(MailState::Queued) });
    settle(Settlement::Discarded { error: "no such mailbox".into() }, start() + seconds(1)).await;
    assert_eq!(count(alice.id).await, MailCount { delivered: 1, last_state: Some(MailState::Discarded) });
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    assert_eq!(count(bob.id).await, MailCount { delivered: 0, last_state: Some(MailState::Queued) });
}
