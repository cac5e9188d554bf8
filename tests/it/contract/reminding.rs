//! Reminding whom a caller or the ladder selects: U6, R13, X12, X15, X23, and when somebody was last mailed.

use chrono::Duration;
use vestibule::{
    domain::{
        Timestamp,
        mail::MailKind,
        page::PageSize,
        profile::KeyRefusal,
        reminder::{Ladder, ReminderPolicy, ReminderSelection},
        unverified::UnverifiedFilter,
        user::User,
    },
    repository::{ActivateRefusal, NewProfile, NewReminder},
};

use super::{
    people::{
        activate_by_hand, activation, digest, find, issue, mail, register, register_active, registration,
        registration_at, seconds, start, tick, verify_another_address, window,
    },
    store::Store,
};

/// A reminder's instant, a day after the mail of the registration.
fn then() -> Timestamp {
    start() + Duration::hours(24)
}

fn policy() -> ReminderPolicy {
    ReminderPolicy { interval: Duration::hours(24), max_count: 3, ladder: Ladder::new(vec![3, 6]).unwrap() }
}

/// Whoever a call without a filter reminds at `now`.
pub fn anybody(now: Timestamp) -> ReminderSelection {
    policy().selection(UnverifiedFilter::default(), now)
}

/// A reminder that starts the window again, as an operation makes it.
pub fn reminder(user: &User, now: Timestamp) -> NewReminder {
    let mut mail = mail(now + window());
    mail.kind = MailKind::Reminder;
    NewReminder {
        user_id: user.id,
        email: user.email.clone(),
        digest: digest(),
        mail,
        expire_time: now + window(),
        ladder_day: 0,
    }
}

/// A reminder of the ladder.
fn rung(user: &User, now: Timestamp) -> NewReminder {
    let profile = user.profile.unwrap();
    let rung = policy().ladder_selection(now).rung(profile.issue_time);
    let ladder_day = rung.map_or(99, |rung| rung.day);
    NewReminder { expire_time: profile.expire_time, ladder_day, ..reminder(user, now) }
}

async fn remind(store: &Store, selection: &ReminderSelection, reminder: &NewReminder) -> Option<User> {
    store.remind(selection, std::slice::from_ref(reminder), &[]).await.unwrap().unwrap().pop()
}

/// Counts, lists and reminds by one predicate.
async fn assert_due(store: &Store, user: &User, now: Timestamp, due: bool) {
    let selection = anybody(now);
    let count = store.count_selected_to_remind(&selection, 10).await.unwrap();
    let page = store.list_selected_to_remind(&selection, PageSize::at_most(10), None).await.unwrap();
    assert_eq!((count > 0, !page.items.is_empty()), (due, due), "{now}");
    let before = store.contents().await;
    let reminded = remind(store, &selection, &reminder(user, now)).await;
    assert_eq!(reminded.is_some(), due, "{now}");
    assert_eq!(store.contents().await == before, !due);
}

pub async fn u6_a_reminder_is_a_further_key_a_mail_an_event_and_a_window_that_starts_again(store: Store) {
    let (alice, first) = register(&store, "alice", "alice@example.com").await;
    register(&store, "bob", "bob@example.com").await;
    // The way back for somebody whose key has expired.
    let now = start() + window() * 2;
    let further = reminder(&alice, now);
    let reminded = remind(&store, &anybody(now), &further).await.unwrap();
    let profile = reminded.profile.unwrap();
    assert_eq!((profile.issue_time, profile.expire_time), (now, now + window()));
    assert_eq!(find(&store, &alice).await, Some(reminded));
    assert_eq!(store.events(alice.id.0).await, ["user_registered", "user_reminded"]);
    let queued = format!(
        "mails WHERE kind = 'reminder' AND state = 'QUEUED' AND recipient = 'alice@example.com' \
         AND create_time = {} AND user_id = {}",
        store.at(now),
        store.id(alice.id.0)
    );
    assert_eq!(store.count(&queued).await, 1);
    assert_eq!(store.count("mails").await, 3);
    for key in [further.digest, first] {
        assert!(store.find_key(&key).await.unwrap().is_some());
    }
    let told = store.texts("SELECT reminder_count || ' ' || ladder_day FROM users ORDER BY username").await;
    assert_eq!(told, ["1 0", "0 0"]);
    store.activate(&activation(further.digest, now + window() - tick())).await.unwrap().unwrap();
}

pub async fn u6_whoever_was_mailed_within_a_day_is_left_out_to_the_microsecond(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    assert_due(&store, &alice, then() - tick(), false).await;
    assert_due(&store, &alice, then(), true).await;
    assert_due(&store, &alice, then() + Duration::hours(24) - tick(), false).await;
    // Whose key the caller delivered was never mailed.
    store.execute("DELETE FROM users").await;
    let quiet =
        vestibule::repository::NewRegistration { mail: None, ..registration("bob", "bob@example.com") };
    let bob = store.register(&quiet).await.unwrap().unwrap();
    assert_due(&store, &bob, start() + tick(), true).await;
}

