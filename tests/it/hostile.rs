//! Every field of every call, as a hostile caller fills it: what can't be is refused by the field's name, alike on
//! both stores, and nothing changes.
//!
//! The calls and their fields are found by reflection, so that none can be forgotten: a call without a valid request
//! in `requests.rs`, and a field of a kind that nobody has thought of, fail.

mod fields;
mod json;
mod numbers;
mod requests;
mod texts;
mod wire;

use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;
use vestibule::grpc::proto::FILE_DESCRIPTOR_SET;

use crate::{
    contract::store::Store,
    support::server::{TestServer, on_each_store},
};

on_each_store! {
    texts: [
        r8_a_text_that_can_not_be_is_refused_by_the_name_of_its_field,
    ]
    numbers: [
        x21_a_number_or_an_instant_out_of_range_is_refused_by_the_name_of_its_field,
    ]
    wire: [
        bytes_that_are_no_request_are_answered_by_the_framework_and_change_nothing,
    ]
    json: [
        half_a_surrogate_pair_in_json_is_a_wrong_character_like_any_other,
    ]
}

/// What a caller is told: the code, the reason if it is ours, and the fields that are named.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    code: Code,
    reason: String,
    fields: Vec<String>,
}

/// A call with a request that every field of is right, and that changes nothing.
struct Call {
    method: MethodDescriptor,
    request: DynamicMessage,
    /// What the request is answered.
    usual: Answer,
}

/// A server with one user, active and with a verified address, and every call that it takes.
struct House {
    server: TestServer,
    channel: Channel,
    calls: Vec<Call>,
    before: Vec<String>,
}

impl House {
    async fn open(store: &Store) -> Self {
        let server = TestServer::start_configured(store.url(), "mail.limits.per_address_per_hour = 0").await;
        let client = server.client().await;
        let mike = client.register("mike", requests::EMAIL).await;
        client.use_key(&mike.key).await.unwrap();
        let channel = Endpoint::from_shared(format!("http://{}", server.address)).unwrap().connect_lazy();
        let before = store.contents().await;
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
        let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
        let mut calls = Vec::new();
        for method in methods {
            let (request, usual) = requests::valid(&method);
            let answer = wire::send(&channel, &method, &request).await;
            assert_eq!(answer, usual, "{}", method.full_name());
            calls.push(Call { method, request, usual });
        }
        assert_eq!(store.contents().await, before, "a valid request changes something");
        Self { server, channel, calls, before }
    }

    /// Sends a request and holds its answer against what is expected.
    async fn expect(&self, call: &Call, request: &DynamicMessage, expected: &Answer, what: &str) {
        let answer = wire::send(&self.channel, &call.method, request).await;
        assert_eq!(answer, *expected, "{}: {what}", call.method.full_name());
    }

    /// Nothing is there that was not, and nothing is gone.
    async fn is_unchanged(&self, store: &Store) {
        assert_eq!(store.contents().await, self.before);
    }
}

impl Answer {
    fn of(outcome: Result<Vec<u8>, Status>) -> Self {
        let Err(status) = outcome else { return Self::new(Code::Ok, "", &[]) };
        let details = status.get_error_details();
        let reason = details.error_info().map_or("", |info| info.reason.as_str());
        let fields = details.bad_request().into_iter().flat_map(|bad| &bad.field_violations);
        let fields: Vec<_> = fields.map(|violation| violation.field.as_str()).collect();
        Self::new(status.code(), reason, &fields)
    }

    fn new(code: Code, reason: &str, fields: &[&str]) -> Self {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        Self { code, reason: reason.to_owned(), fields }
    }

    /// What a wrong field is answered.
    fn wrong(field: &str) -> Self {
        Self::new(Code::InvalidArgument, "INVALID_REQUEST", &[field])
    }
}
