//! Reflection, in both of its versions: what grpcurl, old and new, builds its knowledge from.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use prost::Message as _;
use prost_types::FileDescriptorProto;
use tonic::{Code, Status};
use tonic_reflection::pb::{v1, v1alpha};

use super::connect;
use crate::support::server::{Database, TestServer};

/// What a reflection service was asked, in either version.
#[derive(Debug, Clone)]
enum Question {
    List,
    Symbol(String),
    File(String),
}

/// What it answered.
#[derive(Debug)]
enum Answer {
    Services(Vec<String>),
    Files(Vec<FileDescriptorProto>),
    Refused(i32),
}

macro_rules! asks {
    ($($version:ident),*) => {
        $(async fn $version(address: SocketAddr, question: Question) -> Result<Answer, Status> {
            use $version::{
                server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
            };
            let message_request = Some(match question {
                Question::List => MessageRequest::ListServices(String::new()),
                Question::Symbol(name) => MessageRequest::FileContainingSymbol(name),
                Question::File(name) => MessageRequest::FileByFilename(name),
            });
            let request = $version::ServerReflectionRequest { host: String::new(), message_request };
            let mut client = ServerReflectionClient::new(connect(address).await);
            let mut answers = client.server_reflection_info(tokio_stream::once(request)).await?.into_inner();
            Ok(match answers.message().await?.unwrap().message_response.unwrap() {
                MessageResponse::ListServicesResponse(list) => {
                    Answer::Services(list.service.into_iter().map(|service| service.name).collect())
                }
                MessageResponse::FileDescriptorResponse(files) => Answer::Files(
                    files
                        .file_descriptor_proto
                        .iter()
                        .map(|file| FileDescriptorProto::decode(file.as_slice()).unwrap())
                        .collect(),
                ),
                MessageResponse::ErrorResponse(error) => Answer::Refused(error.error_code),
                other => panic!("{other:?}"),
            })
        })*
    };
}
asks!(v1, v1alpha);

async fn ask(version: &str, address: SocketAddr, question: Question) -> Result<Answer, Status> {
    match version {
        "v1" => v1(address, question).await,
        _ => v1alpha(address, question).await,
    }
}

/// The services, as the newer version lists them.
pub async fn list(address: SocketAddr) -> Result<Vec<String>, Status> {
    match v1(address, Question::List).await? {
        Answer::Services(services) => Ok(services),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_versions_list_every_service_and_lead_to_every_file_and_import() {
    let server = TestServer::start(&Database::Sqlite, &[]).await;
    for version in ["v1", "v1alpha"] {
        let Answer::Services(services) = ask(version, server.address, Question::List).await.unwrap() else {
            panic!("no list")
        };
        let listed: BTreeSet<_> = services.iter().map(String::as_str).collect();
        let all = [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "vestibule.v1.EmailAddressService",
            "vestibule.v1.EventService",
            "vestibule.v1.RegistrationService",
            "vestibule.v1.MailService",
            "vestibule.v1.UserService",
        ];
        assert_eq!(listed, BTreeSet::from(all), "{version}");
        let details = ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"];
        let ours = ["vestibule.v1.ErrorReason", "vestibule.v1.RegistrationService.Activate"];
        let symbols = all.into_iter().chain(details).chain(ours);
        let files = files_of(version, server.address, symbols).await;
        for needed in ["google/protobuf/timestamp.proto", "google/protobuf/duration.proto"] {
            assert!(files.contains_key(needed), "{version}: {:?}", files.keys());
        }
        assert_comments(&files);
    }
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    let server = TestServer::start(&Database::Sqlite, &[]).await;
    for version in ["v1", "v1alpha"] {
        for question in
            [Question::Symbol("vestibule.v1.Nothing".into()), Question::File("nothing.proto".into())]
        {
            let refused = match ask(version, server.address, question.clone()).await {
                Ok(Answer::Refused(code)) => Code::from(code),
                Err(status) => status.code(),
                Ok(other) => panic!("{other:?}"),
            };
            assert_eq!(refused, Code::NotFound, "{version} {question:?}");
        }
    }
}

/// The files with these symbols, and all that they import, each by its name.
async fn files_of(
    version: &str,
    address: SocketAddr,
    symbols: impl Iterator<Item = &'static str>,
) -> BTreeMap<String, FileDescriptorProto> {
    let mut files = BTreeMap::new();
    let mut questions: Vec<_> = symbols.map(|symbol| Question::Symbol(symbol.to_owned())).collect();
    while let Some(question) = questions.pop() {
        let found = match ask(version, address, question.clone()).await.unwrap() {
            Answer::Files(found) => found,
            other => panic!("{version} {question:?}: {other:?}"),
        };
        assert!(!found.is_empty(), "{version} {question:?}");
        for file in found {
            questions.extend(file.dependency.iter().cloned().map(Question::File));
            files.insert(file.name().to_owned(), file);
        }
        questions.retain(|question| !matches!(question, Question::File(name) if files.contains_key(name)));
    }
    files
}

/// Every message of ours, and every call, still has its comment.
fn assert_comments(files: &BTreeMap<String, FileDescriptorProto>) {
    let file = &files["vestibule/v1/registration_service.proto"];
    let locations = &file.source_code_info.as_ref().expect("there is source info").location;
    let comment = |path: &[i32]| {
        let location = locations.iter().find(|location| location.path == path);
        location.map(|location| location.leading_comments().trim().to_owned()).unwrap_or_default()
    };
    let number = |count: usize| 0..i32::try_from(count).unwrap();
    // The numbers of a file's fields: 4 messages, 6 services; 2 a service's methods.
    for index in number(file.message_type.len()) {
        assert!(!comment(&[4, index]).is_empty(), "{:?}", file.message_type[index as usize].name());
    }
    for index in number(file.service[0].method.len()) {
        assert!(comment(&[6, 0, 2, index]).contains("Permission: "), "method {index}");
    }
}
