//! The transport under a request, and how a handler gets it after an upgrade: as one concrete type, so that relays
//! need no dynamic dispatch.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use nave_link::pipe::Pipe;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::activity::Activity;
use super::gate::Permit;

/// One connection to the hub: TLS from outside, plain bytes on the hub's own socket. It counts against the limits
/// of connections, and a stopping hub waits for it, until it is dropped.
///
/// The end of a read without TLS's close notification is an error ([`io::ErrorKind::UnexpectedEof`]), so that a cut
/// is told from an end. Dropping it closes without such a notification; see also [`HubIo::abort`].
#[derive(Debug)]
pub struct HubIo {
    transport: Transport,
    activity: Option<Arc<Activity>>,
    _held: Held,
}

#[derive(Debug)]
enum Transport {
    Tls(Box<TlsStream<TcpStream>>),
    Local(UnixStream),
}

/// What a connection holds as long as it lives, upgraded or not.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) _permit: Permit,
    pub(super) _tracked: TaskTrackerToken,
}

impl HubIo {
    pub(super) fn tls(stream: TlsStream<TcpStream>, activity: Arc<Activity>, held: Held) -> Self {
        Self { transport: Transport::Tls(Box::new(stream)), activity: Some(activity), _held: held }
    }

    pub(super) fn local(stream: UnixStream, activity: Arc<Activity>, held: Held) -> Self {
        Self { transport: Transport::Local(stream), activity: Some(activity), _held: held }
    }

    /// Ends the connection at once, so that the peer sees a failure and not an end: by a TCP reset, without TLS's
    /// close notification. What was written and not yet sent is lost. On the hub's own socket it is just closed.
    pub fn abort(self) {
        self.reset_when_dropped();
    }

    fn reset_when_dropped(&self) {
        if let Transport::Tls(stream) = &self.transport
            && let Err(error) = stream.get_ref().0.set_zero_linger()
        {
            tracing::debug!(%error, "a connection is closed without a reset");
        }
    }
}

impl Pipe for HubIo {
    fn abort(&mut self) {
        self.reset_when_dropped();
    }
}

/// Takes the transport of a request that was upgraded, and what had been read from it beyond the request.
///
/// # Errors
///
/// Gives the argument back when another server than [`super::Server`] served the request.
pub fn upgraded(upgraded: Upgraded) -> Result<(HubIo, Bytes), Upgraded> {
    let parts = upgraded.downcast::<TokioIo<HubIo>>()?;
    let mut io = parts.io.into_inner();
    io.activity = None;
    Ok((io, parts.read_buf))
}

impl AsyncRead for HubIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = match &mut this.transport {
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Local(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if let Some(activity) = &this.activity
            && buf.filled().len() > before
        {
            activity.bytes_came();
        }
        polled
    }
}

impl AsyncWrite for HubIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().transport {
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Transport::Local(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().transport {
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Transport::Local(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Tls(stream) => stream.is_write_vectored(),
            Transport::Local(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Local(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Local(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
