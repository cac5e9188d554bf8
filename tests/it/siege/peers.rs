//! A peer that breaks a limit is cut or refused, and nobody else notices.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use vestibule::grpc::proto::ListUnverifiedRequest;

use crate::{
    access::connect,
    support::{
        server::{Client, reason},
        wire::{PREFACE, Wire, frame, message, refusal},
    },
};

/// Far longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a peer has for its first bytes.
const FIRST_BYTES: Duration = Duration::from_secs(10);

const LIST_UNVERIFIED: &str = "/vestibule.v1.RegistrationService/ListUnverified";

// Kinds of frames, flags and errors of HTTP/2.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_HEADERS: u8 = 4;
const FRAME_SIZE_ERROR: [u8; 4] = [0, 0, 0, 6];
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];
/// `:method POST`, `:scheme http`, `:path /`, as every peer knows them from the start.
const ANY_CALL: [u8; 3] = [0x83, 0x86, 0x84];

/// The headers of a call that waits for its request.
fn a_list() -> Vec<u8> {
    // `:method POST`, `:scheme http`, and the names of `:path` and `content-type` with values spelt out.
    let literal =
        |name: &[u8], value: &str| [name, &[u8::try_from(value.len()).unwrap()], value.as_bytes()].concat();
    [&[0x83, 0x86][..], &literal(&[0x04], LIST_UNVERIFIED), &literal(&[0x0f, 0x10], "application/grpc")]
        .concat()
}

#[tokio::test]
async fn a_peer_that_does_not_begin_to_speak_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let process = super::start(folder.path(), &[]);
    let start = Instant::now();
    let mut client = TcpStream::connect(process.address).await.unwrap();
    let mut silent = TcpStream::connect(process.address).await.unwrap();
    let mut slow = TcpStream::connect(process.address).await.unwrap();
    slow.write_all(&PREFACE[..PREFACE.len() - 1]).await.unwrap();
    client.write_all(PREFACE).await.unwrap();
    client.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    for peer in [&mut silent, &mut slow] {
        let mut said = Vec::new();
        // However it hangs up.
        let _ = timeout(PATIENCE, peer.read_to_end(&mut said)).await.expect("it is cut");
        assert!(start.elapsed() >= FIRST_BYTES);
    }
    // Who has begun is left alone: a ping is answered.
    let ping = frame(6, 0, 0, b"anybody?");
    client.write_all(&ping).await.unwrap();
    read_until(&mut client, |kind, payload| kind == 6 && payload == b"anybody?").await;
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused_and_the_connection_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let process = super::start(folder.path(), &[]);
    let mut wire = Wire::connect(process.address).await;
    for (length, status) in [(8 * 1024, 200), (17 * 1024, 431), (8 * 1024, 200)] {
        let (answer, mut body) = wire.begin(LIST_UNVERIFIED, &[("x-long", &"x".repeat(length))]).await;
        // A refusal may come before it.
        let _ = body.send_data(message(&ListUnverifiedRequest::default()), true);
        assert_eq!(answer.await.unwrap().status(), status, "{length}");
    }
}

#[tokio::test]
async fn a_call_beyond_two_hundred_at_once_and_a_frame_beyond_16_kib_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let process = super::start(folder.path(), &[]);
    let mut peer = TcpStream::connect(process.address).await.unwrap();
    let calls = (1..).step_by(2).take(201).flat_map(|stream| frame(HEADERS, END_HEADERS, stream, &a_list()));
    let bytes = PREFACE.iter().copied().chain(frame(SETTINGS, 0, 0, &[])).chain(calls).collect::<Vec<_>>();
    peer.write_all(&bytes).await.unwrap();
    // The last of them, and no other, was one too many.
    let refused =
        read_until(&mut peer, |kind, payload| kind == RST_STREAM && payload == REFUSED_STREAM).await;
    assert_eq!(refused, 401);
    peer.write_all(&frame(DATA, 0, 1, &[0; 16 * 1024 + 1])).await.unwrap();
    read_until(&mut peer, |kind, payload| kind == GOAWAY && payload[4..8] == FRAME_SIZE_ERROR).await;
}

