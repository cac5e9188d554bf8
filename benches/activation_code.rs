//! Whether the time that Activate takes by a code tells who has registered: a real server, the real client, addresses of
//! every kind in random order, and a classifier that knows nothing but the time.
//!
//! `cargo bench --bench activation_code -- [CALLS]` guesses as often at addresses with a live code as at those that nobody
//! has registered, and a tenth as often at those of pending users without a code and of active users, on each
//! store.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measurement that goes wrong panics, and prints what it has found"
)]

mod place;
mod timing;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tonic::{Code, transport::Channel};
use vestibule::{
    clock::{Clock as _, SystemClock},
    domain::{
        activation_code::{ActivationCode, CodeHash, LIFETIME},
        activation_key::{ActivationKey, KeyDigest},
        email_address::EmailAddress,
        request::Mac,
        site::SiteId,
        user::UserId,
        username::Username,
    },
    grpc::proto::{ActivateRequest, registration_service_client::RegistrationServiceClient},
    hashing::PasswordHasher,
    random::{self, SystemRandom},
    repository::{Activation, NewCode, NewRegistration, Repository},
};

use self::{
    place::{Place, STORES, Store},
    timing::{compare, median, millis, shuffle},
};

/// The kinds of addresses that all answer alike; the first is the one that the others are told from.
const KINDS: [&str; 4] = ["with a code", "unknown", "pending without a code", "active"];

fn main() {
    // Cargo adds `--bench`.
    let calls = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for store in STORES {
            measure(store, calls).await;
        }
    });
}

/// Prints what the times of one store tell.
async fn measure(store: Store, calls: usize) {
    let place = Place::new(store).await;
    let settings = place.settings("mail.sender = 'console'");
    let repository = place.repository(&settings).await;
    let mut guesses: Vec<(usize, usize)> = Vec::new();
    for kind in 0..KINDS.len() {
        let count = if kind < 2 { calls } else { calls / 10 };
        guesses.extend((0..count).map(|number| (kind, number)));
    }
    for (kind, number) in guesses.iter().filter(|(kind, _)| *kind != 1) {
        register(&*repository, *kind, *number).await;
    }
    let (server, channel) = place.serve(&settings).await;
    shuffle(&mut guesses);
    // The first calls of a process find nothing warm.
    for number in 0..20 {
        guess(&channel, &format!("warm{number}@example.com")).await;
    }
    let hasher = PasswordHasher::new(Duration::from_mins(1), Arc::new(SystemRandom));
    let mut times = KINDS.map(|_| Vec::new());
    let mut bare = Vec::new();
    for (index, (kind, number)) in guesses.into_iter().enumerate() {
        if let Some(times) = times.get_mut(kind) {
            times.push(guess(&channel, &address_of(kind, number)).await);
        }
        if index.is_multiple_of(10) {
            let start = Instant::now();
            hasher.hash_code(ActivationCode::parse("01234567").unwrap(), Mac([0; 32])).await.unwrap();
            bare.push(start.elapsed());
        }
    }
    server.stop().await.unwrap();
    repository.close().await;
    place.clear().await;
    let [with_code, others @ ..] = &mut times;
    let bare = median(&mut bare);
    println!("{store}: a bare hash takes {:.2} ms (median)", millis(bare));
    for (kind, times) in KINDS.iter().skip(1).zip(others) {
        compare(&store.to_string(), bare, ("with a code", with_code), (kind, times));
    }
}

fn address_of(kind: usize, number: usize) -> String {
    format!("user{kind}x{number}@example.com")
}

/// How long one wrong code takes.
async fn guess(channel: &Channel, email: &str) -> Duration {
    let mut client = RegistrationServiceClient::new(channel.clone());
    let (email, code) = (email.to_owned(), "01234567".to_owned());
    let request = ActivateRequest { email, code, ..Default::default() };
    let start = Instant::now();
    let refusal = client.activate(request).await.unwrap_err();
    let elapsed = start.elapsed();
    assert_eq!(refusal.code(), Code::Unauthenticated, "{refusal:?}");
    elapsed
}

/// Adds a user of a kind; no code is ever right.
async fn register(repository: &dyn Repository, kind: usize, number: usize) {
    let now = SystemClock::default().now();
    let address = address_of(kind, number);
    let username = format!("user{kind}x{number}");
    let digest: KeyDigest = ActivationKey::generate(&random::bytes(&SystemRandom), &username).digest();
    // Long enough for the whole measurement.
    let expire_time = now + LIFETIME * 100;
    let code = NewCode { hash: CodeHash::new(random::bytes(&SystemRandom)), expire_time };
    let registration = NewRegistration {
        user_id: UserId(random::uuid_v7(&SystemRandom, now)),
        username: Username::parse(&username).unwrap(),
        email: EmailAddress::parse(&address).unwrap(),
        password_hash: None,
        site: SiteId::parse("default").unwrap(),
        locale: None,
        digest,
        now,
        expire_time,
        mail: None,
        code: (kind != 2).then_some(code),
        give_way: false,
        request: None,
        counters: Vec::new(),
    };
    repository.register(&registration).await.unwrap().unwrap();
    if kind == 3 {
        let activation = Activation { digest, password_hash: None, now };
        repository.activate(&activation).await.unwrap().unwrap();
    }
}
