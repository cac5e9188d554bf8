//! Acts on addresses at the same time: U8, X8, X15, X17.

use vestibule::{
    domain::{
        profile::KeyRefusal,
        user_email_address::{AddressRefusal, VerificationRefusal},
    },
    repository::{ActivateRefusal, VerificationKeyRefusal, VerifyRefusal},
};

use super::{
    addresses::{add, addition, key_for, listed, max, removal},
    people::{activation, find, register, register_active, seconds, start, window},
    purging::scope,
    racing::at_once,
    store::Store,
    verifying::verify,
};

pub async fn u8_of_many_calls_with_one_key_one_verifies(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let key = add(&store, &alice, "second@example.com").await;
    let now = start() + seconds(3);
    let outcomes = at_once(&store, 20, |store, _| async move { verify(&store, key, now).await }).await;
    let spent = VerificationRefusal::AlreadyVerified { user_id: alice.id, verify_time: now };
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let refused = outcomes.iter().filter(|outcome| **outcome == Err(VerifyRefusal::Key(spent)));
    assert_eq!(refused.count(), 19);
    let told = "events WHERE kind = 'email_address_verified'";
    assert_eq!(store.count(told).await, 1);
}

pub async fn x8_of_two_who_verify_one_address_at_once_exactly_one_does(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let (bob, _) = register_active(&store, "bob", "bob@example.com").await;
    for round in 0..40 {
        let address = format!("shared{round}@example.com");
        let mut keys = Vec::new();
        for user in [&alice, &bob] {
            let mut addition = addition(user, &address, start() + seconds(1));
            addition.max = max(100);
            store.add_email_address(&addition).await.unwrap().unwrap();
            keys.push(addition.issue.digest);
        }
        let outcomes = at_once(&store, 2, |store, number| {
            let key = keys[number];
            async move { verify(&store, key, start() + seconds(2)).await }
        })
        .await;
        let taken = Err(VerifyRefusal::Key(VerificationRefusal::EmailTaken));
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "round {round}");
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == taken).count(), 1, "round {round}");
    }
    assert_eq!(store.count("verified_email_addresses").await, 42);
    assert_eq!(store.count("email_addresses WHERE verify_time IS NOT NULL").await, 42);
}

pub async fn x8_of_an_activation_and_a_verification_of_one_address_exactly_one_succeeds(store: Store) {
    for round in 0..40 {
        let address = format!("shared{round}@example.com");
        let (_, claim) = register(&store, &format!("claims{round}"), &address).await;
        let own = format!("own{round}@example.com");
        let (user, _) = register_active(&store, &format!("adds{round}"), &own).await;
        let key = add(&store, &user, &address).await;
        let now = start() + seconds(3);
        let won = at_once(&store, 2, |store, number| async move {
            if number == 0 {
                let outcome = store.activate(&activation(claim, now)).await.unwrap();
                let taken = Err(ActivateRefusal::Key(KeyRefusal::EmailTaken));
                assert!(outcome.is_ok() || outcome == taken, "{outcome:?}");
                outcome.is_ok()
            } else {
                let outcome = verify(&store, key, now).await;
                let taken = Err(VerifyRefusal::Key(VerificationRefusal::EmailTaken));
                assert!(outcome.is_ok() || outcome == taken, "{outcome:?}");
                outcome.is_ok()
            }
        })
        .await;
        assert_eq!(won.into_iter().filter(|won| *won).count(), 1, "round {round}");
        let owners = format!("email_addresses WHERE email = '{address}' AND verify_time IS NOT NULL");
        assert_eq!(store.count(&owners).await, 1, "round {round}");
    }
}

pub async fn x17_a_verification_and_a_purge_at_once_never_both_nor_neither(store: Store) {
    for round in 0..40 {
        let (name, address) = (format!("alice{round}"), format!("alice{round}@example.com"));
        let (alice, _) = register(&store, &name, &address).await;
        let issue = addition(&alice, &format!("second{round}@example.com"), start() + seconds(1));
        store.add_email_address(&issue).await.unwrap().unwrap();
        let (key, now) = (issue.issue.digest, start() + window());
        let survived = at_once(&store, 2, |store, number| async move {
            match number {
                0 => match verify(&store, key, now).await {
                    Ok(_) => true,
                    Err(VerifyRefusal::UnknownKey) => false,
                    Err(refusal) => panic!("{refusal:?}"),
                },
                // Whom the verification holds, it passes over.
                _ => store.purge(scope(now), 10).await.unwrap().is_empty(),
            }
        })
        .await;
        assert_eq!(survived[0], survived[1], "round {round}");
        assert_eq!(find(&store, &alice).await.is_some(), survived[0], "round {round}");
    }
}

pub async fn u8_a_verification_and_a_removal_at_once_leave_nothing_of_the_address(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    for round in 0..40 {
        let key = add(&store, &alice, "second@example.com").await;
        let now = start() + seconds(3);
        let alice = &alice;
        at_once(&store, 2, |store, number| {
            let removal = removal(alice, "second@example.com", now);
            async move {
                match number {
                    0 => match verify(&store, key, now).await {
                        Ok(_) | Err(VerifyRefusal::UnknownKey) => {}
                        Err(refusal) => panic!("{refusal:?}"),
                    },
                    _ => drop(store.remove_email_address(&removal).await.unwrap().unwrap()),
                }
            }
        })
        .await;
        assert_eq!(listed(&store, alice).await, ["*alice"], "round {round}");
        assert_eq!(store.count("verified_email_addresses").await, 0, "round {round}");
        assert_eq!(store.count("users WHERE any_email_verified").await, 0, "round {round}");
        assert_eq!(store.count("verification_keys").await, 0, "round {round}");
    }
}

pub async fn x15_keys_of_an_address_issued_at_once_are_five_at_most(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    add(&store, &alice, "second@example.com").await;
    at_once(&store, 20, |store, number| {
        let now = start() + seconds(i64::try_from(number).unwrap());
        let issue = key_for(&alice, "second@example.com", now);
        async move { store.issue_verification_key(&issue).await.unwrap().unwrap() }
    })
    .await;
    assert_eq!(store.count("verification_keys").await, 5);
}

pub async fn u8_addresses_added_at_once_are_no_more_than_one_may_have(store: Store) {
    let (alice, _) = register_active(&store, "alice", "alice@example.com").await;
    let outcomes = at_once(&store, 20, |store, number| {
        let mut addition = addition(&alice, &format!("a{}@example.com", number / 2), start());
        addition.max = max(5);
        async move { store.add_email_address(&addition).await.unwrap() }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 4);
    for refusal in outcomes.into_iter().filter_map(Result::err) {
        let because = [AddressRefusal::TooMany, AddressRefusal::Exists].map(VerificationKeyRefusal::Address);
        assert!(because.contains(&refusal), "{refusal:?}");
    }
    assert_eq!(listed(&store, &alice).await.len(), 5);
}
