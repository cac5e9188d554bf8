//! A million users on Postgres, 200,000 of them unverified: what the database reads for each statement, by its own
//! account. Plans and counts of pages, not times: they are the same on every machine.

mod plans;

use std::{
    fmt::Write as _,
    future::Future,
    sync::atomic::{AtomicU32, Ordering},
};

use chrono::Duration;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use uuid::Uuid;
use vestibule::{
    domain::{
        Timestamp,
        device::Device,
        email_address::EmailDomain,
        page::{Page, PageKey, PageSize},
        password_guess::Guess,
        site::SiteId,
        unverified::{PurgeScope, PurgeSelection, UnverifiedFilter},
        user::{User, UserFilter, UserName, UserState},
        username::{Username, UsernameKey},
    },
    repository::{
        PasswordLogin, Passwords as _, Registrations as _, Repository as _, Selections as _, StorageError,
        Unverified as _, Users as _, postgres::PostgresRepository,
    },
};

use self::plans::{Plan, Plans};
use crate::{
    contract::{
        people::{activation, issue, password_hash, registration_at},
        reminding::{anybody, reminder},
    },
    support::postgres::Database,
};

const USERS: u32 = 1_000_000;
/// One of so many is unverified.
const UNVERIFIED: u32 = 5;
/// How deep the deep page is.
const DEEP: u32 = 150_000;
const PAGE: i32 = 100;
/// More often than the driver's statements stay with a plan made for their arguments.
const TIMES: usize = 7;

/// Everybody registered a second after the one before, the first then.
fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn registered(number: u32) -> Timestamp {
    start() + Duration::seconds(number.into())
}

/// Of the unverified, the last tenth has time left.
fn now() -> Timestamp {
    registered(USERS / 10 * 9) + Duration::days(7)
}

async fn load(connection: &mut PgConnection) {
    let indexes = sqlx::query(
        "SELECT indexname::text AS name, indexdef FROM pg_indexes
         WHERE tablename = 'users' AND indexname NOT IN ('users_pkey', 'users_username_key')",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let mut script = String::new();
    for index in &indexes {
        writeln!(script, "DROP INDEX {};", index.get::<String, _>("name")).unwrap();
    }
    // Nine in ten of the unverified are in one domain and on one site, so that a walk through either is deep too.
    writeln!(
        script,
        "INSERT INTO users (
             id, username, username_key, state, site, create_time, activate_time, disable_time, email, email_domain,
             email_verified, any_email_verified, profile_issue_time, profile_expire_time, profile_activate_time
         )
         SELECT lpad(to_hex(i), 32, '0')::uuid, name, name,
             CASE WHEN pending THEN 'PENDING' WHEN disabled THEN 'DISABLED' ELSE 'ACTIVE' END,
             CASE WHEN i % 50 = 0 THEN 'shop' ELSE 'default' END, registered,
             CASE WHEN NOT pending THEN registered END, CASE WHEN disabled THEN registered END,
             name || '@' || domain, domain, NOT pending, NOT pending, registered, registered + interval '7 days',
             CASE WHEN NOT pending THEN registered END
         FROM (
             SELECT i, 'user' || lpad(i::text, 7, '0') AS name, i % {UNVERIFIED} = 0 AS pending,
                 i % 100 = 7 AS disabled,
                 '{}'::timestamptz + i * interval '1 second' AS registered,
                 CASE WHEN i % 50 = 5 THEN 'small.example' ELSE 'example.com' END AS domain
             FROM generate_series(1, {USERS}) AS i
         ) AS numbered;",
        start().to_rfc3339()
    )
    .unwrap();
    for index in &indexes {
        writeln!(script, "{};", index.get::<String, _>("indexdef")).unwrap();
    }
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut *connection).await.unwrap();
    sqlx::raw_sql("VACUUM ANALYZE users").execute(connection).await.unwrap();
}

/// The database with its users, and a store over one connection that tells its plans.
struct Million {
    database: Database,
    store: PostgresRepository,
    plans: Plans,
}

