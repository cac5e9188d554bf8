//! Acts at the same time: R12, X7, X8, X15, X17, X18, and acts that nobody waits for to their end.

use std::{collections::HashSet, future::Future, sync::Arc, time::Duration};

use tokio::{sync::Barrier, task::JoinSet};
use vestibule::{
    domain::{
        lease::Work,
        profile::KeyRefusal,
        user::{User, UserState},
    },
    repository::{ActivateRefusal, IssueKeyRefusal, LeaseRequest, Leased, RegisterRefusal, Repository},
};

use super::{
    people::{
        activation, find, issue, mail, register, register_at, registration, registration_at, seconds, start,
        tick, unique_id, window,
    },
    purging::scope,
    reminding::{anybody, reminder},
    store::Store,
};

/// Runs `count` acts at once, and gives what each came to.
pub async fn at_once<T, F>(store: &Store, count: usize, act: impl Fn(Store, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (barrier, mut acts) = (Arc::new(Barrier::new(count)), JoinSet::new());
    for number in 0..count {
        let (barrier, act) = (Arc::clone(&barrier), act(store.clone(), number));
        acts.spawn(async move {
            barrier.wait().await;
            act.await
        });
    }
    acts.join_all().await
}

pub async fn r12_of_fifty_calls_with_one_key_one_activates(store: Store) {
    let (alice, key) = register(&store, "alice", "alice@example.com").await;
    let now = start() + seconds(1);
    let outcomes =
        at_once(&store, 50, |store, _| async move { store.activate(&activation(key, now)).await.unwrap() })
            .await;
    let refusal =
        ActivateRefusal::Key(KeyRefusal::AlreadyActivated { user_id: alice.id, activate_time: now });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(refusal)).count(), 49);
    assert_eq!(store.events(alice.id.0).await, ["user_registered", "user_activated"]);
}

pub async fn r12_of_several_replicas_one_activates(store: Store) {
    let replicas: Vec<Arc<dyn Repository>> = (0..4).map(|_| store.another(2)).collect();
    for round in 0..20 {
        let (_, key) = register(&store, &format!("alice{round}"), &format!("alice{round}@example.com")).await;
        let activated = at_once(&store, 8, |_, number| {
            let replica = Arc::clone(&replicas[number % 4]);
            async move { replica.activate(&activation(key, start() + seconds(1))).await.unwrap().is_ok() }
        })
        .await;
        assert_eq!(activated.into_iter().filter(|activated| *activated).count(), 1, "round {round}");
    }
    for replica in replicas {
        replica.close().await;
    }
}

pub async fn x15_of_five_keys_at_once_one_activates(store: Store) {
    let (alice, first) = register(&store, "alice", "alice@example.com").await;
    let mut keys = vec![first];
    for second in 1..5 {
        let further = issue(&alice, start() + seconds(second));
        store.issue_key(&further).await.unwrap().unwrap();
        keys.push(further.digest);
    }
    let outcomes = at_once(&store, 5, |store, number| {
        let activation = activation(keys[number], start() + seconds(9));
        async move { store.activate(&activation).await.unwrap() }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(store.events(alice.id.0).await, ["user_registered", "user_activated"]);
}

pub async fn x8_of_two_users_who_claim_one_address_exactly_one_activates(store: Store) {
    for round in 0..100 {
        let address = format!("shared{round}@example.com");
        let mut keys = Vec::new();
        for name in ["alice", "bob"] {
            keys.push(register(&store, &format!("{name}{round}"), &address).await.1);
        }
        let outcomes = at_once(&store, 2, |store, number| {
            let activation = activation(keys[number], start() + seconds(1));
            async move { store.activate(&activation).await.unwrap() }
        })
        .await;
        let taken = Err(ActivateRefusal::Key(KeyRefusal::EmailTaken));
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "round {round}");
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == taken).count(), 1, "round {round}");
    }
    assert_eq!(store.count("users WHERE state = 'ACTIVE'").await, 100);
    assert_eq!(store.count("verified_email_addresses").await, 100);
    assert_eq!(store.count("email_addresses WHERE verify_time IS NOT NULL").await, 100);
    assert_eq!(store.count("events WHERE kind = 'user_activated'").await, 100);
}

