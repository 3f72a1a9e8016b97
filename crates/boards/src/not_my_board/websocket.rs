//! A channel on a WebSocket, from either end: the hub's, which pings, or a client's, which leaves that to the hub and to
//! TCP. Every message is sent as one binary frame; text is understood too.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message as Frame};
use tokio_util::sync::CancellationToken;

use super::channel::{Channel, Methods, Outgoing, Serving};

/// The largest message, in bytes.
const LARGEST: usize = 16 << 20;
/// How often a client is pinged, and how long after that it may stay silent.
const PING_EVERY: Duration = Duration::from_secs(20);
const LOST_AFTER: Duration = Duration::from_secs(40);
/// How long the other side may take to read one message, and the goodbye.
const WRITE: Duration = Duration::from_secs(20);
const GOODBYE: Duration = Duration::from_secs(2);

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It pings, and takes a silent client for lost.
    Hub,
    /// It answers pings; whether the hub is still there, TCP tells it.
    Client,
}

impl End {
    /// What is said when this end stops.
    fn goodbye(self) -> (CloseCode, &'static str) {
        match self {
            Self::Hub => (CloseCode::Restart, "service restart"),
            Self::Client => (CloseCode::Away, ""),
        }
    }
}

/// What a WebSocket is opened with, at both ends.
pub(crate) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(64 << 20)
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST))
}

/// Serves a connection until it ends; by then every request has ended too.
pub(crate) async fn serve<S>(
    end: End,
    socket: WebSocketStream<S>,
    (channel, mut queue): (Channel, Outgoing),
    methods: Arc<dyn Methods>,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sink, mut stream) = socket.split();
    let heard = Mutex::new(Instant::now());
    let serving = Serving::new(channel.clone(), methods);

    let read = async {
        while let Some(frame) = stream.next().await {
            *heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            match frame {
                Ok(Frame::Text(text)) => serving.hear(text.as_bytes()).await,
                Ok(Frame::Binary(bytes)) => serving.hear(&bytes).await,
                Ok(Frame::Close(_)) => return None,
                Ok(_) => {}
                Err(SocketError::Capacity(CapacityError::MessageTooLong { .. })) => {
                    return Some((CloseCode::Size, "message too big"));
                }
                Err(_) => return None,
            }
        }
        None
    };
    let write = async {
        let mut beat = tokio::time::interval(PING_EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        beat.reset();
        let mut pings: u32 = 0;
        loop {
            let frame = tokio::select! {
                message = queue.recv() => match message {
                    Some(message) => Frame::Binary(Bytes::from(message)),
                    None => return None,
                },
                _ = beat.tick(), if end == End::Hub => {
                    pings = pings.wrapping_add(1);
                    Frame::Ping(Bytes::copy_from_slice(&pings.to_be_bytes()))
                }
            };
            match tokio::time::timeout(WRITE, sink.send(frame)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return None,
            }
        }
    };
    let watch = async {
        if end == End::Client {
            return std::future::pending().await;
        }
        loop {
            let deadline = *heard.lock().unwrap_or_else(PoisonError::into_inner) + LOST_AFTER;
            if Instant::now() >= deadline {
                return None;
            }
            tokio::time::sleep_until(deadline).await;
        }
    };
    let stopped = async {
        tokio::select! {
            () = stop.cancelled() => Some(end.goodbye()),
            () = channel.closing() => Some((CloseCode::Normal, "")),
        }
    };
    let goodbye = tokio::select! {
        goodbye = read => goodbye,
        goodbye = write => goodbye,
        goodbye = watch => goodbye,
        goodbye = stopped => goodbye,
    };
    channel.end();
    drop(queue);
    serving.end().await;
    if let Some((code, reason)) = goodbye {
        let close = CloseFrame { code, reason: reason.into() };
        let say = async {
            if sink.send(Frame::Close(Some(close))).await.is_ok()
                && let Ok(socket) = sink.reunite(stream)
            {
                drain(socket.into_inner()).await;
            }
        };
        // Best effort: whoever does not read it learns it from the connection's end.
        let _ = tokio::time::timeout(GOODBYE, say).await;
    }
}

/// Reads on until the other side goes: to end a connection with bytes unread is a reset, which overtakes the goodbye.
async fn drain<S: AsyncRead + Unpin>(mut io: S) {
    let mut scrap = vec![0; 16 << 10];
    while io.read(&mut scrap).await.is_ok_and(|read| read > 0) {}
}