impl Million {
    async fn load() -> Self {
        let database = Database::create().await;
        let mut connection = PgConnection::connect(&database.url()).await.unwrap();
        load(&mut connection).await;
        Plans::switch_on(&mut connection).await;
        connection.close().await.unwrap();
        let store =
            PostgresRepository::connect(&database.url(), 1, std::time::Duration::from_secs(60)).unwrap();
        Self { database, store, plans: Plans::collect() }
    }

    /// What a call answers, each time the same, and the plans of its statements.
    async fn plans<T, F: Future<Output = Result<T, StorageError>>>(
        &self,
        call: impl Fn() -> F,
    ) -> (T, Vec<Plan>) {
        let mut answer = None;
        self.plans.take();
        for _ in 0..TIMES {
            answer = Some(call().await.unwrap());
        }
        let plans = self.plans.take();
        assert!(!plans.is_empty(), "the database tells its plans");
        (answer.unwrap(), plans)
    }

    /// Holds the first page of a list against one far behind it: both along an index, both a page's worth of rows, and
    /// the deep one for at most half as much again.
    async fn compare<F: Future<Output = Result<Page<User>, StorageError>>>(
        &self,
        what: &str,
        indexes: &[&str],
        deep: PageKey,
        page: impl Fn(Option<PageKey>) -> F,
    ) {
        let mut costs = Vec::new();
        for after in [None, Some(deep)] {
            let (answer, plans) = self.plans(|| page(after.clone())).await;
            assert_eq!(answer.items.len(), usize::try_from(PAGE).unwrap(), "{what}");
            for plan in &plans {
                let walked = plan.indexes();
                assert!(walked.len() == 1 && indexes.contains(&walked[0]), "{what}: {plan:?}");
                // A condition that nine in ten meet may be checked row by row.
                assert!(plan.rows_read() <= u64::try_from(PAGE).unwrap() * 3 / 2, "{what}: {plan:?}");
            }
            costs.push(plans.iter().map(Plan::pages).max().unwrap());
        }
        let (first, deep) = (costs[0], costs[1]);
        assert!(deep * 2 <= first * 3, "{what}: {first} pages for the first, {deep} for the deep one");
    }
}

fn created(number: u32) -> PageKey {
    PageKey::Created { create_time: registered(number), id: Uuid::from_u128(number.into()) }
}

fn key(text: &str) -> UsernameKey {
    Username::parse(text).unwrap().key().clone()
}

/// In one test, because it takes most of the time to make the users.
#[tokio::test]
async fn u4_x18_what_a_call_reads_depends_on_what_it_returns_and_not_on_how_many_there_are() {
    let million = Million::load().await;
    lists(&million).await;
    users(&million).await;
    bounded(&million).await;
    purges(&million).await;
    selections(&million).await;
    acts(&million).await;
    million.store.close().await;
    million.database.drop().await;
}

/// ListUnverified by every filter that an index serves.
async fn lists(million: &Million) {
    let size = PageSize::parse(PAGE).unwrap();
    let all = UnverifiedFilter::default;
    let from = Some(registered(1));
    let until = Some(registered(USERS + 1));
    let domain = |text| Some(EmailDomain::parse(text).unwrap());
    let site = |text| Some(SiteId::parse(text).unwrap());
    let deep = || created(DEEP * UNVERIFIED);
    let filters: [(&str, &[&str], UnverifiedFilter); 9] = [
        ("no filter", &["users_unverified"], all()),
        ("created_after", &["users_unverified"], UnverifiedFilter { created_after: from, ..all() }),
        ("created_before", &["users_unverified"], UnverifiedFilter { created_before: until, ..all() }),
        (
            "both",
            &["users_unverified"],
            UnverifiedFilter { created_after: from, created_before: until, ..all() },
        ),
        (
            "exclude_any_verified",
            &["users_unverified"],
            UnverifiedFilter { include_any_verified: true, ..all() },
        ),
        (
            "domain of most",
            &["users_unverified", "users_unverified_email_domain"],
            UnverifiedFilter { email_domain: domain("example.com"), ..all() },
        ),
        (
            "site of most",
            &["users_unverified", "users_unverified_site"],
            UnverifiedFilter { site: site("default"), ..all() },
        ),
        (
            "domain of few",
            &["users_unverified_email_domain"],
            UnverifiedFilter { email_domain: domain("small.example"), ..all() },
        ),
        ("site of few", &["users_unverified_site"], UnverifiedFilter { site: site("shop"), ..all() }),
    ];
    for (what, indexes, filter) in filters {
        // The planner may check what nearly all have instead of looking it up.
        let page = |after| million.store.list_unverified(&filter, now(), size, after);
        million.compare(what, indexes, deep(), page).await;
    }
    let nowhere = UnverifiedFilter { email_domain: domain("nowhere.example"), ..all() };
    let page = || million.store.list_unverified(&nowhere, now(), size, None);
    let (page, plans) = million.plans(page).await;
    assert!(page.items.is_empty() && plans.iter().all(|plan| plan.rows_read() == 0), "{plans:?}");
}

