//! What the outbox costs, and against what: a real server, the real client, and a mail server of our own.
//!
//! - `cargo bench --bench delivery -- drain [MAILS]`: how fast a full outbox is emptied, as a ratio to the bare mail
//!   library over as many connections that leave the same mails with the same server.
//! - `cargo bench --bench delivery -- moods [CALLS]`: how long registrations take while the mail server fails, as a ratio
//!   to how long they take while it doesn't.
//! - `cargo bench --bench delivery -- mixed [CALLS]`: how long mails take from the answer to a registration until the mail
//!   server has them, while it refuses a tenth of the recipients for now and a tenth for good, as a ratio to a
//!   clean run.
//! - `scripts/postfix`: Postfix as a second opinion on what a mail is.
//!
//! Each on SQLite and on Postgres.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a measurement that goes wrong panics, and prints what it has found"
)]

mod bare;
#[path = "../place.rs"]
mod place;
mod postfix;
mod sink;
#[allow(dead_code, reason = "what tells two kinds of calls apart is asked elsewhere")]
#[path = "../timing.rs"]
mod timing;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};
use tonic::transport::Channel;
use vestibule::{
    config::Settings,
    domain::{email_address::EmailAddress, request::Call, username::Username},
    grpc::proto::{CreateInactiveUserRequest, registration_service_client::RegistrationServiceClient},
    operations::CreateInactiveUser,
    server::Outside,
};

use self::{
    place::{Place, STORES, Store},
    sink::{Mood, Sink},
    timing::{millis, quantile},
};

/// How many connections there are to the mail server, ours and the bare ones.
const CONNECTIONS: usize = 16;
/// How many call at the same time.
const CALLERS: usize = 8;
/// How often each is measured, by turns: a machine is not as fast in one minute as in the next.
const ROUNDS: usize = 3;

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let what = arguments.first().map_or("all", String::as_str);
    let count = |default: usize| arguments.get(1).map_or(default, |count| count.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if what == "postfix" {
            return postfix::judge(count(1_000), &arguments[2], &arguments[3]).await;
        }
        for store in STORES {
            if matches!(what, "drain" | "all") {
                for pause in [0, 2] {
                    drain(store, count(20_000), Duration::from_millis(pause)).await;
                }
            }
            if matches!(what, "moods" | "all") {
                moods(store, count(2_000)).await;
            }
            if matches!(what, "mixed" | "all") {
                mixed(store, count(1_000)).await;
            }
        }
    });
}

/// The settings of a service here that hands its mails to a mail server.
fn settings(place: &Place, mail_server: SocketAddr) -> Settings {
    place.settings(&format!(
        "mail.sender = 'smtp'\nmail.smtp.url = 'smtp://{mail_server}'\nmail.concurrency = {CONNECTIONS}"
    ))
}

fn email(run: &str, number: usize) -> String {
    format!("{run}{number}@d{}.example", number / 10 % 40)
}

async fn drain(store: Store, mails: usize, pause: Duration) {
    let place = Place::new(store).await;
    let sink = Sink::start(Mood::Good(pause)).await;
    let settings = settings(&place, sink.address);
    let repository = place.repository(&settings).await;
    let vestibule =
        Arc::new(vestibule::server::vestibule(&settings, repository, &Outside::default()).unwrap());
    for number in 0..mails {
        let registration = CreateInactiveUser {
            username: Username::parse(&format!("drain{number}")).unwrap(),
            email: EmailAddress::parse(&email("drain", number)).unwrap(),
            password: None,
            send_email: true,
            site: None,
            locale: None,
            call: Call::default(),
        };
        vestibule.create_inactive_user(registration).await.unwrap();
    }
    vestibule.repository.close().await;
    let start = Instant::now();
    let (server, _) = place.serve(&settings).await;
    while sink.count() < mails {
        sleep(Duration::from_millis(1)).await;
    }
    let ours = mails as f64 / start.elapsed().as_secs_f64();
    server.stop().await.unwrap();
    place.clear().await;
    let bare = bare::rate(mails, CONNECTIONS, Sink::start(Mood::Good(pause)).await.address).await;
    println!(
        "{store}, a mail server that thinks {} ms about each answer: {mails} mails at {ours:.0} a second, \
         the bare library {bare:.0}: ratio {:.2}",
        pause.as_millis(),
        ours / bare,
    );
}

/// The moods of a mail server that are set against the first of them; where there is none, nobody listens.
const MOODS: [(&str, Option<Mood>); 6] = [
    ("healthy", Some(Mood::Good(Duration::ZERO))),
    ("not there", None),
    ("silent", Some(Mood::Silent)),
    ("closing (421)", Some(Mood::Closing)),
    ("putting everybody off (451)", Some(Mood::Later)),
    ("slow (50 ms an answer)", Some(Mood::Good(Duration::from_millis(50)))),
];

