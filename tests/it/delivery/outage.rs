//! A day without a mail server, and then two servers that send what has gathered.

use std::{collections::BTreeSet, fs, net::SocketAddr, ops::Range, sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, sleep},
};
use vestibule::{
    config::Settings,
    domain::{email_address::EmailAddress, request::Call, username::Username},
    operations::{CreateInactiveUser, Vestibule},
    server::{self, Outside},
};

use super::start;
use crate::{
    contract::store::{Store, on_postgres},
    support::{
        night::rounds,
        server::make_keyring,
        smtp::{Encryption, SmtpSink},
    },
};

/// How long the two servers may take, by night too.
const PATIENCE: Duration = Duration::from_mins(20);
/// How many register at the same time.
const CALLERS: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x6_a_day_without_a_mail_server_loses_no_mail_and_two_servers_send_each_once() {
    on_postgres(outage).await;
}

async fn outage(store: Store) {
    let mails = rounds("OUTAGE", 10_000);
    let count = i64::try_from(mails.end - mails.start).unwrap();
    // An address of its own, so that nobody else takes the port meanwhile.
    let address: SocketAddr = "127.77.0.2:0".parse().unwrap();
    let address = TcpListener::bind(address).await.unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keyring = format!("secrets.keyring_file = '{}'", make_keyring(folder.path()).display());
    let url = format!("smtp://{address}");
    let (first, _) = start(&store, &url, &keyring).await;
    let (second, _) = start(&store, &url, &keyring).await;

    let file = folder.path().join("settings.toml");
    fs::write(&file, format!("database.url = '{}'\n{keyring}", store.url())).unwrap();
    let settings = Settings::load(&[file], &[]).unwrap();
    let outside = Outside { clock: first.clock.clone(), ..Outside::default() };
    let repository = server::open_repository(&settings).await.unwrap();
    let vestibule = Arc::new(server::vestibule(&settings, repository, &outside).unwrap());
    register(&vestibule, mails).await;
    vestibule.repository.close().await;
    for _ in 0..24 {
        for server in [&first, &second] {
            server.clock.advance(TimeDelta::hours(1));
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(store.count("mails WHERE state = 'QUEUED'").await, count, "none is given up");
    assert_eq!(
        store.count("mails WHERE state = 'QUEUED' AND attempt > 1").await,
        0,
        "none has cost an attempt"
    );

    let sink = SmtpSink::start_at(address, Encryption::Never).await;
    let deadline = Instant::now() + PATIENCE;
    while store.count("mails WHERE state = 'QUEUED'").await > 0 {
        assert!(Instant::now() < deadline, "never: the outbox is empty");
        sleep(Duration::from_millis(500)).await;
    }
    first.stop().await;
    second.stop().await;
    assert_eq!(store.count("mails WHERE state = 'DELIVERED' AND attempt = 1").await, count);
    assert_eq!(store.count("events WHERE kind = 'activation_mail_sent'").await, count);
    let arrived = sink.mails(0).await;
    let recipients: BTreeSet<_> = arrived.iter().map(|mail| mail.recipients.concat()).collect();
    let expected = usize::try_from(count).unwrap();
    assert_eq!((arrived.len(), recipients.len()), (expected, expected), "exactly as many");
}

async fn register(vestibule: &Arc<Vestibule>, mails: Range<u64>) {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (vestibule, mails) = (Arc::clone(vestibule), mails.clone());
        callers.spawn(async move {
            for number in
                mails.skip(usize::try_from(caller).unwrap()).step_by(usize::try_from(CALLERS).unwrap())
            {
                let username = Username::parse(&format!("user{number}")).unwrap();
                let email = EmailAddress::parse(&format!("user{number}@d{}.example", number % 50)).unwrap();
                let registration = CreateInactiveUser {
                    username,
                    email,
                    password: None,
                    send_email: true,
                    site: None,
                    locale: None,
                    call: Call::default(),
                };
                vestibule.create_inactive_user(registration).await.unwrap();
            }
        });
    }
    callers.join_all().await;
}
