//! HTTP/1.1 as a program or a browser speaks it, a connection for each request.

use std::net::SocketAddr;

use http_body_util::BodyExt as _;
use hyper::{
    Request,
    client::conn::http1::{self, SendRequest},
    header::{HOST, HeaderMap},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinSet};

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

/// A connection that can be asked again and again.
pub struct Connection {
    address: SocketAddr,
    sender: SendRequest<String>,
    _driver: JoinSet<Result<(), hyper::Error>>,
}

impl Answer {
    /// The body, which is JSON and says so.
    pub fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// A header that is there once.
    pub fn header(&self, name: &str) -> &str {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        let [value] = values[..] else { panic!("{name}: {:?}", self.headers) };
        value.to_str().unwrap()
    }
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Self { address, sender, _driver: driver }
    }

    /// Asks with these headers; without a `host` among them, under the address itself. An empty value is left out.
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer, hyper::Error> {
        self.send(method, path, headers, String::new()).await
    }

    /// Asks with a body.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Answer, hyper::Error> {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == HOST.as_str()) {
            request = request.header(HOST, self.address.to_string());
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        let (head, body) = self.sender.send_request(request.body(body).unwrap()).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }
}

/// Asks once, over a connection of its own.
pub async fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    Connection::open(address).await.ask(method, path, headers).await.unwrap()
}
