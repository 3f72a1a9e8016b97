//! The bytes of a terminal between its stream and the browser's WebSocket. Binary messages are bytes of the service, in
//! both directions. Text from the hub says how the stream is; text from the page says how many bytes more it has shown, so
//! that a service that talks faster than a browser draws is held back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use nave_core::hub::context::Hub;
use nave_core::hub::op::Op;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;

use crate::hub::terminal::{self, Terminal};

/// The largest message from a page: what somebody pastes is cut into such pieces there.
const LARGEST: usize = 64 << 10;
/// How many bytes may be on the way to the page, or not shown yet.
const WINDOW: usize = 256 << 10;
/// The most bytes in one message to the page.
const PIECE: usize = 16 << 10;
/// How often the browser is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
/// After how much silence it is not.
const LOST_AFTER: Duration = Duration::from_mins(1);
/// How long the last words may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// Serves one page until its terminal ends, which it is told, and the audit log is.
pub(super) async fn serve<S>(op: &Op, hub: &Arc<Hub>, terminal: &Terminal, io: S, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let why = match terminal::open(op, hub, terminal).await {
        Ok(stream) => {
            let (known, cut) = (stream.known(), stream.cut());
            let open = json!({ "state": "open", "stream": stream.id() });
            // A page that is gone already is found out below.
            let _ = socket.send(Message::text(open.to_string())).await;
            let why = tokio::select! {
                why = carry(&mut socket, stream) => why,
                () = cut.cancelled() => terminal::why_cut(op, hub, terminal, &known),
                () = stop.cancelled() => "the hub is stopping".to_owned(),
            };
            if let Err(error) = terminal::closed(op, hub, terminal, &known, &why).await {
                tracing::warn!(place = terminal.place, %error, "the end of a terminal cannot be recorded");
            }
            why
        }
        Err(error) => error.message(),
    };
    let ended = json!({ "state": "ended", "why": why });
    let goodbye = async {
        socket.send(Message::text(ended.to_string())).await?;
        socket.close(None).await
    };
    // The page may be gone.
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
}

/// What is on the way to the page.
#[derive(Default)]
struct Unseen {
    bytes: AtomicUsize,
    fewer: Notify,
}

impl Unseen {
    fn seen(&self, bytes: usize) {
        // A page that says more than it was sent has shown everything.
        let _ = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| Some(before.saturating_sub(bytes)));
        self.fewer.notify_one();
    }

    async fn room(&self) {
        while self.bytes.load(Ordering::Relaxed) >= WINDOW {
            self.fewer.notified().await;
        }
    }
}

/// Carries bytes until one side ends; says which did.
async fn carry<S, T>(socket: &mut WebSocketStream<S>, stream: T) -> String
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (sink, source) = socket.split();
    let (read, write) = tokio::io::split(stream);
    let unseen = Unseen::default();
    tokio::select! {
        why = to_service(source, write, &unseen) => why,
        why = to_page(sink, read, &unseen) => why,
    }
    .to_owned()
}

async fn to_service(
    mut page: impl Stream<Item = Result<Message, Error>> + Unpin,
    mut service: impl AsyncWrite + Unpin,
    unseen: &Unseen,
) -> &'static str {
    loop {
        let Ok(message) = tokio::time::timeout(LOST_AFTER, page.next()).await else {
            return "the browser does not answer";
        };
        let bytes = match message {
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Text(seen))) => {
                unseen.seen(seen.parse().unwrap_or_default());
                continue;
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return "the page was left",
            Some(Ok(_)) => continue,
        };
        if service.write_all(&bytes).await.is_err() || service.flush().await.is_err() {
            return "the service ended the connection";
        }
    }
}

async fn to_page(
    mut page: impl Sink<Message, Error = Error> + Unpin,
    mut service: impl AsyncRead + Unpin,
    unseen: &Unseen,
) -> &'static str {
    let mut buffer = vec![0; PIECE];
    let mut ping = tokio::time::interval(PING);
    ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            read = async { unseen.room().await; service.read(&mut buffer).await } => match read {
                Ok(0) => return "the service ended the connection",
                Err(_) => return "the connection to the service broke",
                Ok(count) => {
                    unseen.bytes.fetch_add(count, Ordering::Relaxed);
                    Message::binary(buffer[..count].to_vec())
                }
            },
            _ = ping.tick() => Message::Ping(bytes::Bytes::new()),
        };
        if page.send(message).await.is_err() {
            return "the page was left";
        }
    }
}
