//! Many callers at the same instant: whoever comes first wins, the others are told, and nobody gets half.

mod activating;
mod never_verified;
mod purging;
mod registering;
mod requests;

use std::{future::Future, sync::Arc};

use tempfile::TempDir;
use tokio::{sync::Barrier, task::JoinSet};
use tonic::{Code, Status};

use crate::{
    contract::store::Store,
    support::{
        process::{Process, serve},
        server::{Client, make_keyring, on_each_store},
    },
};

on_each_store! {
    activating: [
        x8_of_two_claims_activated_at_once_one_keeps_the_address,
    ]
    purging: [
        x17_at_an_instant_either_the_activation_or_the_purge_wins,
        x17_at_an_instant_either_the_mail_or_the_purge_wins,
        x17_when_a_key_expires_on_the_way_either_the_activation_or_the_purge_wins,
    ]
    never_verified: [
        x17_a_reminder_and_both_purges_at_one_instant,
        x17_a_disabling_and_both_purges_at_one_instant,
        x17_an_activation_by_hand_and_both_purges_at_one_instant,
        x17_an_activation_and_both_purges_at_one_instant,
        x17_a_verified_address_and_both_purges_at_one_instant,
        x17_a_login_and_both_purges_at_one_instant,
        x17_a_mail_and_both_purges_at_one_instant,
    ]
}

/// How many callers come at once.
const CROWD: usize = 1000;
/// A connection carries two hundred calls at a time.
const CONNECTIONS: usize = 8;

/// Servers that run as processes on one store.
struct Servers {
    processes: Vec<Process>,
    clients: Vec<Client>,
    _folder: TempDir,
}

impl Servers {
    async fn start(store: &Store, count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_keyring(folder.path());
        let environment =
            [("VESTIBULE__MAIL__SENDER", "file"), ("VESTIBULE__LOG__FILTER", "info,vestibule::grpc=warn")];
        let processes: Vec<_> = (0..count)
            .map(|_| Process::start(&mut serve(folder.path(), store.url(), &environment)))
            .collect();
        let mut clients = Vec::new();
        for connection in 0..CONNECTIONS {
            clients.push(Client::connect(processes[connection % count].address).await);
        }
        Self { processes, clients, _folder: folder }
    }

    /// Stops all of them, and sees them end well.
    fn stop(self) {
        drop(self.clients);
        for process in self.processes {
            assert!(process.terminate().success());
        }
    }
}

/// Makes a call for each of a crowd, all at once over several connections, and returns what each is told.
///
/// Whom the overloaded server sends away before it has begun, with UNAVAILABLE, asks again.
async fn crowd<T, F>(
    clients: &[Client],
    call: impl Fn(Client, usize) -> F + Clone + Send + 'static,
) -> Vec<Result<T, Status>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Status>> + Send,
{
    let gate = Arc::new(Barrier::new(CROWD));
    let mut callers = JoinSet::new();
    for number in 0..CROWD {
        let (client, call, gate) = (clients[number % clients.len()].clone(), call.clone(), Arc::clone(&gate));
        callers.spawn(async move {
            gate.wait().await;
            loop {
                match call(client.clone(), number).await {
                    Err(status) if status.code() == Code::Unavailable => {}
                    told => return told,
                }
            }
        });
    }
    callers.join_all().await
}
