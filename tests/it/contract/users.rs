//! Listing users whatever their state: U3, U4.

use vestibule::domain::{
    page::PageSize,
    user::{User, UserFilter, UserState},
};

use super::{
    people::{register_active, register_at, seconds, start, username},
    store::Store,
};

/// Everything that a filter gives, page by page.
async fn walk(store: &Store, filter: &UserFilter, page_size: i32) -> Vec<User> {
    let (mut users, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_users(filter, PageSize::parse(page_size).unwrap(), after).await.unwrap();
        users.extend(page.items);
        match page.next {
            None => return users,
            next => after = next,
        }
    }
}

async fn names(store: &Store, filter: &UserFilter) -> Vec<String> {
    walk(store, filter, 2).await.into_iter().map(|user| user.username).collect()
}

fn filter(state: Option<UserState>, prefix: &str) -> UserFilter {
    let username_prefix = (!prefix.is_empty()).then(|| username(prefix).key().clone());
    UserFilter { state, username_prefix }
}

/// Users in every state, the names against the order in which they registered.
async fn everybody(store: &Store) {
    for (second, name) in (1..).zip(["zoe", "Bob", "bill", "anna", "Ben"]) {
        register_at(store, name, &format!("{name}@example.com"), start() + seconds(second)).await;
    }
    register_active(store, "betty", "betty@example.com").await;
    let bill = store.find_user_by_username(username("bill").key()).await.unwrap().unwrap();
    store.disable_user(bill.id, start() + seconds(9)).await.unwrap().unwrap();
}

pub async fn u3_users_are_listed_by_state_the_longest_registered_first(store: Store) {
    everybody(&store).await;
    let by_state = |state| filter(state, "");
    assert_eq!(names(&store, &by_state(None)).await, ["betty", "zoe", "Bob", "bill", "anna", "Ben"]);
    let pending = names(&store, &by_state(Some(UserState::Pending))).await;
    assert_eq!(pending, ["zoe", "Bob", "anna", "Ben"]);
    assert_eq!(names(&store, &by_state(Some(UserState::Active))).await, ["betty"]);
    assert_eq!(names(&store, &by_state(Some(UserState::Disabled))).await, ["bill"]);
}

pub async fn u3_users_are_listed_by_prefix_in_the_order_of_usernames(store: Store) {
    everybody(&store).await;
    assert_eq!(names(&store, &filter(None, "b")).await, ["Ben", "betty", "bill", "Bob"]);
    assert_eq!(names(&store, &filter(None, "BE")).await, ["Ben", "betty"]);
    assert_eq!(names(&store, &filter(Some(UserState::Pending), "b")).await, ["Ben", "Bob"]);
    assert_eq!(names(&store, &filter(None, "bx")).await, [""; 0]);
}

pub async fn u4_pages_of_users_of_any_size_show_everybody_once(store: Store) {
    for number in 0..23 {
        // Some at one instant, which the ids keep apart.
        register_at(&store, &format!("user{number:02}"), "u@example.com", start() + seconds(number / 4))
            .await;
    }
    let mut users = walk(&store, &UserFilter::default(), 1000).await;
    assert!(users.is_sorted_by(|a, b| (a.create_time, a.id) < (b.create_time, b.id)));
    for page_size in [1, 2, 7, 22, 23, 24] {
        assert_eq!(walk(&store, &UserFilter::default(), page_size).await, users, "pages of {page_size}");
    }
    users.sort_by(|a, b| a.username.cmp(&b.username));
    for page_size in [1, 2, 7, 22, 23, 24] {
        assert_eq!(walk(&store, &filter(None, "user"), page_size).await, users, "pages of {page_size}");
    }
}

pub async fn u4_a_prefix_in_a_rare_state_examines_a_bounded_number_of_rows(store: Store) {
    let (id, now) = (store.id_of("i"), store.at(start()));
    store
        .execute(format!(
            "INSERT INTO users (
                 id, username, username_key, state, site, create_time,
                 email, email_domain, email_verified, any_email_verified
             )
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10050)
             SELECT {id}, 'filler' || i, 'filler' || i, 'PENDING', 'default', {now},
                 'filler@filler.example', 'filler.example', false, false
             FROM n"
        ))
        .await;
    let (wanted, _) = register_active(&store, "fillers", "fillers@example.com").await;
    let filter = filter(Some(UserState::Active), "fill");
    let size = PageSize::parse(10).unwrap();
    let first = store.list_users(&filter, size, None).await.unwrap();
    assert!(first.items.is_empty());
    let second = store.list_users(&filter, size, Some(first.next.unwrap())).await.unwrap();
    assert_eq!((second.items, second.next), (vec![wanted], None));
}
