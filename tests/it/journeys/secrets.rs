//! Where a key must never stand: R3, X2.

use std::{fs, path::PathBuf};

use chrono::Duration;
use nix::sys::signal::Signal;
use vestibule::grpc::proto::{
    ActivateRequest, CreateRegistrationProfileRequest, DeleteRegistrationProfileRequest, MailState,
    ReissueActivationKeyRequest,
};

use super::{Journey, key_in, keys::By};
use crate::{
    contract::store::Store,
    support::{
        process::{Process, serve},
        server::{Client, make_keyring, wait_for_rows},
        smtp::{Action, ParsedMail, SmtpSink, Step},
    },
};

pub async fn r3_x2_no_key_stands_in_the_database(store: Store) {
    let journey = Journey::start(&store, "").await;
    let client = &journey.client;
    let mut seen = Vec::new();
    journey.sink.at(Step::Message, Action::Reply("451 4.3.0 try again later".into()));
    let alice = client.register_by_mail("alice", "alice@example.com").await;
    let failed = "mails WHERE last_error IS NOT NULL AND claim_token IS NULL";
    wait_for_rows(&store, failed, 1).await;
    assert_eq!(store.count("mails WHERE sealed_text IS NOT NULL").await, 1);
    seen.push(dump(&store).await);
    journey.sink.behave();
    journey.server.clock.advance(Duration::seconds(6));
    let mut keys = vec![key_in(&journey.next_mail().await)];
    keys.extend(further_keys(client, &alice.id).await);
    client.mail_to(By::UserId(alice.id.clone())).await.unwrap();
    keys.push(key_in(&journey.next_mail().await));
    client.wait_for_mail(&alice.id, 2, MailState::Delivered).await;
    assert_eq!(store.count("mails WHERE sealed_text IS NOT NULL").await, 0);
    seen.push(dump(&store).await);
    client.use_key(keys.last().unwrap()).await.unwrap();
    client.add(&alice.id, "second@example.com").await.unwrap();
    keys.push(key_in(&journey.next_mail().await));
    seen.push(dump(&store).await);
    client.verify(keys.last().unwrap()).await.unwrap();
    seen.push(dump(&store).await);
    for key in &keys {
        for (dump, when) in seen.iter().zip(["queued", "delivered", "activated", "verified"]) {
            assert!(!holds(dump, key), "{key} while {when}");
        }
    }
    assert!(holds(&seen[0], &hex("alice@example.com")), "the search finds what is there");
}

pub async fn x2_no_key_stands_in_the_log(store: Store) {
    let sink = SmtpSink::start().await;
    let folder = tempfile::tempdir().unwrap();
    make_keyring(folder.path());
    let url = sink.url();
    let environment = [
        ("VESTIBULE__MAIL__SENDER", "smtp"),
        ("VESTIBULE__MAIL__SMTP__URL", &url),
        ("VESTIBULE__LOG__FILTER", "trace"),
        ("VESTIBULE__REGISTRATION__ACTIVATION_CODES", "true"),
    ];
    let process = Process::start(&mut serve(folder.path(), store.url(), &environment));
    let client = Client::connect(process.address).await;
    sink.at_recipient("bob@example.com", Step::Message, Action::Reply("550 5.7.1 not wanted".into()));
    let bob = client.register_by_mail("bob", "bob@example.com").await;
    client.wait_for_mail(&bob.id, 0, MailState::Discarded).await;
    let alice = client.register_by_mail("alice", "alice@example.com").await;
    let mut keys = vec![key_in(&sink.next_mail().await.parse())];
    client.wait_for_mail(&alice.id, 1, MailState::Delivered).await;
    keys.extend(further_keys(&client, &alice.id).await);
    client.inspect(&keys[0]).await.unwrap_err();
    client.use_key(&keys[1]).await.unwrap();
    client.use_key(&keys[1]).await.unwrap_err();
    client.add(&alice.id, "second@example.com").await.unwrap();
    keys.push(key_in(&sink.next_mail().await.parse()));
    client.verify(keys.last().unwrap()).await.unwrap();
    client.verify(keys.last().unwrap()).await.unwrap_err();
    client.register_by_mail("carol", "carol@example.com").await;
    let code = code_in(&sink.next_mail().await.parse());
    for code in ["00000000", &code] {
        let (email, code) = ("carol@example.com".to_owned(), code.to_owned());
        let _ = client.activate(ActivateRequest { email, code, ..Default::default() }).await;
    }
    drop(client);
    let (status, log) = process.stop(Signal::SIGTERM);
    assert!(status.success());
    for said in ["mail given up", "mail sent", "/vestibule.v1.RegistrationService/Activate"] {
        assert!(log.contains(said), "{said} is logged");
    }
    for key in keys {
        assert!(!log.contains(&key), "{key}");
    }
    // A word of its own: more digits are some number's.
    assert!(!log.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == code), "{code}");
}

/// The activation code that a mail carries.
fn code_in(mail: &ParsedMail) -> String {
    let words = mail.body.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit())).collect()
}

/// The keys that a user's further ones and a new profile's first come with; the last two work.
async fn further_keys(client: &Client, user_id: &str) -> Vec<String> {
    let user_id = || user_id.to_owned();
    let reissue = || client.reissue_activation_key(ReissueActivationKeyRequest { user_id: user_id() });
    let before = reissue().await.unwrap().activation_key;
    let delete = DeleteRegistrationProfileRequest { user_id: user_id() };
    client.delete_registration_profile(delete).await.unwrap();
    let create = CreateRegistrationProfileRequest {
        user_id: user_id(),
        send_email: Some(false),
        ..Default::default()
    };
    let first = client.create_registration_profile(create).await.unwrap().activation_key;
    vec![first, reissue().await.unwrap().activation_key, before]
}

/// Everything that the store has written, in every form that it can be had in.
async fn dump(store: &Store) -> Vec<u8> {
    let mut dump = store.contents().await.join("\n").into_bytes();
    if let Some(file) = store.url().strip_prefix("sqlite:") {
        for suffix in ["", "-wal"] {
            dump.extend(fs::read(PathBuf::from(format!("{file}{suffix}"))).unwrap());
        }
    }
    dump
}

/// Whether a key stands there as text, as its bytes, or as either in hex.
fn holds(dump: &[u8], key: &str) -> bool {
    let bytes: Vec<u8> = key
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let forms = [
        key.as_bytes().to_vec(),
        key.to_uppercase().into_bytes(),
        hex(key).into_bytes(),
        hex(key).to_uppercase().into_bytes(),
        bytes,
    ];
    forms.iter().any(|form| dump.windows(form.len()).any(|part| part == form))
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}
