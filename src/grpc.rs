//! The wire: services, health, reflection. A handler has three steps: parse, call, convert.

mod caller;
mod calls;
mod convert;
mod email_addresses;
mod events;
pub mod front;
mod health;
mod mails;
mod page_token;
pub mod proto;
mod registration;
mod status;
mod users;
mod validate;
mod watches;

use tonic::service::Routes;

pub use calls::Calls;
pub use health::{Health, ProbeError, probe};
pub use watches::Watches;

use proto::{
    email_address_service_server::EmailAddressServiceServer, event_service_server::EventServiceServer,
    mail_service_server::MailServiceServer, registration_service_server::RegistrationServiceServer,
    user_service_server::UserServiceServer,
};

/// The names that health is told of: each service, besides the whole server and [`health::LIVENESS`].
const SERVICES: [&str; 5] = [
    tonic_name::<EmailAddressServiceServer<email_addresses::EmailAddressHandler>>(),
    tonic_name::<MailServiceServer<mails::MailHandler>>(),
    tonic_name::<RegistrationServiceServer<registration::RegistrationHandler>>(),
    tonic_name::<UserServiceServer<users::UserHandler>>(),
    tonic_name::<EventServiceServer<events::EventHandler>>(),
];

/// The largest request, in bytes. The fields take a few thousand; the rest is room for a text that is far too long to
/// be refused by the name of its field.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// Every service that the port offers.
pub fn routes(
    calls: &Calls,
    watches: Watches,
    health: &Health,
) -> Result<Routes, tonic_reflection::server::Error> {
    let registration = registration::RegistrationHandler::new(calls.clone());
    let users = users::UserHandler::new(calls.clone());
    let email_addresses = email_addresses::EmailAddressHandler::new(calls.clone());
    let events = events::EventHandler::new(calls.clone(), watches);
    let mails = mails::MailHandler::new(calls.clone());
    Ok(Routes::new(RegistrationServiceServer::new(registration).max_decoding_message_size(MAX_REQUEST_BYTES))
        .add_service(UserServiceServer::new(users).max_decoding_message_size(MAX_REQUEST_BYTES))
        .add_service(EventServiceServer::new(events).max_decoding_message_size(MAX_REQUEST_BYTES))
        .add_service(
            EmailAddressServiceServer::new(email_addresses).max_decoding_message_size(MAX_REQUEST_BYTES),
        )
        .add_service(MailServiceServer::new(mails).max_decoding_message_size(MAX_REQUEST_BYTES))
        .add_service(health.service())
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
        // Each would add itself alone; both are registered above.
        .include_reflection_service(false)
}

const fn tonic_name<S: tonic::server::NamedService>() -> &'static str {
    S::NAME
}
