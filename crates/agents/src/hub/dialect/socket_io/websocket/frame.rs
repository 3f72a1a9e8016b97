//! Frames of WebSocket (RFC 6455, section 5), as a server reads and writes them. Unlike tungstenite's, they keep no buffer for
//! a connection that is idle, and take another limit once the client is known.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How much memory the announced length of a frame is worth before its bytes come.
const PIECE: usize = 16 << 10;
/// The longest frame that is no message (section 5.5).
const LONGEST_CONTROL: u64 = 125;

/// What a frame is (section 11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// Whether a message ends with it.
    pub(super) last: bool,
    pub(super) payload: Vec<u8>,
}

/// Why nothing more is read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("a message is longer than may be")]
    TooLong,
    #[error("{0}")]
    Bad(&'static str),
}

/// Reads one frame of at most `longest` bytes, which is asked when a length is known; tells `came` of every piece.
pub(super) async fn read(
    io: &mut (impl AsyncRead + Unpin),
    longest: impl Fn() -> usize,
    came: impl Fn(),
) -> Result<Frame, Error> {
    let mut head = [0; 2];
    io.read_exact(&mut head).await?;
    came();
    let last = head[0] & 0x80 != 0;
    if head[0] & 0x70 != 0 {
        return Err(Error::Bad("a frame uses an extension that was not agreed on"));
    }
    let kind = match head[0] & 0x0f {
        0 => Kind::Continuation,
        1 => Kind::Text,
        2 => Kind::Binary,
        8 => Kind::Close,
        9 => Kind::Ping,
        10 => Kind::Pong,
        _ => return Err(Error::Bad("a frame has an unknown type")),
    };
    if head[1] & 0x80 == 0 {
        return Err(Error::Bad("a frame is not masked"));
    }
    let length = match head[1] & 0x7f {
        126 => u64::from(io.read_u16().await?),
        127 => io.read_u64().await?,
        short => u64::from(short),
    };
    if matches!(kind, Kind::Close | Kind::Ping | Kind::Pong) && (length > LONGEST_CONTROL || !last) {
        return Err(Error::Bad("a control frame is too long, or in pieces"));
    }
    let length = usize::try_from(length).map_err(|_| Error::TooLong)?;
    if length > longest() {
        return Err(Error::TooLong);
    }
    let mut mask = [0; 4];
    io.read_exact(&mut mask).await?;
    let mut payload = Vec::with_capacity(length.min(PIECE));
    while payload.len() < length {
        let begin = payload.len();
        payload.resize(length.min(begin + PIECE.max(begin)), 0);
        let read = io.read(&mut payload[begin..]).await?;
        if read == 0 {
            return Err(Error::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        payload.truncate(begin + read);
        came();
    }
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Ok(Frame { kind, last, payload })
}

/// Writes a frame that is a whole message.
pub(super) fn write(into: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    let kind = match kind {
        Kind::Continuation => 0,
        Kind::Text => 1,
        Kind::Binary => 2,
        Kind::Close => 8,
        Kind::Ping => 9,
        Kind::Pong => 10,
    };
    into.reserve(payload.len() + 10);
    into.push(0x80 | kind);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..126), _) => into.push(length),
        (_, Ok(length)) => {
            into.push(126);
            into.extend(length.to_be_bytes());
        }
        _ => {
            into.push(127);
            into.extend((payload.len() as u64).to_be_bytes());
        }
    }
    into.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as clients write it.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        write(&mut frame, Kind::Text, payload);
        let head = frame.len() - payload.len();
        frame[0] = first;
        frame[1] |= 0x80;
        let mask = [1, 2, 3, 4];
        for (byte, mask) in frame[head..].iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        frame.splice(head..head, mask);
        frame
    }

    async fn read_all(mut bytes: &[u8], longest: usize) -> Result<Frame, Error> {
        read(&mut bytes, || longest, || {}).await
    }

    #[tokio::test]
    async fn frames_of_every_length() {
        for length in [0, 1, 125, 126, 127, 65535, 65536, 100_000] {
            let payload = vec![b'x'; length];
            let frame = read_all(&masked(0x81, &payload), 100_000).await.unwrap();
            assert_eq!((frame.kind, frame.last, frame.payload.len()), (Kind::Text, true, length));
            assert!(frame.payload == payload);
        }
    }

    #[tokio::test]
    async fn what_is_refused() {
        let error = async |bytes: &[u8]| read_all(bytes, 1000).await.unwrap_err().to_string();
        assert_eq!(error(&masked(0x81, &[0; 1001])).await, "a message is longer than may be");
        assert_eq!(
            error(b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff").await,
            "a message is longer than may be"
        );
        assert_eq!(error(b"\x81\x01x").await, "a frame is not masked");
        assert_eq!(error(&masked(0xc1, b"x")).await, "a frame uses an extension that was not agreed on");
        assert_eq!(error(&masked(0x83, b"x")).await, "a frame has an unknown type");
        assert_eq!(error(&masked(0x09, b"x")).await, "a control frame is too long, or in pieces");
        assert_eq!(error(&masked(0x88, &[0; 126])).await, "a control frame is too long, or in pieces");
        let whole = masked(0x81, &[0; 300]);
        for end in 0..whole.len() {
            assert!(error(&whole[..end]).await.starts_with("the connection broke"), "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read_all(&bytes, 1000));
        }
    }
}
