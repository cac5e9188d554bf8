//! How many mails a caller may ask for.

use chrono::Duration;
use tonic::{Code, Status};
use vestibule::{
    clock::Clock as _,
    grpc::proto::{
        CreateInactiveUserRequest, DeleteUserRequest, RemindUnverifiedRequest, SendActivationEmailRequest,
        send_activation_email_request::User as By,
    },
    random::{SystemRandom, uuid_v4},
};

use super::{load, start};
use crate::{
    contract::store::Store,
    support::server::{Client, reason, refused, wait_for_rows},
};

/// Registers somebody by mail.
async fn register(client: &Client, username: &str, email: &str) -> Result<String, Status> {
    let (username, email) = (username.into(), email.into());
    let request = CreateInactiveUserRequest { username, email, ..Default::default() };
    Ok(client.create_inactive_user(request).await?.user.unwrap().id)
}

pub async fn ten_mails_in_an_hour_go_to_one_address_whoever_comes_and_goes(store: Store) {
    let (server, client) = start(&store, "").await;
    for number in 0..5 {
        let id = register(&client, &format!("user{number}"), "alice@example.com").await.unwrap();
        client.mail_to(By::UserId(id.clone())).await.unwrap();
        client.delete_user(DeleteUserRequest { user_id: id }).await.unwrap();
    }
    let before = store.contents().await;
    let eleventh = register(&client, "late", "alice@EXAMPLE.com").await;
    let details = refused(eleventh, Code::ResourceExhausted, "RATE_LIMITED");
    let violation = &details.quota_failure().unwrap().violations[0];
    assert_eq!(violation.subject, "mail.limits.per_address_per_hour");
    let wait = details.retry_info().unwrap().retry_delay.unwrap();
    assert!(wait.as_secs() > 3600 && wait.as_secs() <= 4200, "{wait:?}");
    assert_eq!(store.contents().await, before);
    register(&client, "late", "bob@example.com").await.unwrap();
    // What is not mailed is not counted.
    client.register("silent", "alice@example.com").await;
    server.clock.advance(Duration::from_std(wait).unwrap());
    register(&client, "later", "alice@example.com").await.unwrap();
}

pub async fn x23_an_address_is_refused_alike_whether_somebody_claims_it_or_not(store: Store) {
    let (_server, client) = start(&store, "mail.limits.per_address_per_hour = 3").await;
    for name in ["alice", "bob"] {
        register(&client, name, "claimed@example.com").await.unwrap();
    }
    let ask = async |email: &str| {
        let mut told = Vec::new();
        for _ in 0..5 {
            let asked = client.mail_to(By::Email(email.into())).await;
            told.push(asked.map_or_else(|status| reason(&status), |()| "sent".into()));
        }
        told
    };
    let claimed = ask("claimed@example.com").await;
    assert_eq!(claimed, ["sent", "sent", "sent", "RATE_LIMITED", "RATE_LIMITED"]);
    assert_eq!(ask("nobody@example.com").await, claimed);
    // Two registrations and three more: the other claims of the address were passed over in silence.
    assert_eq!(store.count("mails").await, 5);
    // What was mailed to the claims is in no count that another call's refusal shows: asking has used up nothing.
    for (email, left) in [("CLAIMED+tag@example.com", 1), ("nobody@example.com", 3)] {
        let mut registered = 0;
        while let Ok(user_id) = register(&client, "probe", email).await {
            client.delete_user(DeleteUserRequest { user_id }).await.unwrap();
            registered += 1;
        }
        assert_eq!(registered, left, "{email}");
    }
}

pub async fn a_caller_and_all_together_are_limited_if_the_settings_say_so(store: Store) {
    for setting in ["mail.limits.per_caller_per_hour", "mail.limits.total_per_hour"] {
        let settings = format!("{setting} = 2\nmail.limits.per_address_per_hour = 0");
        let (server, client) = start(&store, &settings).await;
        for name in ["alice", "bob"] {
            client.mail_to(By::Email(format!("{name}@example.com"))).await.unwrap();
        }
        let third = client.mail_to(By::Email("carol@example.com".into())).await;
        let details = refused(third, Code::ResourceExhausted, "RATE_LIMITED");
        assert_eq!(details.quota_failure().unwrap().violations[0].subject, setting);
        server.stop().await;
    }
}

