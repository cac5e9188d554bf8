//! Leases: one of several servers at a time, and once an interval.

use chrono::Duration;
use uuid::Uuid;
use vestibule::{
    domain::{Timestamp, lease::Work},
    repository::{LeaseRequest, Leased},
};

use super::{
    people::{seconds, start, tick, unique_id},
    store::Store,
};

/// Asks for a minute, for work that is due once an hour.
fn request(holder: Uuid, now: Timestamp) -> LeaseRequest {
    LeaseRequest {
        work: Work::Purge,
        holder,
        now,
        expire_time: now + seconds(60),
        due_since: now - Duration::hours(1),
    }
}

async fn take(store: &Store, holder: Uuid, now: Timestamp) -> Leased {
    store.take_lease(&request(holder, now)).await.unwrap()
}

pub async fn a_lease_is_one_holders_until_it_runs_out_or_is_given_back(store: Store) {
    let (mine, theirs) = (unique_id(), unique_id());
    assert_eq!(take(&store, mine, start()).await, Leased::Taken);
    assert_eq!(take(&store, theirs, start() + seconds(60) - tick()).await, Leased::Held);
    // A crashed holder's lease runs out.
    assert_eq!(take(&store, theirs, start() + seconds(60)).await, Leased::Taken);
    assert_eq!(take(&store, mine, start() + seconds(60)).await, Leased::Held);
    assert!(!store.release_lease(Work::Purge, mine, Some(start())).await.unwrap());
    assert_eq!(take(&store, mine, start() + seconds(61)).await, Leased::Held);
    assert!(store.release_lease(Work::Purge, theirs, None).await.unwrap());
    assert!(!store.release_lease(Work::Purge, theirs, None).await.unwrap());
    assert_eq!(take(&store, mine, start() + seconds(61)).await, Leased::Taken);
}

pub async fn a_holder_renews_its_lease(store: Store) {
    let (mine, theirs) = (unique_id(), unique_id());
    assert_eq!(take(&store, mine, start()).await, Leased::Taken);
    assert_eq!(take(&store, mine, start() + seconds(30)).await, Leased::Taken);
    assert_eq!(take(&store, theirs, start() + seconds(89)).await, Leased::Held);
}

pub async fn work_that_is_done_is_not_due_until_the_interval_is_over(store: Store) {
    let (mine, theirs) = (unique_id(), unique_id());
    assert_eq!(take(&store, mine, start()).await, Leased::Taken);
    assert!(store.release_lease(Work::Purge, mine, Some(start())).await.unwrap());
    let done = Leased::Done { run_time: start() };
    for holder in [mine, theirs] {
        assert_eq!(take(&store, holder, start() + Duration::hours(1) - tick()).await, done);
    }
    assert_eq!(take(&store, theirs, start() + Duration::hours(1)).await, Leased::Taken);
    // A run that came to nothing keeps what is known of the one before.
    assert!(store.release_lease(Work::Purge, theirs, None).await.unwrap());
    assert_eq!(take(&store, mine, start() + Duration::hours(1) - tick()).await, done);
}

pub async fn leases_for_different_work_know_nothing_of_each_other(store: Store) {
    let other = LeaseRequest { work: Work::Reminders, ..request(unique_id(), start()) };
    assert_eq!(take(&store, unique_id(), start()).await, Leased::Taken);
    assert_eq!(store.take_lease(&other).await.unwrap(), Leased::Taken);
}
