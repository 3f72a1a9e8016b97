//! A connection's packets on a WebSocket, from its first frame or from the end of an upgrade to its last.

mod frame;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::Notify;

use self::frame::{Error, Frame, Kind};
use super::application::Gone;
use super::connection::{Batch, Connection};
use super::engine::{FromClient, Text};

/// Why a WebSocket is closed (RFC 6455, section 7.4.1).
const NORMAL: u16 = 1000;
const AWAY: u16 = 1001;
const POLICY: u16 = 1008;
const TOO_LONG: u16 = 1009;

/// Serves a connection that begins on a WebSocket.
pub(super) async fn serve<S>(connection: Arc<Connection>, io: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let opening = connection.opening();
    let (reader, mut writer) = tokio::io::split(io);
    if write(&connection, &mut writer, &[opening]).await.is_err() {
        return connection.close(Gone::Lost);
    }
    carry(&connection, reader, writer).await;
}

/// Serves the WebSocket of an upgrade: first it proves itself, then the connection moves to it.
pub(super) async fn upgrade<S>(connection: Arc<Connection>, io: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut reader, mut writer) = tokio::io::split(io);
    let proved = async {
        expect(&connection, &mut reader, FromClient::Probe).await?;
        write(&connection, &mut writer, &[Text::PROBE_ANSWER]).await.ok()?;
        connection.upgrade_goes(true);
        expect(&connection, &mut reader, FromClient::Upgrade).await
    };
    let proved = tokio::select! {
        proved = tokio::time::timeout(connection.settings().upgrade_within, proved) => proved.ok().flatten(),
        () = too_late(&connection) => None,
    };
    if proved.is_some() {
        connection.upgraded();
        return carry(&connection, reader, writer).await;
    }
    // The client goes on with polling.
    connection.upgrade_goes(false);
    let goodbye = async {
        let _ = say_goodbye(&mut writer, NORMAL).await;
    };
    let _ = tokio::time::timeout(connection.settings().goodbye, goodbye).await;
}

/// A connection that ends while its client moves says its last words where the client is next.
async fn too_late(connection: &Connection) {
    connection.closing.cancelled().await;
    let said = connection.closed.cancelled();
    // Whether in time or not, it is over.
    let _ = tokio::time::timeout(connection.settings().goodbye, said).await;
}

/// Waits for one packet; nothing else may come.
async fn expect<S>(connection: &Connection, reader: &mut ReadHalf<S>, wanted: FromClient<'_>) -> Option<()>
where
    S: AsyncRead + AsyncWrite,
{
    let longest = connection.settings().longest_first_message;
    let frame = frame::read(reader, || longest, || connection.sign_of_life()).await.ok()?;
    let text = std::str::from_utf8(&frame.payload).ok()?;
    let fits = frame.kind == Kind::Text && frame.last && FromClient::parse(text) == Ok(wanted);
    fits.then_some(())
}

/// Carries packets until one side ends.
async fn carry<S>(connection: &Arc<Connection>, mut reader: ReadHalf<S>, mut writer: WriteHalf<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let pongs = Pongs::default();
    // Whether the client may still be told something.
    let code = tokio::select! {
        ended = read_on(connection, &mut reader, &pongs) => {
            connection.close(ended.map_or(Gone::Lost, |(why, _)| why));
            ended.map(|(_, code)| code)
        }
        ended = write_on(connection, &mut writer, &pongs) => {
            connection.close(Gone::Lost);
            ended
        }
    };
    if let Some(code) = code {
        let goodbye = async {
            if say_goodbye(&mut writer, code).await.is_ok() {
                // To end a connection with bytes unread is a reset, which overtakes the goodbye.
                let mut scrap = vec![0; 4 << 10];
                while reader.read(&mut scrap).await.is_ok_and(|read| read > 0) {}
            }
        };
        // Best effort: whoever does not read it learns it from the connection's end.
        let _ = tokio::time::timeout(connection.settings().goodbye, goodbye).await;
    }
    connection.closed.cancel();
}

async fn say_goodbye(writer: &mut (impl AsyncWrite + Unpin), code: u16) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    frame::write(&mut bytes, Kind::Close, &code.to_be_bytes());
    writer.write_all(&bytes).await?;
    writer.flush().await
}

