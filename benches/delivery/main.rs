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
//! SQLite; and Postgres, an empty database of it, where `VESTIBULE_BENCH_POSTGRES_URL` names one.

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
mod postfix;
mod sink;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};
use tonic::transport::{Channel, Endpoint};
use vestibule::{
    config::Settings,
    domain::{email_address::EmailAddress, request::Call, username::Username},
    grpc::proto::{CreateInactiveUserRequest, registration_service_client::RegistrationServiceClient},
    operations::CreateInactiveUser,
    random::SystemRandom,
    server::{Outside, Server},
};

use self::sink::{Mood, Sink};

/// How many connections there are to the mail server, ours and the bare ones.
const CONNECTIONS: usize = 16;
/// How many call at the same time.
const CALLERS: usize = 8;

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
        let mut stores = vec![("SQLite", None)];
        stores.extend(std::env::var("VESTIBULE_BENCH_POSTGRES_URL").ok().map(|url| ("Postgres", Some(url))));
        for (store, url) in stores {
            if matches!(what, "drain" | "all") {
                for pause in [0, 2] {
                    drain(store, url.as_deref(), count(5_000), Duration::from_millis(pause)).await;
                }
            }
            if matches!(what, "moods" | "all") {
                moods(store, url.as_deref(), count(3_000)).await;
            }
            if matches!(what, "mixed" | "all") {
                mixed(store, url.as_deref(), count(3_000)).await;
            }
        }
    });
}

/// A place for one run: settings, and for SQLite the file.
struct Place {
    folder: tempfile::TempDir,
    database: String,
}

impl Place {
    fn new(url: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vestibule.db");
        let database = url.map_or_else(|| format!("sqlite:{}", file.display()), str::to_owned);
        std::fs::write(folder.path().join("keyring"), &*vestibule::sealing::Keyring::generate(&SystemRandom))
            .unwrap();
        Self { folder, database }
    }

    fn settings(&self, mail_server: std::net::SocketAddr) -> Settings {
        let flags = [
            ("database.url", self.database.clone()),
            ("grpc.listen", "127.0.0.1:0".to_owned()),
            ("mail.sender", "smtp".to_owned()),
            ("mail.smtp.url", format!("smtp://{mail_server}")),
            ("secrets.keyring_file", self.folder.path().join("keyring").display().to_string()),
            ("access.anonymous", "loopback".to_owned()),
        ];
        let file = self.folder.path().join("settings.toml");
        std::fs::write(&file, format!("mail.concurrency = {CONNECTIONS}")).unwrap();
        Settings::load(&[file], &flags).unwrap()
    }

    async fn serve(&self, mail_server: std::net::SocketAddr) -> (Server, Channel) {
        let settings = self.settings(mail_server);
        vestibule::server::open_repository(&settings).await.unwrap().migrate().await.unwrap();
        let server = Server::start(&settings, Outside::default()).await.unwrap();
        let channel =
            Endpoint::from_shared(format!("http://{}", server.address)).unwrap().connect().await.unwrap();
        (server, channel)
    }
}

fn email(run: &str, number: usize) -> String {
    format!("{run}{number}@d{}.example", number / 10 % 40)
}

