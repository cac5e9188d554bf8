//! HTTP/2 by hand, for what a well-behaved client never says.

use std::{io::Cursor, net::SocketAddr};

use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use prost::Message;
use tokio::{net::TcpStream, task::JoinSet};
use tonic::Status;

/// What every HTTP/2 connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

type Body = Cursor<Vec<u8>>;

/// A connection whose requests are sent piece by piece.
pub struct Wire {
    address: SocketAddr,
    client: SendRequest<Body>,
    _driver: JoinSet<Result<(), h2::Error>>,
}

impl Wire {
    /// Connects, and speaks no more than HTTP/2.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (client, connection) = h2::client::Builder::new().handshake::<_, Body>(stream).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Self { address, client, _driver: driver }
    }

    /// Sends the headers of a call, and returns its answer to come and what its body is sent through.
    pub async fn begin(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (ResponseFuture, SendStream<Body>) {
        self.client = self.client.clone().ready().await.unwrap();
        let mut request = http::Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.send_request(request.body(()).unwrap(), false).unwrap()
    }
}

/// A refusal, which comes with the headers.
pub async fn refusal(answer: ResponseFuture) -> Status {
    Status::from_header_map(answer.await.unwrap().headers()).expect("a refusal comes with the headers")
}

/// Reads a stream of messages to its end, and the status that comes behind them.
pub async fn read_to_end<M: Message + Default>(answer: http::Response<RecvStream>) -> (Vec<M>, Status) {
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        bytes.extend(piece);
    }
    let mut messages = Vec::new();
    let mut left = bytes.as_slice();
    while let Some((head, rest)) = left.split_first_chunk::<5>() {
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()).try_into().unwrap();
        messages.push(M::decode(&rest[..length]).unwrap());
        left = &rest[length..];
    }
    let trailers = body.trailers().await.unwrap().expect("a stream ends with a status");
    (messages, Status::from_header_map(&trailers).expect("a status"))
}

/// A message with the five bytes that gRPC puts before it.
pub fn message(message: &impl Message) -> Body {
    let message = message.encode_to_vec();
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend(message);
    Cursor::new(bytes)
}

/// A frame of HTTP/2.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