pub async fn u6_every_activation_mail_counts_as_being_mailed(store: Store) {
    let last_mail =
        || store.texts("SELECT CAST(last_mail_time AS text) FROM users WHERE last_mail_time IS NOT NULL");
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let mut seen = vec![last_mail().await];
    assert_eq!(seen[0].len(), 1);
    let now = start() + seconds(9);
    // A key that is not mailed is none.
    store.issue_key(&issue(&alice, now)).await.unwrap().unwrap();
    assert_eq!(last_mail().await, seen[0]);
    let mut further = issue(&alice, now);
    further.mail = Some(mail(now + window()));
    store.issue_key(&further).await.unwrap().unwrap();
    seen.push(last_mail().await);
    assert_due(&store, &alice, now + Duration::hours(24) - tick(), false).await;
    store.delete_profile(alice.id).await.unwrap().unwrap();
    let mut issue = issue(&alice, now + seconds(1));
    issue.mail = Some(mail(now + window()));
    store.create_profile(&NewProfile { issue, expire_time: now + window() }).await.unwrap().unwrap();
    seen.push(last_mail().await);
    assert_due(&store, &alice, now + seconds(1) + Duration::hours(24) - tick(), false).await;
    assert_due(&store, &alice, now + seconds(1) + Duration::hours(24), true).await;
    seen.push(last_mail().await);
    seen.dedup();
    assert_eq!(seen.len(), 4, "{seen:?}");
}

pub async fn u6_nobody_has_more_than_three_reminders(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    for day in 1..=3 {
        assert_due(&store, &alice, start() + Duration::days(day), true).await;
    }
    assert_due(&store, &alice, start() + Duration::days(4), false).await;
    assert_eq!(store.count("events WHERE kind = 'user_reminded'").await, 3);
}

pub async fn u6_only_pending_users_with_a_profile_are_reminded(store: Store) {
    let (bare, _) = register(&store, "bare", "bare@example.com").await;
    store.delete_profile(bare.id).await.unwrap().unwrap();
    assert_due(&store, &bare, then(), false).await;
    let (disabled, _) = register(&store, "disabled", "disabled@example.com").await;
    store.disable_user(disabled.id, start() + seconds(1)).await.unwrap().unwrap();
    assert_due(&store, &disabled, then(), false).await;
    let (by_hand, _) = register(&store, "by-hand", "by-hand@example.com").await;
    activate_by_hand(&store, &by_hand, start() + seconds(1)).await;
    assert_due(&store, &by_hand, then(), false).await;
    let (active, _) = register_active(&store, "active", "active@example.com").await;
    assert_due(&store, &active, then(), false).await;
    let (other, _) = register(&store, "other", "other@example.com").await;
    verify_another_address(&store, &other, "second@example.com").await;
    assert_due(&store, &other, then(), false).await;
}

pub async fn u6_the_filter_says_who_is_reminded(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let now = then() + seconds(1);
    let expired = UnverifiedFilter { expired: Some(true), ..UnverifiedFilter::default() };
    let selection = policy().selection(expired, now);
    assert_eq!(store.count_selected_to_remind(&selection, 10).await.unwrap(), 0);
    assert_eq!(remind(&store, &selection, &reminder(&alice, now)).await, None);
    let in_time = UnverifiedFilter { expired: Some(false), ..UnverifiedFilter::default() };
    assert!(remind(&store, &policy().selection(in_time, now), &reminder(&alice, now)).await.is_some());
}

pub async fn x23_an_address_that_another_has_verified_gets_no_reminder(store: Store) {
    let (alice, _) = register(&store, "alice", "shared@example.com").await;
    register_active(&store, "bob", "shared@example.com").await;
    assert_due(&store, &alice, then(), false).await;
    store.execute("DELETE FROM verified_email_addresses").await;
    assert_due(&store, &alice, then(), true).await;
}

pub async fn x15_a_reminder_leaves_the_newest_five_keys(store: Store) {
    let (alice, first) = register(&store, "alice", "alice@example.com").await;
    let mut keys = vec![first];
    for second in 1..5 {
        let further = issue(&alice, start() + seconds(second));
        store.issue_key(&further).await.unwrap().unwrap();
        keys.push(further.digest);
    }
    let further = reminder(&alice, then());
    remind(&store, &anybody(then()), &further).await.unwrap();
    keys.push(further.digest);
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(store.find_key(key).await.unwrap().is_some(), number > 0, "key {number}");
    }
}