pub async fn x7_of_fifty_registrations_of_one_username_one_succeeds(store: Store) {
    let outcomes = at_once(&store, 50, |store, number| async move {
        let name = if number % 2 == 0 { "alice" } else { "ALICE" };
        store.register(&registration(name, &format!("alice{number}@example.com"))).await.unwrap()
    })
    .await;
    let taken = Err(RegisterRefusal::UsernameTaken);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == taken).count(), 49);
    assert_eq!(store.counts().await, [1, 1, 0, 1, 1, 1]);
}

pub async fn x7_an_expired_holder_gives_way_to_one_of_many_and_goes_once(store: Store) {
    let (old, _) = register(&store, "alice", "old@example.com").await;
    let outcomes = at_once(&store, 20, |store, number| async move {
        let now = start() + window();
        store.register(&registration_at("alice", &format!("a{number}@example.com"), now)).await.unwrap()
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(store.events(old.id.0).await, ["user_registered", "user_deleted expired"]);
    assert_eq!(store.counts().await, [1, 1, 0, 1, 1, 3]);
}

pub async fn x7_giving_way_and_a_purge_at_once_delete_once(store: Store) {
    for round in 0..20 {
        let name = format!("alice{round}");
        let (old, _) = register(&store, &name, "old@example.com").await;
        let now = start() + window();
        let done = at_once(&store, 2, |store, number| {
            let registration = registration_at(&name, "new@example.com", now);
            async move {
                match number {
                    0 => store.register(&registration).await.unwrap().is_ok(),
                    _ => store.purge(scope(now), 1).await.unwrap().len() < 2,
                }
            }
        })
        .await;
        assert_eq!(done, [true, true]);
        assert_eq!(store.events(old.id.0).await, ["user_registered", "user_deleted expired"]);
    }
    assert_eq!(store.count("users").await, 20);
}

pub async fn x17_an_activation_and_a_purge_at_one_instant_never_both_nor_neither(store: Store) {
    for round in 0..50 {
        let (alice, key) = register(&store, &format!("alice{round}"), "alice@example.com").await;
        let expired = round % 2 == 0;
        let now = if expired { start() + window() } else { start() + window() - tick() };
        let survived = at_once(&store, 2, |store, number| async move {
            match number {
                0 => store.activate(&activation(key, now)).await.unwrap().is_ok(),
                _ => store.purge(scope(now), 10).await.unwrap().is_empty(),
            }
        })
        .await;
        assert_eq!(survived, [!expired; 2], "round {round}");
        let state = find(&store, &alice).await.map(|user| user.state);
        assert_eq!(state, (!expired).then_some(UserState::Active), "round {round}");
        // The address is free for the next round.
        store.execute("DELETE FROM users").await;
    }
}

pub async fn x17_an_activation_and_a_disabling_come_one_after_the_other(store: Store) {
    for round in 0..30 {
        let (alice, key) =
            register(&store, &format!("alice{round}"), &format!("alice{round}@example.com")).await;
        let activated = at_once(&store, 2, |store, number| async move {
            match number {
                0 => match store.activate(&activation(key, start() + seconds(1))).await.unwrap() {
                    Ok(_) => Some(true),
                    Err(refusal) => {
                        assert_eq!(refusal, ActivateRefusal::Key(KeyRefusal::Disabled));
                        Some(false)
                    }
                },
                _ => {
                    store.disable_user(alice.id, start() + seconds(1)).await.unwrap().unwrap();
                    None
                }
            }
        })
        .await;
        let activated = activated.contains(&Some(true));
        let user = find(&store, &alice).await.unwrap();
        assert_eq!((user.state, user.activate_time.is_some()), (UserState::Disabled, activated));
        let events = store.events(alice.id.0).await;
        let expected: &[&str] = if activated {
            &["user_registered", "user_activated", "user_disabled"]
        } else {
            &["user_registered", "user_disabled"]
        };
        assert_eq!(events, expected, "round {round}");
    }
}

pub async fn x17_a_purge_and_an_act_by_hand_at_one_instant_come_one_after_the_other(store: Store) {
    let now = start() + window();
    for round in 0..40 {
        let (name, address) = (format!("alice{round}"), format!("alice{round}@example.com"));
        let (alice, _) = register(&store, &name, &address).await;
        let mut outcomes = at_once(&store, 2, |store, number| async move {
            let outcome = match (number, round % 4) {
                (0, _) => store.purge(scope(now), 10).await.unwrap().len() == 1,
                (_, 0) => store.activate_user(alice.id, now).await.unwrap().is_ok(),
                (_, 1) => store.disable_user(alice.id, now).await.unwrap().is_some(),
                (_, 2) => store.delete_user(alice.id, now).await.unwrap().is_some(),
                _ => {
                    // A login spares nobody; but it is told of a user who is there, or refused.
                    store.record_login(alice.id, now).await.unwrap().is_err()
                }
            };
            (number, outcome)
        })
        .await;
        outcomes.sort_unstable();
        let [(_, purged), (_, acted)] = outcomes[..] else { panic!("{outcomes:?}") };
        let found = find(&store, &alice).await;
        if round % 4 == 3 {
            // A purge passes over whom the login holds, and takes them the next time.
            let later = store.purge(scope(now), 10).await.unwrap();
            assert_eq!(purged, later.is_empty(), "round {round}");
            assert_eq!(store.count("users WHERE state = 'PENDING'").await, 0);
        } else {
            assert!(purged != acted, "round {round}: purged {purged}, acted {acted}");
            assert_eq!(found.is_some(), acted && round % 4 != 2, "round {round}");
        }
        let found = find(&store, &alice).await;
        let deletions = store.events(alice.id.0).await;
        let deletions = deletions.iter().filter(|event| event.starts_with("user_deleted")).count();
        assert_eq!(deletions, usize::from(found.is_none()), "round {round}");
    }
}

pub async fn x15_keys_issued_at_once_are_five_at_most(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    at_once(&store, 20, |store, number| {
        let further = issue(&alice, start() + seconds(i64::try_from(number).unwrap()));
        async move { store.issue_key(&further).await.unwrap().unwrap() }
    })
    .await;
    assert_eq!(store.count("activation_keys").await, 5);
}

pub async fn x15_a_key_issued_beside_an_activation_is_spent_or_refused(store: Store) {
    for round in 0..30 {
        let (alice, key) =
            register(&store, &format!("alice{round}"), &format!("alice{round}@example.com")).await;
        let further = issue(&alice, start() + seconds(1));
        let digest = further.digest;
        at_once(&store, 2, |store, number| {
            let further = further.clone();
            async move {
                match number {
                    0 => drop(store.activate(&activation(key, start() + seconds(1))).await.unwrap().unwrap()),
                    _ => match store.issue_key(&further).await.unwrap() {
                        Ok(_) | Err(IssueKeyRefusal::Key(KeyRefusal::AlreadyActivated { .. })) => {}
                        Err(refusal) => panic!("{refusal:?}"),
                    },
                }
            }
        })
        .await;
        store.activate(&activation(digest, start() + seconds(2))).await.unwrap().unwrap_err();
    }
}

pub async fn x18_several_replicas_purge_at_once_and_each_user_goes_once(store: Store) {
    let mut expected = HashSet::new();
    for number in 0..100 {
        let (user, _) = register(&store, &format!("user{number}"), "shared@example.com").await;
        expected.insert(user.id);
    }
    let replicas: Vec<Arc<dyn Repository>> = (0..4).map(|_| store.another(2)).collect();
    let gone = at_once(&store, 4, |_, number| {
        let replica = Arc::clone(&replicas[number]);
        async move {
            let mut gone = Vec::new();
            loop {
                let batch = replica.purge(scope(start() + window()), 7).await.unwrap();
                assert!(batch.len() <= 7);
                if batch.is_empty() {
                    replica.close().await;
                    return gone;
                }
                gone.extend(batch.into_iter().map(|user| user.id));
            }
        }
    })
    .await
    .concat();
    assert_eq!(gone.len(), 100);
    assert_eq!(gone.into_iter().collect::<HashSet<_>>(), expected);
    assert_eq!(store.count("users").await, 0);
    assert_eq!(store.count("events WHERE kind = 'user_deleted'").await, 100);
}

pub async fn u6_several_replicas_remind_at_once_and_nobody_twice(store: Store) {
    let mut users = Vec::new();
    for number in 0..60 {
        users.push(register(&store, &format!("user{number}"), &format!("user{number}@example.com")).await.0);
    }
    let replicas: Vec<Arc<dyn Repository>> = (0..4).map(|_| store.another(2)).collect();
    let now = start() + window();
    let reminded = at_once(&store, 4, |_, number| {
        let (replica, users) = (Arc::clone(&replicas[number]), users.clone());
        async move {
            let mut reminded = Vec::new();
            for batch in users.chunks(7) {
                let reminders: Vec<_> = batch.iter().map(|user| reminder(user, now)).collect();
                let done = replica.remind(&anybody(now), &reminders, &[]).await.unwrap().unwrap();
                reminded.extend(done.into_iter().map(|user| user.id));
            }
            replica.close().await;
            reminded
        }
    })
    .await
    .concat();
    assert_eq!(reminded.len(), reminded.iter().collect::<HashSet<_>>().len());
    assert_eq!(
        store.count("events WHERE kind = 'user_reminded'").await,
        i64::try_from(reminded.len()).unwrap()
    );
    // Who was held when the others came was reminded by whoever held it.
    assert_eq!(store.count("users WHERE reminder_count = 1").await, 60);
    assert_eq!(store.count("mails WHERE kind = 'reminder'").await, 60);
}

pub async fn one_of_many_gets_a_lease(store: Store) {
    for round in 0..20 {
        let now = start() + seconds(round * 100);
        let taken = at_once(&store, 8, |store, _| async move {
            let request = LeaseRequest {
                work: Work::Purge,
                holder: unique_id(),
                now,
                expire_time: now + seconds(60),
                due_since: now - seconds(60),
            };
            store.take_lease(&request).await.unwrap() == Leased::Taken
        })
        .await;
        assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 1, "round {round}");
    }
}

pub async fn a_mail_goes_to_one_of_many_workers(store: Store) {
    for number in 0..60 {
        register(&store, &format!("user{number}"), "shared@example.com").await;
    }
    let claimed = at_once(&store, 8, |store, _| async move {
        let mut claimed = Vec::new();
        loop {
            let mails =
                store.claim_mails(start(), start() + seconds(30), unique_id(), 4).await.unwrap().mails;
            assert!(mails.len() <= 4);
            if mails.is_empty() {
                return claimed;
            }
            claimed.extend(mails.into_iter().map(|mail| mail.id));
        }
    })
    .await
    .concat();
    assert_eq!(claimed.len(), 60);
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>().len(), 60);
    assert_eq!(store.count("mails WHERE attempt = 1").await, 60);
}

