//! Callers who go away, or whose time is over, at any instant: what was begun is carried out wholly or not at all.

use std::{collections::BTreeMap, time::Duration};

use tokio::{task::JoinSet, time::timeout};
use tonic::{Code, IntoRequest, Request, Status};
use tonic_types::StatusExt as _;
use vestibule::{
    grpc::proto::{
        CreateInactiveUserRequest, CreateRegistrationProfileRequest, DeleteRegistrationProfileRequest,
        ListUnverifiedRequest, ReissueActivationKeyRequest, get_user_request::User as By,
    },
    random::{SeededRandom, number},
};

use super::{SESSIONS, registration};
use crate::{
    contract::store::Store,
    rules::deadlines::hold_writes,
    support::{
        proxy::{Proxy, Way},
        server::{Client, TestServer, eventually, reason},
    },
};

/// How many calls are made by callers who go away, and how many at a time.
const CANCELLED: usize = 10_000;
const CANCELLED_ON_SQLITE: usize = 2_000;
/// How many calls are made with deadlines.
const LATE: usize = 2_000;
const AT_ONCE: usize = 8;
/// How many sessions they share.
const SESSIONS_AT_MOST: i64 = 2;

pub async fn callers_who_go_away_leave_nothing_half_written(store: Store) {
    let count = if store.url().starts_with("postgres:") { CANCELLED } else { CANCELLED_ON_SQLITE };
    let outcomes = Crowd::start(&store, Impatience::Leaves).await.call(count).await;
    assert!(outcomes["left"] > count / 5 && outcomes["done"] > count / 4, "{outcomes:?}");
}

pub async fn callers_with_deadlines_leave_nothing_half_written(store: Store) {
    let outcomes = Crowd::start(&store, Impatience::Deadline).await.call(LATE).await;
    assert!(outcomes["late"] > LATE / 10 && outcomes["done"] > LATE / 4, "{outcomes:?}");
}

#[derive(Debug, Clone, Copy)]
enum Impatience {
    /// Cancels the call.
    Leaves,
    /// Says beforehand how long it waits.
    Deadline,
}

/// Many callers of a server on a slow way to its database.
struct Crowd {
    store: Store,
    server: TestServer,
    known: String,
    other: String,
    impatience: Impatience,
    _way: Option<Proxy>,
}

impl Crowd {
    async fn start(store: &Store, impatience: Impatience) -> Self {
        let way = match store.url().starts_with("postgres:") {
            true => Some(Proxy::to(store.url()).await),
            false => None,
        };
        if let (Some(way), Impatience::Deadline) = (&way, impatience) {
            way.set(Way::Slow(Duration::from_millis(1)));
        }
        let url = way.as_ref().map_or(store.url(), |way| way.url.as_str());
        let settings = format!("database.max_connections = {SESSIONS_AT_MOST}");
        let server = TestServer::start_configured(url, &settings).await;
        let client = server.client().await;
        let known = client.register("known", "known@example.com").await.id.to_string();
        let other = client.register("other", "other@example.com").await.id.to_string();
        Self { store: store.clone(), server, known, other, impatience, _way: way }
    }