pub async fn keys_for_an_address_are_limited_and_the_notice_of_another_primary_one_is_not(store: Store) {
    let (server, client) = start(&store, "mail.limits.total_per_hour = 2").await;
    let alice = client.register("alice", "alice@example.com").await;
    let user_id = client.use_key(&alice.key).await.unwrap().id;
    client.add(&user_id, "new@example.com").await.unwrap();
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 1).await;
    let key = server.mails()[0].split_whitespace().find(|word| is_key(word)).unwrap().to_owned();
    client.send_verification(&user_id, "new@example.com").await.unwrap();
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED'", 2).await;
    let before = store.contents().await;
    for refusal in [
        client.send_verification(&user_id, "new@example.com").await,
        client.add(&user_id, "third@example.com").await,
    ] {
        let details = refused(refusal, Code::ResourceExhausted, "RATE_LIMITED");
        assert_eq!(details.quota_failure().unwrap().violations[0].subject, "mail.limits.total_per_hour");
    }
    assert_eq!(store.contents().await, before);
    client.verify(&key).await.unwrap();
    client.set_primary(&user_id, "new@example.com").await.unwrap();
    wait_for_rows(&store, "mails WHERE state = 'DELIVERED' AND kind = 'primary_email_changed'", 1).await;
}

fn is_key(word: &str) -> bool {
    word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub async fn reminders_stop_where_the_caller_or_all_have_had_their_mails(store: Store) {
    for setting in ["mail.limits.per_caller_per_hour", "mail.limits.total_per_hour"] {
        store.execute("DELETE FROM mail_counts").await;
        store.execute("DELETE FROM users").await;
        let (server, client) = start(&store, &format!("{setting} = 70")).await;
        let now = server.clock.now();
        load(&store, 150, now, now + Duration::days(7)).await;
        let remind = RemindUnverifiedRequest { force: true, ..Default::default() };
        // A batch, and a part of one.
        let reminded = client.remind_unverified(remind.clone()).await.unwrap();
        assert_eq!((reminded.remind_count, reminded.more), (70, true));
        let refusal = client.remind_unverified(remind.clone()).await;
        let details = refused(refusal, Code::ResourceExhausted, "RATE_LIMITED");
        assert_eq!(details.quota_failure().unwrap().violations[0].subject, setting);
        server.clock.advance(Duration::minutes(70));
        assert_eq!(client.remind_unverified(remind).await.unwrap().remind_count, 70);
        assert_eq!(store.count("mails WHERE kind = 'reminder'").await, 140);
        server.stop().await;
    }
}

pub async fn a_repetition_and_what_has_no_limit_are_not_counted(store: Store) {
    let (server, client) = start(&store, "mail.limits.per_address_per_hour = 1").await;
    let request = SendActivationEmailRequest {
        user: Some(By::Email("alice@example.com".into())),
        request_id: uuid_v4(&SystemRandom).to_string(),
    };
    for _ in 0..3 {
        client.send_activation_email(request.clone()).await.unwrap();
    }
    refused(
        client.mail_to(By::Email("alice@example.com".into())).await,
        Code::ResourceExhausted,
        "RATE_LIMITED",
    );
    server.stop().await;
    store.execute("DELETE FROM mail_counts").await;
    let (_server, client) = start(&store, "mail.limits.per_address_per_hour = 0").await;
    for number in 0..12 {
        register(&client, &format!("user{number}"), "alice@example.com").await.unwrap();
        client.mail_to(By::Email("alice@example.com".into())).await.unwrap();
    }
    assert_eq!(store.count("mail_counts").await, 0);
}