async fn drain(store: &str, url: Option<&str>, mails: usize, pause: Duration) {
    let place = Place::new(url);
    let sink = Sink::start(Mood::Good(pause)).await;
    let settings = place.settings(sink.address);
    let repository = vestibule::server::open_repository(&settings).await.unwrap();
    repository.migrate().await.unwrap();
    let vestibule =
        Arc::new(vestibule::server::vestibule(&settings, repository, &Outside::default()).unwrap());
    let run = format!("drain{}x", pause.as_millis());
    for number in 0..mails {
        let registration = CreateInactiveUser {
            username: Username::parse(&format!("{run}{number}")).unwrap(),
            email: EmailAddress::parse(&email(&run, number)).unwrap(),
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
    let (server, _) = place.serve(sink.address).await;
    while sink.count() < mails {
        sleep(Duration::from_millis(1)).await;
    }
    let ours = mails as f64 / start.elapsed().as_secs_f64();
    server.stop().await.unwrap();
    let bare = bare::rate(mails, CONNECTIONS, Sink::start(Mood::Good(pause)).await.address).await;
    println!(
        "{store}, a mail server that thinks {} ms about each answer: {mails} mails at {ours:.0} a second, \
         the bare library {bare:.0}: ratio {:.2}",
        pause.as_millis(),
        ours / bare,
    );
}

async fn moods(store: &str, url: Option<&str>, calls: usize) {
    let mut healthy = None;
    // The healthy one twice: the first run warms up.
    for (index, (name, mood)) in [
        ("healthy", Some(Mood::Good(Duration::ZERO))),
        ("healthy", Some(Mood::Good(Duration::ZERO))),
        ("not there", None),
        ("silent", Some(Mood::Silent)),
        ("closing (421)", Some(Mood::Closing)),
        ("putting everybody off (451)", Some(Mood::Later)),
        ("slow (50 ms an answer)", Some(Mood::Good(Duration::from_millis(50)))),
    ]
    .into_iter()
    .enumerate()
    {
        let place = Place::new(url);
        let sink = match mood {
            Some(mood) => Some(Sink::start(mood).await),
            None => None,
        };
        let nowhere = "127.77.0.9:9".parse().unwrap();
        let (server, channel) = place.serve(sink.as_ref().map_or(nowhere, |sink| sink.address)).await;
        let mut times = register(&channel, &format!("mood{index}x"), calls).await;
        server.stop().await.unwrap();
        let (median, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
        if index == 0 {
            continue;
        }
        let ratio = p99.as_secs_f64() / healthy.get_or_insert(p99).as_secs_f64();
        println!(
            "{store}, mail server {name}: {calls} registrations, median {:.2} ms, p99 {:.2} ms, {ratio:.2} of healthy",
            millis(median),
            millis(p99),
        );
    }
}

/// Registers by several callers, each as fast as it can, and says how long each call took.
async fn register(channel: &Channel, run: &str, calls: usize) -> Vec<Duration> {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (mut client, run) = (RegistrationServiceClient::new(channel.clone()), run.to_owned());
        callers.spawn(async move {
            let mut times = Vec::new();
            for number in (caller..calls).step_by(CALLERS) {
                let request = CreateInactiveUserRequest {
                    username: format!("{run}{number}"),
                    email: email(&run, number),
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

async fn mixed(store: &str, url: Option<&str>, calls: usize) {
    let mut clean = None;
    for (index, (name, mood)) in [
        ("clean", Mood::Good(Duration::ZERO)),
        ("clean", Mood::Good(Duration::ZERO)),
        ("a tenth put off and a tenth refused", Mood::Mixed),
    ]
    .into_iter()
    .enumerate()
    {
        let place = Place::new(url);
        let sink = Sink::start(mood).await;
        let (server, channel) = place.serve(sink.address).await;
        let committed = paced(&channel, &format!("mixed{index}x"), calls).await;
        let others: Vec<_> =
            committed.iter().filter(|(email, _)| !email.contains("0@") && !email.contains("1@")).collect();
        let deadline = Instant::now() + Duration::from_mins(1);
        let mut times = loop {
            let taken = sink.taken();
            if others.iter().all(|(email, _)| taken.contains_key(*email)) {
                break others
                    .iter()
                    .map(|(email, commit)| taken[*email].saturating_duration_since(**commit))
                    .collect::<Vec<_>>();
            }
            assert!(Instant::now() < deadline, "mails are missing");
            sleep(Duration::from_millis(50)).await;
        };
        server.stop().await.unwrap();
        let (median, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
        if index == 0 {
            continue;
        }
        let ratio = p99.as_secs_f64() / clean.get_or_insert(p99).as_secs_f64();
        println!(
            "{store}, {name}: {} mails of others, median {:.2} ms, p99 {:.2} ms from commit to delivery, {ratio:.2} of clean",
            times.len(),
            millis(median),
            millis(p99),
        );
    }
}

/// Registers at a steady pace, and says when each recipient's registration was answered.
async fn paced(channel: &Channel, run: &str, calls: usize) -> HashMap<String, Instant> {
    let mut pace = interval(Duration::from_millis(10));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut registering = JoinSet::new();
    for number in 0..calls {
        pace.tick().await;
        let (mut client, username, email) =
            (RegistrationServiceClient::new(channel.clone()), format!("{run}{number}"), email(run, number));
        registering.spawn(async move {
            let request = CreateInactiveUserRequest { username, email: email.clone(), ..Default::default() };
            // The commit comes a little before the answer; what is measured from the call is longer than the truth.
            let start = Instant::now();
            client.create_inactive_user(request).await.unwrap();
            (email, start)
        });
    }
    registering.join_all().await.into_iter().collect()
}

fn quantile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
    let place = ((times.len() - 1) as f64 * part).round() as usize;
    times[place]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
