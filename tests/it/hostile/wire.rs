//! Requests as bytes, so that they can be anything; and what is answered to bytes that are none.

use prost::{
    Message as _,
    bytes::{Buf as _, BufMut as _},
};
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::{
    Code, Request, Response, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

use super::{
    Answer, House,
    fields::{Content, Field},
};
use crate::contract::store::Store;

/// More than is read of a request.
const TOO_LARGE: usize = 1_100_000;
/// Stands where broken text will stand, and nowhere else.
const MARKER: &str = "#MARKER#";
/// As long as the marker: a byte that begins nothing, a text cut off, a surrogate, a NUL in two bytes, past the end.
const BROKEN: [&[u8]; 6] = [
    b"ab\xffcdefg",
    b"abcdefg\xc3",
    b"ab\xed\xa0\x80cde",
    b"ab\xc0\x80cdef",
    b"\xf4\x90\x80\x80abcd",
    b"\x80\x80\x80\x80\x80\x80\x80\x80",
];

/// Passes bytes through.
#[derive(Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&bytes);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

/// Sends a request.
pub async fn send(channel: &Channel, method: &MethodDescriptor, request: &DynamicMessage) -> Answer {
    Answer::of(send_bytes(channel, method, request.encode_to_vec()).await)
}

async fn send_bytes(channel: &Channel, method: &MethodDescriptor, bytes: Vec<u8>) -> Result<Vec<u8>, Status> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let (request, path) = (Request::new(bytes), path.parse().unwrap());
    assert!(!method.is_client_streaming(), "{path}: nobody has said how to send it");
    if method.is_server_streaming() {
        // The first message tells that the request was right; nobody stays for more.
        let mut answers = client.server_streaming(request, path, Raw).await?.into_inner();
        return Ok(answers.message().await?.expect("a stream says where it starts"));
    }
    client.unary(request, path, Raw).await.map(Response::into_inner)
}

pub async fn bytes_that_are_no_request_are_answered_by_the_framework_and_change_nothing(store: Store) {
    let house = House::open(&store).await;
    for call in &house.calls {
        let mut unreadable: Vec<Vec<u8>> = [
            // No tag, a field without its value, a length beyond the end, a group that ends before it begins,
            // field 0, a wire type that there is not, a varint without end.
            &b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..],
            b"\x0a",
            b"\x0a\x7fabc",
            b"\x0c",
            b"\x02\x00",
            b"\x0f",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            // A length that would be four gigabytes.
            b"\x0a\xff\xff\xff\xff\x0f",
        ]
        .map(<[u8]>::to_vec)
        .into();
        let mut too_large = Vec::new();
        let fields = Field::all(&call.method.input());
        for field in fields.iter().filter(|field| field.content() == Content::Text) {
            let marked = field.fill_text(&call.request, MARKER).encode_to_vec();
            let start = marked.windows(MARKER.len()).position(|window| window == MARKER.as_bytes()).unwrap();
            for broken in BROKEN {
                let mut bytes = marked.clone();
                bytes[start..start + MARKER.len()].copy_from_slice(broken);
                unreadable.push(bytes);
            }
            too_large.push(field.fill_text(&call.request, &"a".repeat(TOO_LARGE)).encode_to_vec());
        }
        // A field that nobody knows is passed over, but not without measure.
        too_large.push([&b"\xfa\x7f\xe0\x91\x43"[..], &[b'a'; TOO_LARGE]].concat());
        // Without a reason: neither is an answer of ours.
        let invalid = Answer::new(Code::Internal, "", &[]);
        let refused = Answer::new(Code::OutOfRange, "", &[]);
        for (requests, expected) in [(unreadable, invalid), (too_large, refused)] {
            for bytes in requests {
                let shown: Vec<u8> = bytes.iter().copied().take(60).collect();
                let answer = Answer::of(send_bytes(&house.channel, &call.method, bytes).await);
                assert_eq!(answer, expected, "{}: {shown:x?}", call.method.full_name());
            }
        }
        let unknown = [call.request.encode_to_vec(), b"\xfa\x7f\x03abc".to_vec()].concat();
        let answer = Answer::of(send_bytes(&house.channel, &call.method, unknown).await);
        assert_eq!(answer, call.usual, "{}: a field of another version", call.method.full_name());
        house.is_unchanged(&store).await;
    }
}
