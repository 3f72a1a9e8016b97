//! Joins two byte pipes: bytes, half-closes and resets pass in both directions, at the pace of the slower side.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

/// Bytes held per direction: what one read of a busy TLS connection yields, times four.
const BUFFER: usize = 64 << 10;

/// A byte pipe that can be torn down so that the other side knows that it did not end well.
pub trait Pipe: AsyncRead + AsyncWrite + Unpin + Send {
    /// Makes the coming drop a reset instead of an end.
    fn abort(&mut self);
}

impl Pipe for TcpStream {
    fn abort(&mut self) {
        // Best effort: on a socket that is already gone there is nothing left to reset.
        let _ = self.set_zero_linger();
    }
}

impl Pipe for UnixStream {
    /// Such a socket has no reset: the other side sees an end.
    fn abort(&mut self) {}
}

impl Pipe for Box<dyn Pipe> {
    fn abort(&mut self) {
        (**self).abort();
    }
}

impl<A: Pipe, B: Pipe> Pipe for Either<A, B> {
    fn abort(&mut self) {
        match self {
            Self::Left(pipe) => pipe.abort(),
            Self::Right(pipe) => pipe.abort(),
        }
    }
}

/// Dropped without `close_notify`, a TLS connection ends as "truncated" on the other side, which is a reset.
impl<T: Pipe> Pipe for TlsStream<T> {
    fn abort(&mut self) {
        match self {
            Self::Client(stream) => stream.get_mut().0.abort(),
            Self::Server(stream) => stream.get_mut().0.abort(),
        }
    }
}

impl<T: Pipe> Pipe for tokio_rustls::client::TlsStream<T> {
    fn abort(&mut self) {
        self.get_mut().0.abort();
    }
}

impl<T: Pipe> Pipe for tokio_rustls::server::TlsStream<T> {
    fn abort(&mut self) {
        self.get_mut().0.abort();
    }
}

/// A pipe of which some bytes were already read; they come first.
#[derive(Debug)]
pub struct Prefixed<T> {
    prefix: Bytes,
    pipe: T,
}

impl<T> Prefixed<T> {
    /// Puts bytes back in front of the pipe that they were read from.
    pub fn new(prefix: Bytes, pipe: T) -> Self {
        Self { prefix, pipe }
    }
}

impl<T: Pipe> Pipe for Prefixed<T> {
    fn abort(&mut self) {
        self.pipe.abort();
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Prefixed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.pipe).poll_read(context, buffer);
        }
        let taken = self.prefix.len().min(buffer.remaining());
        buffer.put_slice(&self.prefix.split_to(taken));
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Prefixed<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(context)
    }
}

#[cfg(test)]
impl Pipe for tokio::io::DuplexStream {
    fn abort(&mut self) {}
}

/// Bytes that have passed, while they pass.
#[derive(Debug, Default)]
pub struct Counts {
    /// From the first pipe to the second.
    pub forth: AtomicU64,
    /// From the second pipe to the first.
    pub back: AtomicU64,
}

/// How two joined pipes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both directions were closed.
    Finished,
    /// One side broke; the other was reset.
    Reset,
    /// `cut` was cancelled; both sides were reset.
    Cut,
}

/// Joins two pipes until both directions end, one breaks, or `cut` is cancelled.
pub async fn join<A: Pipe, B: Pipe>(a: A, mut b: B, counts: Arc<Counts>, cut: &CancellationToken) -> End {
    let mut a = Counted { pipe: a, counts };
    let copy = tokio::io::copy_bidirectional_with_sizes(&mut a, &mut b, BUFFER, BUFFER);
    let end = tokio::select! {
        result = copy => if result.is_ok() { End::Finished } else { End::Reset },
        () = cut.cancelled() => End::Cut,
    };
    if end != End::Finished {
        a.pipe.abort();
        b.abort();
    }
    end
}

/// Counts what passes through the first pipe, in both directions.
struct Counted<T> {
    pipe: T,
    counts: Arc<Counts>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.pipe).poll_read(context, buffer);
        self.counts.forth.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        poll
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.pipe).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = poll {
            self.counts.back.fetch_add(written as u64, Ordering::Relaxed);
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A TCP connection to ourselves: (dialled, accepted).
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (dialled, accepted) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (dialled.unwrap(), accepted.unwrap().0)
    }

    async fn joined() -> (TcpStream, TcpStream, Arc<Counts>, CancellationToken, tokio::task::JoinHandle<End>)
    {
        let ((left, a), (right, b)) = (pair().await, pair().await);
        let (counts, cut) = (Arc::new(Counts::default()), CancellationToken::new());
        let (counting, cutting) = (Arc::clone(&counts), cut.clone());
        let join = tokio::spawn(async move { join(a, b, counting, &cutting).await });
        (left, right, counts, cut, join)
    }

    #[tokio::test]
    async fn a_half_close_leaves_the_other_half_open() {
        let (mut left, mut right, counts, _cut, join) = joined().await;
        left.write_all(b"question").await.unwrap();
        left.shutdown().await.unwrap();
        let mut heard = Vec::new();
        right.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"question");
        right.write_all(b"the answer").await.unwrap();
        right.shutdown().await.unwrap();
        heard.clear();
        left.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"the answer");
        assert_eq!(join.await.unwrap(), End::Finished);
        assert_eq!((counts.forth.load(Ordering::Relaxed), counts.back.load(Ordering::Relaxed)), (8, 10));
    }

    #[tokio::test]
    async fn a_reset_arrives_as_a_reset() {
        let (mut left, mut right, _counts, _cut, join) = joined().await;
        left.write_all(b"x").await.unwrap();
        assert_eq!(right.read_u8().await.unwrap(), b'x');
        left.abort();
        drop(left);
        assert_eq!(right.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(join.await.unwrap(), End::Reset);
    }

    #[tokio::test]
    async fn a_cut_resets_both_sides() {
        let (mut left, mut right, _counts, cut, join) = joined().await;
        cut.cancel();
        assert_eq!(left.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(right.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(join.await.unwrap(), End::Cut);
    }

    #[tokio::test]
    async fn a_reader_that_stops_stops_the_writer() {
        let (mut left, right, counts, cut, join) = joined().await;
        let chunk = vec![0; 64 << 10];
        let mut stalled = 0_u64;
        while let Ok(written) =
            tokio::time::timeout(std::time::Duration::from_millis(300), left.write(&chunk)).await
        {
            stalled += written.unwrap() as u64;
            assert!(stalled < 64 << 20, "nothing held the writer back");
        }
        assert!(counts.forth.load(Ordering::Relaxed) <= stalled);
        drop(right);
        cut.cancel();
        join.await.unwrap();
    }
}