    /// Makes so many calls, and says how many ended how.
    async fn call(self, count: usize) -> BTreeMap<&'static str, usize> {
        let (impatience, mut callers) = (self.impatience, JoinSet::new());
        for caller in 0..AT_ONCE {
            // One connection for each: a server hangs up on a connection that takes back too much at once.
            let client = self.server.client().await;
            let (known, other) = (self.known.clone(), self.other.clone());
            callers.spawn(async move {
                let random = SeededRandom::new(caller.try_into().unwrap());
                let mut outcomes = BTreeMap::from([("left", 0), ("late", 0), ("done", 0), ("cut", 0)]);
                for round in (caller..count).step_by(AT_ONCE) {
                    // Now and then one waits, or what the others have left behind would pile up.
                    let patient = round / AT_ONCE % 4 == 3;
                    let outcome = match impatience {
                        Impatience::Leaves if !patient => {
                            // As many below a tenth of a millisecond as between one and ten, and above.
                            let patience = Duration::from_micros(1 << (number(&random) % 17));
                            match timeout(patience, call(&client, round, &known, &other, None)).await {
                                Ok(answer) => outcome(answer),
                                Err(_) => "left",
                            }
                        }
                        Impatience::Deadline if !patient => {
                            // As many between 1 and 10 ms as between 100 and 1000.
                            let deadline = Duration::from_millis([1, 10, 100][round % 3])
                                * u32::try_from(1 + number(&random) % 10).unwrap();
                            outcome(call(&client, round, &known, &other, Some(deadline)).await)
                        }
                        _ => outcome(call(&client, round, &known, &other, None).await),
                    };
                    *outcomes.get_mut(outcome).unwrap() += 1;
                }
                outcomes
            });
        }
        let mut outcomes = BTreeMap::new();
        for (outcome, count) in callers.join_all().await.into_iter().flatten() {
            *outcomes.entry(outcome).or_insert(0) += count;
        }
        self.assert_sound().await;
        outcomes
    }

    /// Everything works at once, everything is whole, and no session is open, lost or too many.
    async fn assert_sound(self) {
        let client = self.server.client().await;
        let mut probes = JoinSet::new();
        for number in 0..20 {
            let client = client.clone();
            probes.spawn(async move {
                let name = format!("probe{number}");
                let probe = client.register(&name, &format!("{name}@example.com")).await;
                client.use_key(&probe.key).await.unwrap();
            });
        }
        probes.join_all().await;
        let store = &self.store;
        if store.url().starts_with("postgres:") {
            let open = format!("{SESSIONS} AND state <> 'idle'");
            eventually("no open transaction", || async { store.count(&open).await == 0 }).await;
            // And one for readiness.
            assert!(store.count(SESSIONS).await <= SESSIONS_AT_MOST + 1);
        } else {
            hold_writes(store).await.release().await;
        }
        self.server.stop().await;
        for half in [
            "users WHERE NOT EXISTS (SELECT 1 FROM email_addresses a WHERE a.user_id = users.id AND a.email = users.email)",
            "users WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.user_id = users.id AND e.kind = 'user_registered')",
            "users WHERE username LIKE 'mailed%' AND NOT EXISTS (SELECT 1 FROM mails m WHERE m.user_id = users.id)",
            "users WHERE (profile_issue_time IS NULL) = EXISTS (SELECT 1 FROM activation_keys k WHERE k.user_id = users.id)",
            "events WHERE kind = 'user_registered' AND NOT EXISTS (SELECT 1 FROM users WHERE users.id = events.user_id)",
        ] {
            assert_eq!(store.count(half).await, 0, "{half}");
        }
        assert_eq!(store.count("users").await, store.count("events WHERE kind = 'user_registered'").await);
    }
}

/// One of the calls that read and write, in a statement or several.
async fn call(
    client: &Client,
    round: usize,
    known: &str,
    other: &str,
    deadline: Option<Duration>,
) -> Result<(), Status> {
    let (known, other) = (known.to_owned(), other.to_owned());
    match round % 8 {
        // One in three is mailed: sending is not what this is about.
        number @ 0..=2 => {
            let username = if number == 0 { format!("mailed{round}") } else { format!("user{round}") };
            let request =
                CreateInactiveUserRequest { send_email: Some(number == 0), ..registration(&username) };
            client.create_inactive_user(within(request, deadline)).await.map(drop)
        }
        3 => {
            let request = ReissueActivationKeyRequest { user_id: known };
            client.reissue_activation_key(within(request, deadline)).await.map(drop)
        }
        4 => {
            let request = ListUnverifiedRequest { page_size: 5, ..Default::default() };
            client.list_unverified(within(request, deadline)).await.map(drop)
        }
        5 => {
            let request = DeleteRegistrationProfileRequest { user_id: other };
            client.delete_registration_profile(within(request, deadline)).await.map(drop)
        }
        6 => {
            let request = CreateRegistrationProfileRequest {
                user_id: other,
                send_email: Some(false),
                ..Default::default()
            };
            client.create_registration_profile(within(request, deadline)).await.map(drop)
        }
        _ => client.user(By::UserId(known)).await.map(drop),
    }
}

fn within<T>(message: T, deadline: Option<Duration>) -> Request<T> {
    let mut request = message.into_request();
    if let Some(deadline) = deadline {
        request.set_timeout(deadline);
    }
    request
}

/// How a call ended; anything but what may happen is a fault.
fn outcome(answer: Result<(), Status>) -> &'static str {
    let Err(status) = answer else { return "done" };
    match status.code() {
        // The client itself gives up at its deadline, or its connection was closed as one that took back too much.
        Code::Cancelled | Code::DeadlineExceeded => "late",
        _ if status.get_error_details().error_info().is_none() => "cut",
        _ => match reason(&status).as_str() {
            "REGISTRATION_PROFILE_NOT_FOUND" | "REGISTRATION_PROFILE_EXISTS" => "done",
            other => panic!("{other}: {status:?}"),
        },
    }
}
