//! Requests on one connection: HTTP/1.1 with upgrades, or HTTP/2 without extended CONNECT, so that browsers open
//! WebSockets over HTTP/1.1. Limits on time and size are set here.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::{Limits, Shutdown};

/// HTTP/2: streams that one connection may have open, and how it is checked for life.
const MAX_H2_STREAMS: u32 = 200;
const H2_PING: Duration = Duration::from_secs(20);

/// Serves a connection's requests until it ends, is idle for too long, or the hub stops.
pub(super) async fn requests<S, C>(
    io: S,
    connection: C,
    h2: bool,
    router: Router,
    limits: Limits,
    shutdown: Shutdown,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    C: Clone + Send + Sync + 'static,
{
    let activity = Arc::new(Activity::new());
    let seen = Arc::clone(&activity);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        let (router, busy) = (router.clone(), Busy::new(&seen));
        async move {
            let response: Response<Body> = match router.oneshot(request.map(Body::new)).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            drop(busy);
            Ok::<_, Infallible>(response)
        }
    });
    if h2 {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_H2_STREAMS)
            .max_header_list_size(u32::try_from(limits.header_size).unwrap_or(u32::MAX))
            .keep_alive_interval(H2_PING)
            .keep_alive_timeout(limits.header);
        let mut served = pin!(builder.serve_connection(TokioIo::new(io), service));
        drive(served.as_mut(), &activity, limits, &shutdown, |served| served.graceful_shutdown()).await
    } else {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header)
            .max_buf_size(limits.header_size.max(8192));
        let mut served = pin!(builder.serve_connection(TokioIo::new(io), service).with_upgrades());
        drive(served.as_mut(), &activity, limits, &shutdown, |served| served.graceful_shutdown()).await
    }
}

async fn drive<F>(
    mut served: std::pin::Pin<&mut F>,
    activity: &Activity,
    limits: Limits,
    shutdown: &Shutdown,
    stop: impl Fn(std::pin::Pin<&mut F>),
) -> hyper::Result<()>
where
    F: Future<Output = hyper::Result<()>>,
{
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = served.as_mut() => return ended,
            () = shutdown.hard.cancelled() => return Ok(()),
            () = shutdown.soft.cancelled(), if !stopping => {
                stopping = true;
                stop(served.as_mut());
            }
            () = activity.idle_for(limits.idle), if !stopping => {
                stopping = true;
                stop(served.as_mut());
            }
        }
    }
}

/// When a connection last had something to do.
struct Activity {
    begun: Instant,
    busy: AtomicUsize,
    last_millis: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self { begun: Instant::now(), busy: AtomicUsize::new(0), last_millis: AtomicU64::new(0) }
    }

    fn touch(&self) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_millis.store(millis, Ordering::Relaxed);
    }

    async fn idle_for(&self, limit: Duration) {
        loop {
            let last = self.begun + Duration::from_millis(self.last_millis.load(Ordering::Relaxed));
            let deadline =
                if self.busy.load(Ordering::Relaxed) > 0 { Instant::now() + limit } else { last + limit };
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

/// One request under way.
struct Busy(Arc<Activity>);

impl Busy {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.busy.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.touch();
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}
