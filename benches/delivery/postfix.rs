//! What Postfix makes of our mails: how many it has delivered, and whether a parser and a person find in each what they
//! should.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use mailparse::MailHeaderMap as _;
use tokio::time::{Instant, sleep};
use vestibule::grpc::proto::{
    ActivateRequest, CreateInactiveUserRequest, registration_service_client::RegistrationServiceClient,
};

use super::{
    place::{Place, Store},
    settings,
};

/// How long Postfix may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// Registers so many users at `server`, and looks at each mail in its Maildir.
pub async fn judge(mails: usize, server: &str, maildir: &str) {
    let place = Place::new(Store::Sqlite).await;
    let (running, channel) = place.serve(&settings(&place, server.parse().unwrap())).await;
    let mut client = RegistrationServiceClient::new(channel);
    let start = Instant::now();
    for number in 0..mails {
        let request = CreateInactiveUserRequest {
            username: format!("user{number}"),
            email: format!("user{number}@people.example"),
            ..Default::default()
        };
        client.create_inactive_user(request).await.unwrap();
    }
    let arrived = || fs::read_dir(Path::new(maildir).join("new")).map_or(0, Iterator::count);
    while arrived() < mails {
        assert!(start.elapsed() < PATIENCE, "{} of {mails} mails arrived", arrived());
        sleep(Duration::from_millis(100)).await;
    }
    let took = start.elapsed();
    let (mut recipients, mut message_ids, mut activated) = (BTreeSet::new(), BTreeSet::new(), 0);
    for file in fs::read_dir(Path::new(maildir).join("new")).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        let mail = mailparse::parse_mail(&bytes).unwrap();
        let header = |name: &str| {
            let values = mail.headers.get_all_values(name);
            assert_eq!(values.len(), 1, "{name}: {values:?}");
            values.concat()
        };
        assert_eq!(header("To"), header("Delivered-To"));
        assert_eq!(header("Return-Path"), "<vestibule@localhost>");
        assert_eq!(header("Auto-Submitted"), "auto-generated");
        assert!(header("Content-Type").starts_with("multipart/alternative"));
        recipients.insert(header("To"));
        message_ids.insert(header("Message-ID"));
        let text = mail.subparts[0].get_body().unwrap();
        let html = mail.subparts[1].get_body().unwrap();
        let key =
            text.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| is_key(word)).unwrap().to_owned();
        assert!(html.contains(&key), "both parts carry the key");
        let request = ActivateRequest { activation_key: key, ..Default::default() };
        let user = client.activate(request).await.unwrap().into_inner().user.unwrap();
        assert_eq!(user.email, header("To"));
        activated += 1;
    }
    running.stop().await.unwrap();
    place.clear().await;
    assert_eq!((recipients.len(), message_ids.len(), activated), (mails, mails, mails));
    println!("Postfix: {mails} mails in {:.1} s, each parsed, each key used", took.as_secs_f64());
}

fn is_key(word: &str) -> bool {
    word.len() == 40 && word.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
}
