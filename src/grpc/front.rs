//! The front door: every call passes it before its handler. It gives the call an id, says who may come in,
//! reads the deadline, turns callers away while the server drains, and writes one line to the log.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body, transport::server::TcpConnectInfo};
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::{
    caller::Caller,
    calls::{CallersDeadline, Deadline},
    status,
};
use crate::random::{self, Random};

/// The header that a caller may bring an id of its own in, and that the answer repeats.
const REQUEST_ID: &str = "x-request-id";
const GRPC_TIMEOUT: &str = "grpc-timeout";
/// The one service that answers everybody: a kubelet brings no credential.
const HEALTH: &str = "/grpc.health.v1.Health/";
/// Like health, asked too often to be worth a line each.
const REFLECTION: &str = "/grpc.reflection.";

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that is being answered; empty outside one.
pub fn request_id() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Goes on for the request that is being answered, also when its answer has begun.
pub fn within_request<F: Future>(future: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(request_id(), future)
}

/// Who may call without credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// Callers on this machine.
    Loopback,
    /// Everybody: something else has authenticated them.
    Network,
}

/// Puts the front door before every service.
#[derive(Clone)]
pub struct FrontDoor {
    anonymous: Anonymous,
    call_timeout: Duration,
    draining: CancellationToken,
    random: Arc<dyn Random>,
}

/// A service behind the front door.
#[derive(Clone)]
pub struct Guarded<S> {
    inner: S,
    door: FrontDoor,
}

impl FrontDoor {
    /// A door that lets `anonymous` in, each call for at most `call_timeout`, until `draining` is cancelled.
    pub fn new(
        anonymous: Anonymous,
        call_timeout: Duration,
        draining: CancellationToken,
        random: Arc<dyn Random>,
    ) -> Self {
        Self { anonymous, call_timeout, draining, random }
    }

    /// Whether a call may go on, and until when, which its handler is told, too.
    fn admit(&self, request: &mut Request<Body>) -> Result<Instant, Status> {
        if self.anonymous == Anonymous::Loopback
            && !request.uri().path().starts_with(HEALTH)
            && !is_loopback(request)
        {
            return Err(status::caller_unauthenticated());
        }
        if self.draining.is_cancelled() && !request.uri().path().starts_with(HEALTH) {
            return Err(status::draining());
        }
        let (start, mut timeout) = (Instant::now(), self.call_timeout);
        // Taken out of the headers: the deadline is kept here, where it has a reason and is never ignored.
        if let Some(value) = request.headers_mut().remove(GRPC_TIMEOUT) {
            let callers = parse_timeout(&value).ok_or_else(|| {
                let rule = "must be 1 to 8 digits and a unit of H, M, S, m, u and n";
                status::invalid_request(vec![(GRPC_TIMEOUT.to_owned(), rule.to_owned())])
            })?;
            timeout = timeout.min(callers);
            request.extensions_mut().insert(CallersDeadline(start.checked_add(callers)));
        }
        request.extensions_mut().insert(Caller::anonymous());
        let deadline = start + timeout;
        request.extensions_mut().insert(Deadline(deadline));
        Ok(deadline)
    }
}

impl<S> Layer<S> for FrontDoor {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, door: self.clone() }
    }
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Send,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let start = Instant::now();
        let id =
            callers_id(request.headers()).unwrap_or_else(|| random::uuid_v4(&*self.door.random).to_string());
        let method = request.uri().path().to_owned();
        let span = tracing::info_span!("request", id, method);
        let answer: Self::Future = match self.door.admit(&mut request) {
            Ok(deadline) => {
                let answer = self.inner.call(request);
                Box::pin(async move {
                    // Until the answer begins: what comes before includes reading the request, which a peer may
                    // never send to its end; what streams after may stream on.
                    let answer = timeout_at(deadline, answer).await;
                    answer.unwrap_or_else(|_| Ok(status::deadline_exceeded().into_http()))
                })
            }
            Err(refusal) => Box::pin(async { Ok(refusal.into_http()) }),
        };
        let scoped = CURRENT.scope(id.clone(), async move {
            let mut response = answer.await?;
            let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
            let milliseconds = (start.elapsed().as_secs_f64() * 1e6).round() / 1e3;
            if method.starts_with(HEALTH) || method.starts_with(REFLECTION) {
                tracing::debug!(?code, milliseconds, "answered");
            } else {
                tracing::info!(?code, milliseconds, "answered");
            }
            if let Ok(id) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            Ok(response)
        });
        Box::pin(scoped.instrument(span))
    }
}

/// The caller's own id, if it is a short and harmless one.
fn callers_id(headers: &HeaderMap) -> Option<String> {
    let harmless = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    headers.get(REQUEST_ID)?.to_str().ok().filter(harmless).map(ToOwned::to_owned)
}

