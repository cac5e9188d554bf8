//! Requests as people type them, in JSON.

use std::{
    net::SocketAddr,
    process::{Command, Output},
};

use tokio::task::spawn_blocking;

use super::{
    Call, House,
    fields::{Content, Field},
    texts::refusal,
};
use crate::{contract::store::Store, support::grpcurl};

/// What grpcurl adds to a code to exit with it.
const EXIT: i32 = 64;

pub async fn half_a_surrogate_pair_in_json_is_a_wrong_character_like_any_other(store: Store) {
    let house = House::open(&store).await;
    for call in &house.calls {
        for field in Field::all(&call.method.input()).iter().filter(|field| field.content() == Content::Text)
        {
            // The second half of a pair, and then a first, as often as a new password needs.
            let value = format!("\"{}\"", "\\udc00\\ud800".repeat(8));
            let json = field.path().rsplit('.').fold(value, |value, name| format!("{{\"{name}\":{value}}}"));
            let called = grpcurl(house.server.address, call, json.clone()).await;
            let said = String::from_utf8_lossy(&called.stderr).into_owned();
            // What stands there is U+FFFD once it is parsed, which only these can hold.
            if ["password", "reason"].contains(&field.name()) {
                assert!(!said.contains(&format!("\"field\":\"{}\"", field.name())), "{json}: {said}");
                continue;
            }
            let refusal = refusal(field);
            assert_eq!(called.status.code(), Some(EXIT + refusal.code as i32), "{json}: {said}");
            assert!(said.contains(&format!("\"reason\":\"{}\"", refusal.reason)), "{json}: {said}");
            for field in refusal.fields {
                assert!(said.contains(&format!("\"field\":\"{field}\"")), "{json}: {said}");
            }
        }
    }
    house.is_unchanged(&store).await;
}

async fn grpcurl(address: SocketAddr, call: &Call, json: String) -> Output {
    let method = format!("{}/{}", call.method.parent_service().full_name(), call.method.name());
    let mut command = Command::new(grpcurl::folder().join("grpcurl"));
    command.args(["-plaintext", "-d", &json, &address.to_string(), &method]);
    spawn_blocking(move || command.output()).await.unwrap().unwrap()
}
