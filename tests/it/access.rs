//! Who may call, what answers beside the services, and how a server takes its leave.

mod draining;
mod reflection;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tonic::{
    Code, Request, Status,
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use uuid::Uuid;
use vestibule::grpc::proto::{
    GetUserRequest, ListUnverifiedRequest, get_user_request::User, user_service_client::UserServiceClient,
};

use crate::support::server::{Client, Database, TestServer, eventually, refused};

/// What has a state of its own, the whole server first.
const SERVICES: [&str; 6] = [
    "",
    "vestibule.v1.EmailAddressService",
    "vestibule.v1.RegistrationService",
    "vestibule.v1.UserService",
    "vestibule.v1.EventService",
    "vestibule.v1.MailService",
];

#[tokio::test]
async fn callers_on_this_machine_are_let_in_and_others_are_told_why_they_are_not() {
    let server = Reachable::start("loopback").await;
    let inside = Client::connect(server.inside).await;
    inside.list_unverified(ListUnverifiedRequest::default()).await.unwrap();
    inside.register("alice", "alice@example.com").await;

    let outside = Client::connect(server.outside).await;
    let listed = outside.list_unverified(ListUnverifiedRequest::default()).await;
    assert!(listed.as_ref().unwrap_err().message().contains("access.anonymous"), "{listed:?}");
    refused(listed, Code::Unauthenticated, "CALLER_UNAUTHENTICATED");
    let found = outside.user(User::Username("alice".into())).await;
    refused(found, Code::Unauthenticated, "CALLER_UNAUTHENTICATED");
    refused(reflection::list(server.outside).await, Code::Unauthenticated, "CALLER_UNAUTHENTICATED");
}

#[tokio::test]
async fn everybody_may_ask_how_the_server_is() {
    let server = Reachable::start("loopback").await;
    for address in [server.inside, server.outside] {
        for name in SERVICES.into_iter().chain(["liveness"]) {
            assert_eq!(health(address, name).await.unwrap(), ServingStatus::Serving, "{address} {name}");
        }
        for name in ["nowhere", "vestibule.v1", "grpc.health.v1.Health"] {
            assert_eq!(health(address, name).await.unwrap_err().code(), Code::NotFound, "{address} {name}");
        }
    }
}

#[tokio::test]
async fn callers_from_the_network_are_let_in_where_the_settings_say_so() {
    let server = Reachable::start("network").await;
    for address in [server.inside, server.outside] {
        let client = Client::connect(address).await;
        client.list_unverified(ListUnverifiedRequest::default()).await.unwrap();
        assert!(reflection::list(address).await.is_ok());
    }
}

#[tokio::test]
async fn every_answer_carries_the_requests_id() {
    let server = Reachable::start("loopback").await;
    for (address, code) in [(server.inside, Code::NotFound), (server.outside, Code::Unauthenticated)] {
        let status = ask(address, Some("of-the-caller.1")).await;
        assert_eq!(status.code(), code);
        assert_eq!(id(status.metadata()), "of-the-caller.1");
        for harmful in [None, Some("two words"), Some("\"quoted\"")] {
            let status = ask(address, harmful).await;
            assert!(id(status.metadata()).parse::<Uuid>().is_ok(), "{status:?}");
        }
    }
    let mut health = HealthClient::new(connect(server.inside).await);
    let answer = health.check(with_id(HealthCheckRequest::default(), "mine")).await.unwrap();
    assert_eq!(id(answer.metadata()), "mine");
}

/// A server on every address of this machine.
struct Reachable {
    inside: SocketAddr,
    outside: SocketAddr,
    _server: TestServer,
}

impl Reachable {
    async fn start(anonymous: &str) -> Self {
        let outside = own_address();
        let (everywhere, inside): (IpAddr, IpAddr) = match outside {
            IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()),
        };
        let listen = SocketAddr::new(everywhere, 0).to_string();
        let settings = [("grpc.listen", listen), ("access.anonymous", anonymous.to_owned())];
        let server = TestServer::start(&Database::Sqlite, &settings).await;
        let port = server.address.port();
        let inside = SocketAddr::new(inside, port);
        eventually("serving", || async { health(inside, "").await.unwrap() == ServingStatus::Serving }).await;
        Self { inside, outside: SocketAddr::new(outside, port), _server: server }
    }
}

/// An address of this machine that isn't loopback's: who calls it comes from there, too.
fn own_address() -> IpAddr {
    let table = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let routes = table("/proc/net/fib_trie");
    let lines: Vec<_> = routes.lines().collect();
    let v4 = lines.windows(2).filter_map(|pair| match pair {
        [address, kind] if kind.trim() == "/32 host LOCAL" => {
            address.trim().strip_prefix("|-- ")?.parse().ok()
        }
        _ => None,
    });
    let interfaces = table("/proc/net/if_inet6");
    let v6 = interfaces.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let address = u128::from_str_radix(fields.next()?, 16).ok()?;
        // Other scopes than the global one would need the interface's name.
        (fields.nth(2) == Some("00")).then(|| Ipv6Addr::from(address))
    });
    v4.map(IpAddr::V4)
        .chain(v6.map(IpAddr::V6))
        .find(|address| !address.is_loopback())
        .expect("the test calls this machine from outside, so it needs an address that isn't loopback's")
}

pub async fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

async fn health(address: SocketAddr, name: &str) -> Result<ServingStatus, Status> {
    let mut health = HealthClient::new(connect(address).await);
    let answer = health.check(HealthCheckRequest { service: name.to_owned() }).await?;
    Ok(answer.into_inner().status())
}

/// What is said to somebody who looks for nobody.
async fn ask(address: SocketAddr, id: Option<&str>) -> Status {
    let mut users = UserServiceClient::new(connect(address).await);
    let request = GetUserRequest { user: Some(User::Username("nobody".into())) };
    let request = match id {
        Some(id) => with_id(request, id),
        None => Request::new(request),
    };
    users.get_user(request).await.unwrap_err()
}

fn with_id<T>(message: T, id: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-request-id", id.parse().unwrap());
    request
}

fn id(metadata: &MetadataMap) -> &str {
    metadata.get("x-request-id").expect("an answer carries the request's id").to_str().unwrap()
}
