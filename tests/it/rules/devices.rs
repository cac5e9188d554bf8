//! Devices over the wire: who gets in while somebody guesses without end, and what makes a stranger of a device.

use std::time::Duration as Span;

use chrono::Duration;
use tonic::Code;
use vestibule::{clock::Clock as _, domain::device::known_until};

use super::{
    passwords::{PASSWORD, active, named, set_password},
    start, tick,
};
use crate::{
    contract::store::Store,
    support::server::{Client, reason, refused, wait_for_rows},
};

const PHONE: &str = "phone-0123456789";
const LAPTOP: &str = "laptop-0123456789";

/// Guesses wrong once from a device; how long the next guess has to wait if this one was not let in.
async fn guess(client: &Client, device: &str, name: &str) -> Option<Span> {
    let refusal = client.log_in_from(device, named(name), "wrong horse").await.unwrap_err();
    if reason(&refusal) == "INVALID_CREDENTIALS" {
        return None;
    }
    let details = refused::<()>(Err(refusal), Code::ResourceExhausted, "RATE_LIMITED");
    Some(details.retry_info().unwrap().retry_delay.unwrap())
}

pub async fn an_owner_on_a_known_device_gets_in_while_somebody_guesses_without_end(store: Store) {
    let (server, client) = start(&store, "").await;
    active(&client, "owner").await;
    client.log_in_from(PHONE, named("owner"), PASSWORD).await.unwrap();
    let mut invented = (0..).map(|number| format!("invented-0123456789-{number}"));
    for name in ["owner", "nobody"] {
        for _ in 0..5 {
            assert_eq!(guess(&client, &invented.next().unwrap(), name).await, None, "{name}");
        }
    }
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        // Every turn of the name is taken as it comes, whoever has it; a made-up device changes nothing.
        for name in ["owner", "nobody"] {
            for device in ["", &invented.next().unwrap(), LAPTOP] {
                assert_eq!(guess(&client, device, name).await, Some(Span::from_secs(wait)), "{name}");
                let right = client.log_in_from(device, named(name), PASSWORD).await;
                refused(right, Code::ResourceExhausted, "RATE_LIMITED");
            }
        }
        let user = client.log_in_from(PHONE, named("owner"), PASSWORD).await.unwrap();
        assert_eq!(user.username, "owner");
        server.clock.advance(Duration::seconds(i64::try_from(wait).unwrap()));
        for name in ["owner", "nobody"] {
            assert_eq!(guess(&client, &invented.next().unwrap(), name).await, None, "{name}");
        }
    }
}

pub async fn a_known_devices_own_failures_slow_it_down_alone(store: Store) {
    let (_server, client) = start(&store, "").await;
    active(&client, "owner").await;
    for device in [PHONE, LAPTOP] {
        client.log_in_from(device, named("owner"), PASSWORD).await.unwrap();
    }
    for _ in 0..5 {
        assert_eq!(guess(&client, PHONE, "owner").await, None);
    }
    assert_eq!(guess(&client, PHONE, "owner").await, Some(Span::from_secs(1)));
    let right = client.log_in_from(PHONE, named("owner"), PASSWORD).await;
    refused(right, Code::ResourceExhausted, "RATE_LIMITED");
    for device in [LAPTOP, "", "another-0123456789"] {
        client.log_in_from(device, named("owner"), PASSWORD).await.unwrap();
    }
    // What they have forgotten was not the phone's.
    assert_eq!(guess(&client, PHONE, "owner").await, Some(Span::from_secs(1)));
}

pub async fn after_set_password_a_device_is_a_stranger_until_it_logs_in_again(store: Store) {
    let (_server, client) = start(&store, "").await;
    let id = active(&client, "owner").await;
    client.log_in_from(PHONE, named("owner"), PASSWORD).await.unwrap();
    set_password(&client, &id, "another horse").await.unwrap();
    for _ in 0..5 {
        assert_eq!(guess(&client, PHONE, "owner").await, None);
    }
    for device in [PHONE, ""] {
        assert_eq!(guess(&client, device, "owner").await, Some(Span::from_secs(1)));
    }
    store.execute("DELETE FROM password_guesses").await;
    client.log_in_from(PHONE, named("owner"), "another horse").await.unwrap();
    for _ in 0..5 {
        assert_eq!(guess(&client, "", "owner").await, None);
    }
    client.log_in_from(PHONE, named("owner"), "another horse").await.unwrap();
}

pub async fn what_can_be_no_device_is_refused_by_its_field_and_is_no_guess(store: Store) {
    let (_server, client) = start(&store, "").await;
    active(&client, "owner").await;
    for device in [
        "short-123456789".to_owned(),
        "a".repeat(129),
        "with a blank 0123".to_owned(),
        " ".repeat(16),
        "0123456789abcde\u{e9}".to_owned(),
        "0123456789abcdef\0".to_owned(),
    ] {
        for name in ["owner", "nobody"] {
            let refusal = client.log_in_from(&device, named(name), PASSWORD).await;
            let details = refused(refusal, Code::InvalidArgument, "INVALID_REQUEST");
            let violations = &details.bad_request().unwrap().field_violations;
            assert_eq!((violations.len(), violations[0].field.as_str()), (1, "device"), "{device:?}");
            assert!(!violations[0].description.contains(&device), "{violations:?}");
        }
    }
    assert_eq!(store.count("password_guesses").await, 0);
    for device in ["a".repeat(16), "~".repeat(128)] {
        client.log_in_from(&device, named("owner"), PASSWORD).await.unwrap();
    }
    assert_eq!(store.count("known_devices").await, 2);
}

pub async fn a_server_forgets_devices_when_their_time_is_over(store: Store) {
    let (server, client) = start(&store, "").await;
    active(&client, "owner").await;
    let now = server.clock.now();
    client.log_in_from(PHONE, named("owner"), PASSWORD).await.unwrap();
    server.clock.advance(tick());
    client.log_in_from(LAPTOP, named("owner"), PASSWORD).await.unwrap();
    // As if the first login had been ninety days ago, and the second a moment later.
    let first = store.at(known_until(now));
    for (which, time) in [("=", store.at(now)), (">", store.at(now + tick()))] {
        let statement =
            format!("UPDATE known_devices SET expire_time = {time} WHERE expire_time {which} {first}");
        assert_eq!(store.execute(statement).await, 1);
    }
    let (_other, _client) = start(&store, "").await;
    wait_for_rows(&store, "known_devices", 1).await;
}