pub async fn u6_a_reminder_for_another_address_is_not_queued(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let before = store.contents().await;
    let stale = NewReminder { email: "old@example.com".into(), ..reminder(&alice, then()) };
    assert_eq!(remind(&store, &anybody(then()), &stale).await, None);
    assert_eq!(store.contents().await, before);
}

pub async fn u6_a_reminder_that_fails_midway_leaves_nothing(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let (bob, taken) = register(&store, "bob", "bob@example.com").await;
    let before = store.contents().await;
    let same_key = NewReminder { digest: taken, ..reminder(&alice, then()) };
    store.remind(&anybody(then()), &[reminder(&bob, then()), same_key], &[]).await.unwrap_err();
    assert_eq!(store.contents().await, before);
}

pub async fn u6_the_ladder_reminds_once_for_each_rung_and_moves_no_window(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let day = |day| start() + Duration::days(day);
    for (now, ladder_day) in [
        (day(3) - tick(), None),
        (day(3), Some("3")),
        (day(5), None),
        (day(6), Some("6")),
        (day(7) - tick(), None),
    ] {
        let selection = policy().ladder_selection(now);
        let due = u32::from(ladder_day.is_some());
        assert_eq!(store.count_selected_to_remind(&selection, 10).await.unwrap(), due, "{now}");
        let reminded = remind(&store, &selection, &rung(&alice, now)).await;
        assert_eq!(reminded, ladder_day.map(|_| alice.clone()), "{now}");
        if let Some(ladder_day) = ladder_day {
            let told = store.texts("SELECT CAST(ladder_day AS text) FROM users").await;
            assert_eq!(told, [ladder_day]);
        }
    }
    assert_eq!(store.events(alice.id.0).await, ["user_registered", "user_reminded", "user_reminded"]);
    assert_eq!(find(&store, &alice).await, Some(alice));
}

pub async fn u6_after_an_outage_the_ladder_reminds_once_and_never_after_the_window(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let now = start() + Duration::days(6) + Duration::hours(12);
    let selection = policy().ladder_selection(now);
    assert!(remind(&store, &selection, &rung(&alice, now)).await.is_some());
    let later = start() + window() - tick();
    assert_eq!(store.count_selected_to_remind(&policy().ladder_selection(later), 10).await.unwrap(), 0);
    // At its end, to the microsecond, a window is over.
    let (bob, _) = register(&store, "bob", "bob@example.com").await;
    let over = policy().ladder_selection(start() + window());
    assert_eq!(remind(&store, &over, &rung(&bob, start() + window())).await, None);
    let last = policy().ladder_selection(later);
    assert!(remind(&store, &last, &rung(&bob, later)).await.is_some());
}

pub async fn u6_the_ladder_names_the_window_as_it_is_or_says_nothing(store: Store) {
    let (alice, _) = register(&store, "alice", "alice@example.com").await;
    let now = start() + Duration::days(3);
    let stale = NewReminder { expire_time: start() + window() + tick(), ..rung(&alice, now) };
    let selection = policy().ladder_selection(now);
    assert_eq!(remind(&store, &selection, &stale).await, None);
    assert!(remind(&store, &selection, &rung(&alice, now)).await.is_some());
}

pub async fn x12_a_window_that_starts_again_lets_old_keys_work_on(store: Store) {
    let (alice, first) = register(&store, "alice", "alice@example.com").await;
    let now = start() + window();
    let expired = ActivateRefusal::Key(KeyRefusal::Expired { expire_time: now });
    assert_eq!(store.activate(&activation(first, now)).await.unwrap().unwrap_err(), expired);
    remind(&store, &anybody(now), &reminder(&alice, now)).await.unwrap();
    store.activate(&activation(first, now)).await.unwrap().unwrap();
}

pub async fn u6_a_reminder_is_counted_among_the_activation_mails(store: Store) {
    let unmailed = vestibule::repository::NewRegistration {
        mail: None,
        ..registration_at("a", "a@example.com", start())
    };
    let alice = store.register(&unmailed).await.unwrap().unwrap();
    assert_eq!(store.count_activation_mails(alice.id).await.unwrap().last_state, None);
    remind(&store, &anybody(then()), &reminder(&alice, then())).await.unwrap();
    let mails = store.count_activation_mails(alice.id).await.unwrap();
    assert_eq!(mails.last_state, Some(vestibule::domain::mail::MailState::Queued));
    let token = super::people::unique_id();
    let claimed = store.claim_mails(then(), then() + seconds(30), token, 1).await.unwrap().mails;
    assert_eq!(claimed[0].kind, MailKind::Reminder);
    let delivered = vestibule::domain::delivery::Settlement::Delivered;
    store.settle_mail(claimed[0].id, token, &delivered, then()).await.unwrap();
    assert_eq!(store.count_activation_mails(alice.id).await.unwrap().delivered, 1);
}