pub async fn r1_an_act_dropped_midway_is_done_wholly_or_not_at_all(store: Store) {
    // One connection, so that whatever a dropped act leaves behind is in the way of the next.
    let process = store.another(1);
    process.register(&registration("warm-up", "warm-up@example.com")).await.unwrap().unwrap();
    let (holder, _) = register_at(&store, "holder", "holder@example.com", start() + seconds(1)).await;
    for round in 0..150_u64 {
        let patience = Duration::from_micros(round * 20);
        let name = format!("user{round}");
        let dropped = registration(&name, "shared@example.com");
        let _ = tokio::time::timeout(patience, process.register(&dropped)).await;
        let mut further = issue(&holder, start() + seconds(2));
        further.mail = Some(mail(start() + window()));
        let _ = tokio::time::timeout(patience, process.issue_key(&further)).await;
        let _ = tokio::time::timeout(patience, process.purge(scope(start() - seconds(1)), 1)).await;
        // What is acknowledged after it stands, where another process sees it.
        let next = process.register(&registration(&format!("next{round}"), "next@example.com")).await;
        let next: User = next.unwrap().unwrap();
        assert_eq!(find(&store, &next).await, Some(next.clone()), "round {round}");
        let issued = issue(&next, start() + seconds(3));
        process.issue_key(&issued).await.unwrap().unwrap();
        assert!(store.find_key(&issued.digest).await.unwrap().is_some(), "round {round}");
    }
    process.close().await;
    let users = store.count("users").await;
    assert_eq!(store.count("email_addresses").await, users);
    assert_eq!(store.count("events").await, users);
    let keyless = "users WHERE id NOT IN (SELECT user_id FROM activation_keys)";
    assert_eq!(store.count(keyless).await, 0);
    assert!(store.count("activation_keys WHERE email = 'holder@example.com'").await <= 5);
    let mailless = "users WHERE id NOT IN (SELECT user_id FROM mails)";
    assert_eq!(store.count(mailless).await, 0);
}
