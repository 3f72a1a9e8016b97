//! HTTP on one connection: hyper's state machine under the hub's limits, and the way from it into the router.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tower::ServiceExt as _;
use tracing::Instrument as _;

use super::activity::{Activity, InFlight};
use super::connection::{Connection, LocalPeer};
use super::io::HubIo;
use super::limits::Limits;
use super::shutdown::Shutdown;
use crate::hub::http::{failure, name_request};
use crate::id::RequestId;

/// Carries a request's [`RequestId`] back to whoever asked, to be named when something is wrong.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("nave-request-id");

const HTTP2_WINDOW: u32 = 1024 * 1024;
const HTTP2_SEND_BUFFER: usize = 256 * 1024;
const HTTP2_RESETS: usize = 32;
const SHORTEST_PING: Duration = Duration::from_secs(1);
/// hyper's own minimum is 8 KiB; a larger buffer only helps large bodies.
const READ_BUFFER: usize = 64 * 1024;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    Remote(Connection),
    Local(LocalPeer),
}

/// The version of HTTP, which over TLS is agreed in the handshake (RFC 9113 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// Serves one connection to its end or to its upgrade.
pub(super) async fn serve(
    io: HubIo,
    version: Version,
    front: Front,
    limits: &Limits,
    shutdown: &Shutdown,
) -> hyper::Result<()> {
    let terms = Terms { activity: Arc::clone(&front.activity), limits, http2: version == Version::Http2 };
    let io = TokioIo::new(io);
    match version {
        Version::Http1 => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(None)
                .max_header_size(limits.header_size)
                .max_buf_size(limits.header_size.max(READ_BUFFER))
                .serve_connection(io, front)
                .with_upgrades();
            watch(connection, http1::UpgradeableConnection::graceful_shutdown, &terms, shutdown).await
        }
        Version::Http2 => {
            let ping = (limits.idle / 2).max(SHORTEST_PING);
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(limits.streams)
                .max_header_list_size(u32::try_from(limits.header_size).unwrap_or(u32::MAX))
                .max_pending_accept_reset_streams(HTTP2_RESETS)
                .max_local_error_reset_streams(HTTP2_RESETS)
                .initial_stream_window_size(HTTP2_WINDOW)
                .initial_connection_window_size(HTTP2_WINDOW)
                .max_send_buf_size(HTTP2_SEND_BUFFER)
                .keep_alive_interval(ping)
                .keep_alive_timeout(ping)
                .serve_connection(io, front);
            watch(connection, http2::Connection::graceful_shutdown, &terms, shutdown).await
        }
    }
}

/// What a connection is held to.
struct Terms<'a> {
    activity: Arc<Activity>,
    limits: &'a Limits,
    http2: bool,
}

/// Drives a connection, asks it to finish when its time is over or the hub stops, and drops it if it does not.
async fn watch<C>(connection: C, finish: fn(Pin<&mut C>), terms: &Terms<'_>, shutdown: &Shutdown) -> C::Output
where
    C: Future<Output = hyper::Result<()>>,
{
    let Terms { activity, limits, http2 } = terms;
    let mut connection = pin!(connection);
    let mut stopping = pin!(shutdown.soft().cancelled());
    let mut stop: Option<Instant> = None;
    let mut asked: Option<Instant> = None;
    let mut alarm = pin!(sleep_until(Instant::now() + limits.header));
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(end) = connection.as_mut().poll(cx) {
                return Poll::Ready(end);
            }
            if stop.is_none() && stopping.as_mut().poll(cx).is_ready() {
                stop = Some(Instant::now());
            }
            // Who connected just before the stop may still send its first request.
            if stop.is_some() && asked.is_none() && activity.was_used() {
                finish(connection.as_mut());
                asked = Some(Instant::now());
                continue;
            }
            let Some(deadline) = activity.deadline(limits, *http2) else { return Poll::Pending };
            let deadline = match asked.or(stop) {
                Some(since) => since.max(activity.since()) + limits.drain,
                None => deadline,
            };
            if alarm.deadline() != deadline {
                alarm.as_mut().reset(deadline);
            }
            ready!(alarm.as_mut().poll(cx));
            if asked.is_some() {
                return Poll::Ready(Ok(()));
            }
            finish(connection.as_mut());
            asked = Some(Instant::now());
        }
    })
    .await
}

/// One connection's way into the router.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) router: Router,
    pub(super) peer: Peer,
    pub(super) activity: Arc<Activity>,
    /// How long a request's body may stall; `None` over HTTP/2.
    pub(super) body_stall: Option<Duration>,
}

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_flight = self.activity.request();
        let id = RequestId::new();
        let mut request = match self.body_stall {
            Some(limit) => request.map(|body| Body::new(Stalling { body, limit, alarm: None })),
            None => request.map(Body::new),
        };
        request.extensions_mut().insert(id);
        match &self.peer {
            Peer::Remote(connection) => request.extensions_mut().insert(connection.clone()).map(drop),
            Peer::Local(peer) => request.extensions_mut().insert(*peer).map(drop),
        };
        // Queries may hold keys (NAISYS sends one there), so they stay out of the log.
        let (method, path) = (request.method(), request.uri().path());
        let span = tracing::info_span!("request", %id, %method, path);
        let answer = AssertUnwindSafe(self.router.clone().oneshot(request)).catch_unwind();
        let answer = async move {
            let response = match answer.await {
                Ok(Ok(response)) => response,
                Err(_panic) => {
                    tracing::error!("a request's handler panicked; that is a defect, please report it");
                    let words = "the hub failed; its log has the details";
                    failure(StatusCode::INTERNAL_SERVER_ERROR, "internal", words)
                }
            };
            let mut response = name_request(response, id);
            let id = HeaderValue::from_str(&id.to_string()).expect("a UUID is plain text");
            response.headers_mut().insert(REQUEST_ID, id);
            Ok(response.map(|body| Answer { body, _in_flight: in_flight }))
        };
        Box::pin(answer.instrument(span))
    }
}

/// An answer's body; the request is in flight until it is gone.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    _in_flight: InFlight,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request's body that fails when nothing of it comes for a while.
struct Stalling {
    body: Incoming,
    limit: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
}

/// The body of a request stopped coming.
#[derive(Debug, thiserror::Error)]
#[error("nothing more of the request's body came for {} s", .0.as_secs())]
struct Stalled(Duration);

impl HttpBody for Stalling {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.alarm = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let limit = self.limit;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Some(Err(Stalled(limit).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