/// ListUsers by every filter.
async fn users(million: &Million) {
    let size = PageSize::parse(PAGE).unwrap();
    let deep = |number: u32| PageKey::Username(format!("user{number:07}"));
    for (what, index, filter, deep) in [
        ("everybody", "users_create_time", UserFilter::default(), created(DEEP)),
        (
            "state of few",
            "users_state",
            UserFilter { state: Some(UserState::Disabled), username_prefix: None },
            created(DEEP),
        ),
        (
            "username_prefix",
            "users_username_key",
            UserFilter { state: None, username_prefix: Some(key("user")) },
            deep(DEEP),
        ),
    ] {
        let page = |after| million.store.list_users(&filter, size, after);
        million.compare(what, &[index], deep, page).await;
    }
    let one = UserFilter { state: None, username_prefix: Some(key("user0500000")) };
    let (page, plans) = million.plans(|| million.store.list_users(&one, size, None)).await;
    assert_eq!(page.items.len(), 1);
    assert!(plans.iter().all(|plan| plan.rows_read() <= 1), "{plans:?}");
}

/// Filters that no index serves examine a bounded number of rows, and say where they stopped.
async fn bounded(million: &Million) {
    let size = PageSize::parse(PAGE).unwrap();
    let all = UnverifiedFilter::default;
    for (what, filter) in [
        ("state", UnverifiedFilter { state: Some(UserState::Active), ..all() }),
        ("idle_since", UnverifiedFilter { idle_since: Some(start()), expired: Some(false), ..all() }),
        ("prefix", UnverifiedFilter { username_prefix: Some(key("user")), expired: Some(false), ..all() }),
    ] {
        let (page, plans) = million.plans(|| million.store.list_unverified(&filter, now(), size, None)).await;
        assert!(page.items.is_empty() && page.next.is_some(), "{what}");
        for plan in plans {
            assert!(plan.rows_read() <= 10_000, "{what}: {plan:?}");
            assert!(!plan.reads_the_whole("users"), "{what}: {plan:?}");
        }
    }
}

/// A purge's statements walk the index of the expired, a batch at a time.
async fn purges(million: &Million) {
    let scope = PurgeScope { now: now(), include_disabled: true };
    let (count, plans) = million.plans(|| million.store.count_purgeable(scope, 10_001)).await;
    assert_eq!(count, 10_001);
    assert!(plans.iter().all(|plan| plan.rows_read() <= 10_001), "{plans:?}");
    let (sample, plans) = million.plans(|| million.store.list_purgeable(scope, 100)).await;
    assert_eq!(sample.len(), 100);
    assert!(plans.iter().all(|plan| plan.rows_read() <= 100), "{plans:?}");
    let (gone, plans) = million.plans(|| million.store.purge(scope, 200)).await;
    assert_eq!(gone.len(), 200);
    for plan in plans {
        assert!(!plan.reads_the_whole("users") && plan.rows_read() <= 600, "{plan:?}");
    }
}