async fn moods(store: Store, calls: usize) {
    let mut times = MOODS.map(|_| Vec::new());
    // The first run warms up.
    register_in(store, MOODS[0].1, calls).await;
    for _ in 0..ROUNDS {
        for ((_, mood), times) in MOODS.into_iter().zip(&mut times) {
            times.extend(register_in(store, mood, calls).await);
        }
    }
    compare(store, "registrations", MOODS.map(|(name, _)| name).into_iter().zip(times));
}

/// How long registrations take while the mail server is in a mood.
async fn register_in(store: Store, mood: Option<Mood>, calls: usize) -> Vec<Duration> {
    let place = Place::new(store).await;
    let sink = match mood {
        Some(mood) => Some(Sink::start(mood).await),
        None => None,
    };
    let address = sink.as_ref().map_or("127.77.0.9:9".parse().unwrap(), |sink| sink.address);
    let (server, channel) = place.serve(&settings(&place, address)).await;
    let times = register(&channel, calls).await;
    server.stop().await.unwrap();
    place.clear().await;
    times
}

/// Prints the times of each kind, and how they compare to those of the first.
fn compare(store: Store, what: &str, kinds: impl IntoIterator<Item = (&'static str, Vec<Duration>)>) {
    let mut first = None;
    for (name, mut times) in kinds {
        let (median, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
        let ratio = p99.as_secs_f64() / first.get_or_insert(p99).as_secs_f64();
        println!(
            "{store}, mail server {name}: {} {what}, median {:.2} ms, p99 {:.2} ms, ratio {ratio:.2}",
            times.len(),
            millis(median),
            millis(p99),
        );
    }
}

/// Registers by several callers, each as fast as it can, and says how long each call took.
async fn register(channel: &Channel, calls: usize) -> Vec<Duration> {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let mut client = RegistrationServiceClient::new(channel.clone());
        callers.spawn(async move {
            let mut times = Vec::new();
            for number in (caller..calls).step_by(CALLERS) {
                let request = CreateInactiveUserRequest {
                    username: format!("mood{number}"),
                    email: email("mood", number),
                    ..Default::default()
                };
                let start = Instant::now();
                client.create_inactive_user(request).await.unwrap();
                times.push(start.elapsed());
            }
            times
        });
    }
    callers.join_all().await.concat()
}

async fn mixed(store: Store, calls: usize) {
    let kinds =
        [("clean", Mood::Good(Duration::ZERO)), ("putting a tenth off and refusing a tenth", Mood::Mixed)];
    let mut times = kinds.map(|_| Vec::new());
    deliver_in(store, Mood::Mixed, calls).await;
    for _ in 0..ROUNDS {
        for ((_, mood), times) in kinds.into_iter().zip(&mut times) {
            times.extend(deliver_in(store, mood, calls).await);
        }
    }
    compare(store, "mails to the others", kinds.map(|(name, _)| name).into_iter().zip(times));
}

/// How long the mails take that no mood concerns, from the answer to their registration.
async fn deliver_in(store: Store, mood: Mood, calls: usize) -> Vec<Duration> {
    let place = Place::new(store).await;
    let sink = Sink::start(mood).await;
    let (server, channel) = place.serve(&settings(&place, sink.address)).await;
    let mut committed = paced(&channel, calls).await;
    committed.retain(|email, _| !email.contains("0@") && !email.contains("1@"));
    let deadline = Instant::now() + Duration::from_mins(1);
    let taken = loop {
        let taken = sink.taken();
        if committed.keys().all(|email| taken.contains_key(email)) {
            break taken;
        }
        assert!(Instant::now() < deadline, "mails are missing");
        sleep(Duration::from_millis(50)).await;
    };
    server.stop().await.unwrap();
    place.clear().await;
    committed.iter().map(|(email, commit)| taken[email].saturating_duration_since(*commit)).collect()
}

/// Registers at a steady pace, and says when each recipient's registration was answered.
async fn paced(channel: &Channel, calls: usize) -> HashMap<String, Instant> {
    let mut pace = interval(Duration::from_millis(10));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut registering = JoinSet::new();
    for number in 0..calls {
        pace.tick().await;
        let (mut client, email) = (RegistrationServiceClient::new(channel.clone()), email("paced", number));
        registering.spawn(async move {
            let username = format!("paced{number}");
            let request = CreateInactiveUserRequest { username, email: email.clone(), ..Default::default() };
            client.create_inactive_user(request).await.unwrap();
            (email, Instant::now())
        });
    }
    registering.join_all().await.into_iter().collect()
}