fn is_loopback(request: &Request<Body>) -> bool {
    let address = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    address.is_some_and(|address| address.ip().to_canonical().is_loopback())
}

/// The gRPC wire format: 1 to 8 digits and a unit.
fn parse_timeout(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_read_in_every_unit_and_refused_when_malformed() {
        let parse = |text: &str| parse_timeout(&HeaderValue::from_str(text).unwrap());
        assert_eq!(parse("1H"), Some(Duration::from_hours(1)));
        assert_eq!(parse("2M"), Some(Duration::from_mins(2)));
        assert_eq!(parse("3S"), Some(Duration::from_secs(3)));
        assert_eq!(parse("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(parse("5u"), Some(Duration::from_micros(5)));
        assert_eq!(parse("0n"), Some(Duration::ZERO));
        for malformed in ["", "S", "1", "1s", "123456789S", "-1S", "+1S", "1.5S", " 1S", "1 S", "1SS"] {
            assert_eq!(parse(malformed), None, "{malformed:?}");
        }
    }

    fn door(anonymous: Anonymous) -> FrontDoor {
        let random = Arc::new(random::SystemRandom);
        FrontDoor::new(anonymous, Duration::from_secs(30), CancellationToken::new(), random)
    }

    fn code(door: &FrontDoor, peer: Option<&str>, path: &str) -> Code {
        let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let remote_addr = peer.map(|peer| peer.parse().unwrap());
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr });
        door.admit(&mut request).map_or_else(|status| status.code(), |_| Code::Ok)
    }

    #[test]
    fn loopback_is_known_in_every_form_and_nothing_else_is_taken_for_it() {
        let door = door(Anonymous::Loopback);
        for peer in ["127.0.0.1:1", "127.255.255.254:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(code(&door, Some(peer), "/vestibule.v1.UserService/GetUser"), Code::Ok, "{peer}");
        }
        for peer in
            ["192.0.2.1:1", "[::ffff:192.0.2.1]:1", "[::]:1", "0.0.0.0:1", "[fe80::1]:1", "[::127.0.0.1]:1"]
        {
            assert_eq!(
                code(&door, Some(peer), "/vestibule.v1.UserService/GetUser"),
                Code::Unauthenticated,
                "{peer}"
            );
            assert_eq!(code(&door, Some(peer), "/grpc.health.v1.Health/Check"), Code::Ok, "{peer}");
            assert_eq!(
                code(&door, Some(peer), "/grpc.health.v1.HealthX/Check"),
                Code::Unauthenticated,
                "{peer}"
            );
        }
        assert_eq!(code(&door, None, "/vestibule.v1.UserService/GetUser"), Code::Unauthenticated);
        assert_eq!(
            code(&self::door(Anonymous::Network), None, "/vestibule.v1.UserService/GetUser"),
            Code::Ok
        );
    }

    #[test]
    fn a_call_gets_the_shorter_of_its_callers_time_and_ours() {
        for (callers, seconds) in [(None, 30), (Some("20S"), 20), (Some("31S"), 30), (Some("99999999H"), 30)]
        {
            let door = door(Anonymous::Network);
            let mut request = Request::builder().uri("/vestibule.v1.UserService/GetUser");
            if let Some(callers) = callers {
                request = request.header(GRPC_TIMEOUT, callers);
            }
            let mut request = request.body(Body::empty()).unwrap();
            let before = Instant::now();
            let deadline = door.admit(&mut request).unwrap();
            let seconds = Duration::from_secs(seconds);
            assert!(deadline >= before + seconds && deadline <= Instant::now() + seconds, "{callers:?}");
            assert_eq!(request.extensions().get::<Deadline>().unwrap().0, deadline);
        }
    }

    #[test]
    fn a_server_that_drains_answers_nothing_but_how_it_is() {
        let door = door(Anonymous::Loopback);
        door.draining.cancel();
        let peer = Some("127.0.0.1:1");
        assert_eq!(code(&door, peer, "/vestibule.v1.UserService/GetUser"), Code::Unavailable);
        assert_eq!(code(&door, peer, "/grpc.health.v1.Health/Check"), Code::Ok);
    }

    #[test]
    fn a_request_id_is_the_callers_only_if_it_is_harmless() {
        let id = |text: &str| {
            callers_id(&HeaderMap::from_iter([(
                http::HeaderName::from_static(REQUEST_ID),
                HeaderValue::from_str(text).unwrap(),
            )]))
        };
        assert_eq!(id("abc-1.2_3").as_deref(), Some("abc-1.2_3"));
        for other in ["", "a b", "a\"b", &"a".repeat(65)] {
            assert_eq!(id(other), None, "{other:?}");
        }
    }
}