#[tokio::test]
async fn a_request_beyond_a_mebibyte_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let process = super::start(folder.path(), &[]);
    let client = Client::connect(process.address).await;
    let request = |length| ListUnverifiedRequest { page_token: "x".repeat(length), ..Default::default() };
    let refusal = client.list_unverified(request(1024 * 1024)).await.unwrap_err();
    assert_eq!(refusal.code(), tonic::Code::OutOfRange);
    let refusal = client.list_unverified(request(1023 * 1024)).await.unwrap_err();
    assert_eq!(reason(&refusal), "INVALID_PAGE_TOKEN");
}

#[tokio::test]
async fn a_peer_that_takes_back_its_calls_over_and_over_is_hung_up_on() {
    let begin_and_cancel = |stream| {
        let cancel = frame(RST_STREAM, 0, stream, &CANCEL);
        [frame(HEADERS, END_HEADERS, stream, &ANY_CALL), cancel].concat()
    };
    assert_hung_up_on(begin_and_cancel).await;
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_over_and_over_is_hung_up_on() {
    let begin_and_widen_too_far = |stream| {
        let too_far = frame(WINDOW_UPDATE, 0, stream, &i32::MAX.to_be_bytes());
        [frame(HEADERS, END_HEADERS, stream, &ANY_CALL), too_far].concat()
    };
    assert_hung_up_on(begin_and_widen_too_far).await;
}

/// Expects that a peer who does this with three hundred streams is told to calm down, and others are served.
async fn assert_hung_up_on(abuse: impl Fn(u32) -> Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let process = super::start(folder.path(), &[]);
    let mut peer = TcpStream::connect(process.address).await.unwrap();
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for stream in (1..).step_by(2).take(300) {
        bytes.extend(abuse(stream));
    }
    peer.write_all(&bytes).await.unwrap();
    read_until(&mut peer, |kind, payload| kind == GOAWAY && payload[4..8] == ENHANCE_YOUR_CALM).await;
    Client::connect(process.address).await.register("alice", "alice@example.com").await;
}

#[tokio::test]
async fn whoever_comes_when_all_connections_are_taken_is_served_when_one_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = super::start(folder.path(), &[("VESTIBULE__GRPC__MAX_CONNECTIONS", "2")]);
    let first = Wire::connect(process.address).await;
    let second = Wire::connect(process.address).await;
    process.wait_for("every connection is taken");
    let address = process.address;
    let mut third =
        Box::pin(async move { Client::connect(address).await.register("alice", "alice@example.com").await });
    timeout(Duration::from_millis(300), &mut third).await.expect_err("there is no place");
    drop(first);
    timeout(PATIENCE, third).await.expect("there is one");
    drop(second);
    let (_, log) = process.stop(Signal::SIGTERM);
    assert!(!log.contains("can't be accepted"), "{log}");
}

#[tokio::test]
async fn who_watches_may_watch_longer_than_a_call_may_take() {
    let folder = tempfile::tempdir().unwrap();
    let process = super::start(folder.path(), &[("VESTIBULE__GRPC__CALL_SECONDS", "1")]);
    let mut health = HealthClient::new(connect(process.address).await);
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    // Begun later than the watch, and over: so is the time of the watch.
    let mut wire = Wire::connect(process.address).await;
    let (answer, _body) = wire.begin(LIST_UNVERIFIED, &[]).await;
    assert_eq!(refusal(answer).await.code(), tonic::Code::DeadlineExceeded);
    process.signal(Signal::SIGTERM);
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
}

/// Reads frames until one is such, and returns the stream that it speaks of.
async fn read_until(peer: &mut TcpStream, is_it: impl Fn(u8, &[u8]) -> bool) -> u32 {
    let found = async {
        loop {
            let mut head = [0; 9];
            peer.read_exact(&mut head).await.expect("a further frame");
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut payload = vec![0; length];
            peer.read_exact(&mut payload).await.unwrap();
            if is_it(head[3], &payload) {
                return u32::from_be_bytes(head[5..].try_into().unwrap());
            }
        }
    };
    timeout(PATIENCE, found).await.expect("such a frame")
}
