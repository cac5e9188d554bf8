//! What a log is: an object of JSON a line, and no place for a secret.

use nix::sys::signal::Signal;
use serde_json::Value;
use tonic::Code;
use vestibule::grpc::proto::{
    ActivateRequest, CreateInactiveUserRequest, CreateInactiveUserResponse, SetPasswordRequest,
    verify_password_request::User as By,
};

use crate::{
    contract::store::Store,
    support::{
        process::{Process, serve},
        server::{Client, make_keyring, refused},
    },
};

const FIRST_PASSWORD: &str = "correct-horse-battery-staple";
const SECOND_PASSWORD: &str = "incorrect-donkey";
const REJECTED_PASSWORD: &str = "rejected-mule\u{7}";
const SERVERS_PASSWORD: &str = "hunter2";
const THIRD_PASSWORD: &str = "indifferent-zebra";
const WRONG_PASSWORD: &str = "mistaken-hippogriff";
const DEVICE: &str = "device-of-a-manticore";
const UNUSABLE_HASH: &str = "sha1$unicorn$0123456789abcdef";

pub async fn no_log_tells_a_secret(store: Store) {
    let folder = tempfile::tempdir().unwrap();
    make_keyring(folder.path());
    let url = store.url().replace("postgres@", &format!("postgres:{SERVERS_PASSWORD}@"));
    assert_eq!(url.contains(SERVERS_PASSWORD), !url.starts_with("sqlite:"));
    let smtp = format!("smtp://vestibule:{SERVERS_PASSWORD}@127.0.0.1:1?tls=required");
    let environment = [("VESTIBULE__LOG__FILTER", "trace"), ("VESTIBULE__MAIL__SMTP__URL", &smtp)];
    let mut process = Process::start(&mut serve(folder.path(), &url, &environment));
    let client = Client::connect(process.address).await;

    let mut keys = Vec::new();
    for (username, password, send_email) in
        [("alice", None, false), ("bob", Some(FIRST_PASSWORD), false), ("carol", Some(FIRST_PASSWORD), true)]
    {
        keys.push(register(&client, username, password, send_email).await.unwrap().activation_key);
    }
    refused(
        register(&client, "dave", Some(REJECTED_PASSWORD), false).await,
        Code::InvalidArgument,
        "PASSWORD_REJECTED",
    );
    process.wait_for("mail not sent, as the mail server fails");
    for (key, password) in [(&keys[0], Some(SECOND_PASSWORD)), (&keys[1], None)] {
        let request = ActivateRequest {
            activation_key: key.clone(),
            password: password.map(str::to_owned),
            ..Default::default()
        };
        client.activate(request).await.unwrap();
        client.use_key(key).await.unwrap_err();
        client.use_key(&format!("{key}0")).await.unwrap_err();
    }
    client.log_in(By::Username("alice".into()), SECOND_PASSWORD).await.unwrap();
    client.log_in_from(DEVICE, By::Username("alice".into()), WRONG_PASSWORD).await.unwrap_err();
    let alice = client.log_in_from(DEVICE, By::Username("alice".into()), SECOND_PASSWORD).await.unwrap();
    client.log_in_from("unprintable\u{7}manticore", By::Username("alice".into()), "").await.unwrap_err();
    let set = |password: &str| SetPasswordRequest { user_id: alice.id.clone(), password: password.into() };
    client.set_password(set(THIRD_PASSWORD)).await.unwrap();
    client.set_password(set("alice123456")).await.unwrap_err();
    store.execute(format!("UPDATE users SET password_hash = '{UNUSABLE_HASH}' WHERE username = 'bob'")).await;
    client.log_in(By::Username("bob".into()), FIRST_PASSWORD).await.unwrap_err();
    drop(client);
    let (status, log) = process.stop(Signal::SIGTERM);
    assert!(status.success());

    let unusable = log.lines().filter(|line| line.contains("the stored password hash is of no known form"));
    assert_eq!(unusable.count(), 1);
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()), "{line}");
    }
    for target in ["sqlx::", "h2::"] {
        assert!(log.contains(target), "{target} tells what it does");
    }
    let hashes = store.texts("SELECT password_hash FROM users WHERE password_hash IS NOT NULL").await;
    assert_eq!(hashes.len(), 3);
    let mut secrets = vec![FIRST_PASSWORD, SECOND_PASSWORD, "rejected-mule", SERVERS_PASSWORD, "$argon2"];
    secrets.extend([THIRD_PASSWORD, WRONG_PASSWORD, "alice123456", DEVICE, "manticore"]);
    secrets.extend(keys.iter().map(String::as_str).filter(|key| !key.is_empty()));
    secrets.extend(hashes.iter().map(String::as_str));
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} stands in {}", line.unwrap_or_default());
    }
}

#[tokio::test]
async fn a_call_is_one_line_with_its_id_its_method_and_its_code() {
    let folder = tempfile::tempdir().unwrap();
    make_keyring(folder.path());
    let mut process = Process::start(&mut serve(folder.path(), "sqlite:vestibule.db", &[]));
    let client = Client::connect(process.address).await;
    client.use_key("unknown").await.unwrap_err();
    let line: Value = serde_json::from_str(&process.wait_for("\"message\":\"answered\"")).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["code"], "NotFound");
    assert_eq!(line["span"]["method"], "/vestibule.v1.RegistrationService/Activate");
    assert!(line["span"]["id"].as_str().is_some_and(|id| id.parse::<uuid::Uuid>().is_ok()), "{line}");
    assert!(line["milliseconds"].is_number(), "{line}");
}

async fn register(
    client: &Client,
    username: &str,
    password: Option<&str>,
    send_email: bool,
) -> Result<CreateInactiveUserResponse, tonic::Status> {
    let request = CreateInactiveUserRequest {
        username: username.to_owned(),
        email: format!("{username}@example.com"),
        password: password.map(str::to_owned),
        send_email: Some(send_email),
        ..Default::default()
    };
    client.create_inactive_user(request).await
}
