//! Connected sockets that are handed to the kernel: what user space says on them first, and how a stream that is not a
//! socket, such as an encrypted one, becomes one.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

use nix::sys::socket::{self, AddressFamily, MsgFlags, SockaddrLike as _, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::net::{TcpStream, UnixStream};

/// A connected stream socket that tokio waits for.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Takes a socket over. A silent peer over TCP is given up `idle` and then three times five seconds later.
    pub(super) fn new(socket: OwnedFd, idle: Duration) -> io::Result<Self> {
        let address: socket::SockaddrStorage = socket::getsockname(socket.as_raw_fd())?;
        if address.family() == Some(AddressFamily::Unix) {
            let socket = std::os::unix::net::UnixStream::from(socket);
            socket.set_nonblocking(true)?;
            return Ok(Self::Unix(UnixStream::from_std(socket)?));
        }
        let socket = std::net::TcpStream::from(socket);
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        socket::setsockopt(&socket, sockopt::KeepAlive, &true)?;
        let idle = u32::try_from(idle.as_secs()).unwrap_or(u32::MAX);
        socket::setsockopt(&socket, sockopt::TcpKeepIdle, &idle)?;
        socket::setsockopt(&socket, sockopt::TcpKeepInterval, &5)?;
        socket::setsockopt(&socket, sockopt::TcpKeepCount, &3)?;
        Ok(Self::Tcp(TcpStream::from_std(socket)?))
    }

    /// Another handle to it, so that its number stays good as long as the kernel has not got it.
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(socket) => socket.as_fd().try_clone_to_owned(),
            Self::Unix(socket) => socket.as_fd().try_clone_to_owned(),
        }
    }

    /// Reads a message of known length and not a byte more: what follows is for the kernel. `None` if the peer ended the
    /// connection before the first byte.
    pub(super) async fn read<const LENGTH: usize>(&self) -> io::Result<Option<[u8; LENGTH]>> {
        let mut message = [0; LENGTH];
        let mut filled = 0;
        while filled < LENGTH {
            let received = self.receive(&mut message[filled..], MsgFlags::empty()).await?;
            match received {
                0 if filled == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        Ok(Some(message))
    }

    /// Waits until the peer sends something (`true`) or ends the connection.
    pub(super) async fn heard(&self) -> io::Result<bool> {
        Ok(self.receive(&mut [0], MsgFlags::MSG_PEEK).await? > 0)
    }

    async fn receive(&self, buffer: &mut [u8], flags: MsgFlags) -> io::Result<usize> {
        self.io(Interest::READABLE, |socket| Ok(socket::recv(socket, buffer, flags)?)).await
    }

    /// Sends all of it.
    pub(super) async fn write(&self, mut message: &[u8]) -> io::Result<()> {
        while !message.is_empty() {
            let send = |socket| Ok(socket::send(socket, message, MsgFlags::MSG_NOSIGNAL)?);
            let sent = self.io(Interest::WRITABLE, send).await?;
            message = &message[sent..];
        }
        Ok(())
    }

    async fn io(
        &self,
        interest: Interest,
        mut call: impl FnMut(RawFd) -> io::Result<usize>,
    ) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.async_io(interest, || call(socket.as_raw_fd())).await,
            Self::Unix(socket) => socket.async_io(interest, || call(socket.as_raw_fd())).await,
        }
    }
}

/// A socket that the kernel can be given for a stream that is none: a Unix socket whose other end a task copies to and
/// from the stream. The task ends when either side does, and closes the other.
pub fn kernel_socket<S>(stream: S) -> io::Result<OwnedFd>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (ours, kernels) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut ours = UnixStream::from_std(ours)?;
    tokio::spawn(async move {
        let (mut from_kernel, mut to_kernel) = ours.split();
        let (mut from_peer, mut to_peer) = tokio::io::split(stream);
        // USB/IP has no half-closed connections: when one side is done, so is the other.
        let ended = tokio::select! {
            ended = tokio::io::copy(&mut from_kernel, &mut to_peer) => ended,
            ended = tokio::io::copy(&mut from_peer, &mut to_kernel) => ended,
        };
        if let Err(why) = ended {
            tracing::info!("a USB connection broke: {why}");
        }
        // Whoever is gone already cannot be told.
        let _ = to_peer.shutdown().await;
    });
    Ok(kernels.into())
}