/// What a filter selects that an index serves is counted, listed, purged and reminded in a bounded number of rows.
async fn selections(million: &Million) {
    let store = &million.store;
    let filter = || UnverifiedFilter {
        email_domain: Some(EmailDomain::parse("small.example").unwrap()),
        ..UnverifiedFilter::default()
    };
    let size = |size| PageSize::parse(size).unwrap();
    let purge = PurgeSelection { filter: filter(), now: now() };
    let (count, plans) = million.plans(|| store.count_selected_to_purge(&purge, 1001)).await;
    assert_eq!(count, 1001);
    assert!(plans.iter().all(|plan| plan.rows_read() <= 1001), "{plans:?}");
    let (gone, plans) = million
        .plans(async || {
            let page = store.list_selected_to_purge(&purge, size(200), None).await?;
            let ids: Vec<_> = page.items.iter().map(|user| user.id).collect();
            store.purge_selected(&purge, &ids).await
        })
        .await;
    assert_eq!(gone.len(), 200);
    for plan in plans {
        assert!(!plan.reads_the_whole("users") && plan.rows_read() <= 600, "{plan:?}");
    }
    let remind = anybody(now());
    let (reminded, plans) = million
        .plans(async || {
            let page = store.list_selected_to_remind(&remind, size(50), None).await?;
            let reminders: Vec<_> = page.items.iter().map(|user| reminder(user, now())).collect();
            store.remind(&remind, &reminders, &[]).await
        })
        .await;
    assert_eq!(reminded.unwrap().len(), 50);
    for plan in plans {
        // Those reminded in the rounds before are walked past.
        assert!(!plan.reads_the_whole("users") && plan.rows_read() <= 1000, "{plan:?}");
    }
}

/// A password, and a login by it from a device that is a stranger and then from one that is known.
async fn log_in_from_a_device(store: &PostgresRepository, user: &User) -> Result<(), StorageError> {
    store.set_password(user.id, &password_hash("$hash")).await?.unwrap();
    let name = UserName::Username(Username::parse(&user.username).unwrap());
    let guess = Guess::new(name, Some(&Device::parse("0123456789abcdef").unwrap()));
    for _ in 0..2 {
        let counted = store.count_guess(&guess, now()).await?.unwrap();
        let login = PasswordLogin {
            user_id: user.id,
            digest: counted.digest,
            device: guess.device(),
            verified_hash: password_hash("$hash"),
            new_hash: None,
            now: now(),
        };
        store.record_password_login(&login).await?.unwrap();
    }
    Ok(())
}

/// Whatever is done to one user, or to one that is new, touches a handful of rows.
async fn acts(million: &Million) {
    let store = &million.store;
    let numbers = AtomicU32::new(0);
    let unique = || numbers.fetch_add(1, Ordering::Relaxed);
    let (_, plans) = million
        .plans(async || {
            let name = format!("new{}", unique());
            let registration = registration_at(&name, &format!("{name}@example.com"), now());
            let user = store.register(&registration).await?.unwrap();
            store.find_user_by_username(registration.username.key()).await?.unwrap();
            store.issue_key(&issue(&user, now())).await?.unwrap();
            store.list_pending_claims(&registration.email, now(), 3).await?;
            store.activate(&activation(registration.digest, now())).await?.unwrap();
            store.find_user_by_verified_email(&registration.email).await?.unwrap();
            store.record_login(user.id, now()).await?.unwrap();
            log_in_from_a_device(store, &user).await?;
            store.disable_user(user.id, now()).await?.unwrap();
            store.enable_user(user.id, now()).await?.unwrap();
            store.delete_user(user.id, now()).await?.unwrap();
            // One who gives way: the name is that of a user whose window is over.
            let number = 5 * (40_001 + unique());
            let again = registration_at(&format!("user{number:07}"), "again@example.com", now());
            store.register(&again).await.map(|outcome| outcome.unwrap())
        })
        .await;
    assert!(plans.len() >= 20 * TIMES, "{}", plans.len());
    for plan in plans {
        assert!(!plan.reads_the_whole("users") && plan.rows_read() <= 10, "{plan:?}");
    }
}