/// The last ping of the client that was not answered.
#[derive(Default)]
struct Pongs {
    owed: Mutex<Option<Vec<u8>>>,
    more: Notify,
}

impl Pongs {
    fn owe(&self, payload: Vec<u8>) {
        *self.owed.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
        self.more.notify_one();
    }

    async fn next(&self) -> Vec<u8> {
        loop {
            if let Some(payload) = self.owed.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return payload;
            }
            self.more.notified().await;
        }
    }
}

/// Reads until the client ends, or sends what it must not: then why, and what it is told.
async fn read_on<S>(
    connection: &Arc<Connection>,
    reader: &mut ReadHalf<S>,
    pongs: &Pongs,
) -> Option<(Gone, u16)>
where
    S: AsyncRead + AsyncWrite,
{
    let mut message = Vec::new();
    let mut begun = false;
    loop {
        let room = || connection.longest().saturating_sub(message.len());
        let Frame { kind, last, payload } =
            match frame::read(reader, room, || connection.sign_of_life()).await {
                Ok(frame) => frame,
                Err(Error::Broken(_)) => return None,
                Err(error) => {
                    connection.misbehaved(&error);
                    let code = if matches!(error, Error::TooLong) { TOO_LONG } else { POLICY };
                    return Some((Gone::Misbehaved, code));
                }
            };
        match kind {
            Kind::Ping => pongs.owe(payload),
            Kind::Pong => {}
            Kind::Close => return Some((Gone::Lost, NORMAL)),
            Kind::Binary => return Some(bad(connection, "a message is binary")),
            Kind::Text | Kind::Continuation if begun != (kind == Kind::Continuation) => {
                return Some(bad(connection, "a message begins within another, or goes on without one"));
            }
            Kind::Text | Kind::Continuation => {
                if message.is_empty() {
                    message = payload;
                } else {
                    message.extend_from_slice(&payload);
                }
                begun = !last;
                if last {
                    let whole = std::mem::take(&mut message);
                    let Ok(text) = std::str::from_utf8(&whole) else {
                        return Some(bad(connection, "a message is no text"));
                    };
                    if let Err(error) = connection.receive(text).await {
                        return Some(bad(connection, error));
                    }
                }
            }
        }
    }
}

fn bad(connection: &Connection, what: impl std::fmt::Display) -> (Gone, u16) {
    connection.misbehaved(&what);
    (Gone::Misbehaved, POLICY)
}

/// Writes until the last words are written, which come before the goodbye; `None` when the client does not read.
async fn write_on<S>(connection: &Connection, writer: &mut WriteHalf<S>, pongs: &Pongs) -> Option<u16>
where
    S: AsyncRead + AsyncWrite,
{
    loop {
        tokio::select! {
            biased;
            payload = pongs.next() => {
                let mut bytes = Vec::new();
                frame::write(&mut bytes, Kind::Pong, &payload);
                timely(connection, async {
                    writer.write_all(&bytes).await?;
                    writer.flush().await
                })
                .await
                .ok()?;
            }
            Batch { packets, last } = connection.next_batch() => {
                write(connection, writer, &packets).await.ok()?;
                if let Some(why) = last {
                    return Some(match why {
                        Gone::Misbehaved | Gone::Slow => POLICY,
                        Gone::Stopping => AWAY,
                        _ => NORMAL,
                    });
                }
            }
        }
    }
}

/// Writes packets, small ones together.
async fn write(
    connection: &Connection,
    writer: &mut (impl AsyncWrite + Unpin),
    packets: &[Text],
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    for packet in packets {
        frame::write(&mut bytes, Kind::Text, packet.as_bytes());
    }
    let writing = async {
        writer.write_all(&bytes).await?;
        writer.flush().await
    };
    timely(connection, writing).await
}

async fn timely(
    connection: &Connection,
    writing: impl Future<Output = std::io::Result<()>>,
) -> std::io::Result<()> {
    tokio::time::timeout(connection.settings().write_within, writing)
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests;
