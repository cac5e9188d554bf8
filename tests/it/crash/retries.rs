//! Callers who make a call again after the server was killed under it: X10.

use std::{collections::BTreeMap, time::Duration};

use tokio::{task::JoinSet, time::sleep};
use vestibule::{
    grpc::proto::{CreateInactiveUserRequest, CreateInactiveUserResponse},
    random::{SeededRandom, SystemRandom, number, uuid_v4},
};

use crate::{
    contract::store::{Store, on_postgres, on_sqlite},
    support::{
        process::{Process, serve},
        server::{Client, make_keyring, wait_for_rows},
    },
};

/// How often the server is killed.
const ROUNDS: usize = 15;
/// How many callers register at the same time.
const CALLERS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x10_after_a_kill_a_repetition_does_nothing_twice_on_postgres() {
    on_postgres(once_each).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x10_after_a_kill_a_repetition_does_nothing_twice_on_sqlite() {
    on_sqlite(once_each).await;
}

/// A caller, the requests that it was answered, and the one that it wasn't yet.
#[derive(Default)]
struct Caller {
    name: String,
    answered: BTreeMap<String, (CreateInactiveUserRequest, CreateInactiveUserResponse)>,
    open: Option<CreateInactiveUserRequest>,
}

impl Caller {
    /// Registers one user after the other until the server is killed, the one first that it has no answer for.
    async fn call_until_killed(mut self, client: Client) -> Self {
        loop {
            let next = format!("{}n{}", self.name, self.answered.len());
            let request = self.open.take().unwrap_or_else(|| CreateInactiveUserRequest {
                email: format!("{next}@example.com"),
                username: next,
                request_id: uuid_v4(&SystemRandom).to_string(),
                ..Default::default()
            });
            match client.create_inactive_user(request.clone()).await {
                Ok(answer) => {
                    self.answered.insert(request.username.clone(), (request, answer));
                }
                Err(_) => {
                    self.open = Some(request);
                    return self;
                }
            }
        }
    }
}

async fn once_each(store: Store) {
    let folder = tempfile::tempdir().unwrap();
    make_keyring(folder.path());
    let random = SeededRandom::new(10);
    let environment = [("VESTIBULE__MAIL__SENDER", "file"), ("VESTIBULE__MAIL__TIMEOUT_SECONDS", "1")];
    let start = || Process::start(&mut serve(folder.path(), store.url(), &environment));
    let mut callers: Vec<_> =
        (0..CALLERS).map(|caller| Caller { name: format!("c{caller}"), ..Default::default() }).collect();
    for _ in 0..ROUNDS {
        let process = start();
        let mut calling = JoinSet::new();
        for caller in callers.drain(..) {
            let client = Client::connect(process.address).await;
            calling.spawn(caller.call_until_killed(client));
        }
        sleep(Duration::from_micros(20_000 + number(&random) % 100_000)).await;
        process.kill();
        callers = calling.join_all().await;
    }
    let process = start();
    let client = Client::connect(process.address).await;
    let mut registered = 0;
    for caller in callers {
        let open = caller.open.unwrap();
        let answer = client.create_inactive_user(open.clone()).await.unwrap();
        assert_eq!(client.create_inactive_user(open).await.unwrap(), answer);
        assert!(!caller.answered.is_empty());
        for (request, answer) in caller.answered.values() {
            assert_eq!(client.create_inactive_user(request.clone()).await.unwrap(), *answer);
        }
        registered += 1 + i64::try_from(caller.answered.len()).unwrap();
    }
    for rows in ["users", "mails", "requests", "events WHERE kind = 'user_registered'"] {
        assert_eq!(store.count(rows).await, registered, "{rows}");
    }
    wait_for_rows(&store, "mails WHERE state = 'QUEUED'", 0).await;
    assert!(process.terminate().success());
}
