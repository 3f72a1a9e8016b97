//! What lies below the mail dialogue: a connection whose other end may say only so much, and the turn from plain text
//! to TLS. The dialogue itself stands in `smtp`.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, ReadBuf,
};

/// What a server may say on one connection, in bytes. The answers that servers give are a few lines, and lettre takes
/// its time over many.
const MOST_SAID: usize = 16 << 10;
/// The longest answer before TLS, in lines.
const MOST_LINES: usize = 100;
/// The longest line before TLS, in bytes (RFC 5321 allows 512).
const LONGEST_LINE: u64 = 2048;

/// A connection to a mail server, in plain text or inside TLS.
pub trait Io: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug + 'static> Io for T {}

/// A connection on which the dialogue begins. After STARTTLS a server gives no second greeting, which the dialogue
/// waits for: so it is put in front.
#[derive(Debug)]
pub struct Wire<T> {
    greeting: &'static [u8],
    left: usize,
    io: T,
}

impl<T> Wire<T> {
    /// A connection as it is.
    pub fn new(io: T) -> Self {
        Self { greeting: b"", left: MOST_SAID, io }
    }

    /// One that turned to TLS.
    pub fn turned(io: T) -> Self {
        Self { greeting: b"220 TLS\r\n", ..Self::new(io) }
    }
}

impl<T: Io> AsyncTokioStream for Wire<T> {
    /// The dialogue does not ask.
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.greeting.is_empty() {
            let (now, later) = self.greeting.split_at(self.greeting.len().min(buffer.remaining()));
            buffer.put_slice(now);
            self.greeting = later;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        match self.left.checked_sub(buffer.filled().len() - before) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Ok(()))
            }
            None => Poll::Ready(Err(said("it said more than a mail server has to say"))),
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// Agrees with the server to turn to TLS (RFC 3207). When this returns, TLS's first byte comes next in both directions:
/// anything that came too early, whoever slipped it in, ends the connection.
pub async fn agree_on_tls<T: Io>(io: T, hello: &ClientId) -> io::Result<T> {
    let mut io = BufReader::new(io);
    expect(&mut io, 220).await?;
    io.write_all(format!("EHLO {hello}\r\n").as_bytes()).await?;
    let offers = expect(&mut io, 250).await?;
    if !offers.iter().skip(1).any(|offer| offer.trim().eq_ignore_ascii_case("STARTTLS")) {
        return Err(said(
            "it does not offer STARTTLS, and nothing is sent in plain text: with mail.tls = \"implicit\", and that server's port for it (often 465), TLS stands from the first byte",
        ));
    }
    io.write_all(b"STARTTLS\r\n").await?;
    expect(&mut io, 220).await?;
    if io.buffer().is_empty() {
        Ok(io.into_inner())
    } else {
        Err(said("it went on in plain text after it agreed to TLS"))
    }
}

/// The lines of an answer with that code.
async fn expect<T: AsyncRead + Unpin>(io: &mut BufReader<T>, code: u16) -> io::Result<Vec<String>> {
    let (told, lines) = answer(io).await?;
    if told == code { Ok(lines) } else { Err(said(format!("it answered {told} {}", lines.join(" ")))) }
}

/// One answer: lines of `CODE-text`, and a last one of `CODE text` (RFC 5321, section 4.2).
async fn answer<T: AsyncRead + Unpin>(io: &mut BufReader<T>) -> io::Result<(u16, Vec<String>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        (&mut *io).take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Err(said("it closed the connection"));
        }
        let text =
            std::str::from_utf8(&line).ok().and_then(|line| line.strip_suffix('\n')).map(str::trim_end);
        let parted = text.and_then(|text| text.split_at_checked(3));
        let code =
            parted.and_then(|(code, _)| code.parse::<u16>().ok()).filter(|code| (200..600).contains(code));
        let (Some(code), Some((_, rest))) = (code, parted) else {
            return Err(said("what it said is no answer of a mail server"));
        };
        lines.push(rest.get(1..).unwrap_or_default().to_owned());
        match rest.chars().next() {
            None | Some(' ') => return Ok((code, lines)),
            Some('-') if lines.len() < MOST_LINES => {}
            _ => return Err(said("what it said is no answer of a mail server")),
        }
    }
}

fn said(words: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn agree(server: &[u8]) -> Result<String, String> {
        let (theirs, ours) = tokio::io::duplex(64 << 10);
        let (mut read, mut write) = tokio::io::split(theirs);
        write.write_all(server).await.unwrap();
        write.shutdown().await.unwrap();
        let hello = ClientId::Domain("hub.example.org".to_owned());
        let agreed = agree_on_tls(ours, &hello).await;
        let words = agreed.map(drop).map_err(|error| error.to_string());
        let mut heard = String::new();
        read.read_to_string(&mut heard).await.unwrap();
        words.map(|()| heard)
    }

    #[tokio::test]
    async fn both_ends_agree_before_tls() {
        // The server's words are there from the start, as a hasty one would send them; but for the last, which may not
        // be followed by anything.
        let heard =
            agree(b"220 smtp\r\n250-smtp\r\n250-SIZE 1000\r\n250 StartTLS\r\n220 go\r\n").await.unwrap();
        assert_eq!(heard, "EHLO hub.example.org\r\nSTARTTLS\r\n");
        let early =
            agree(b"220 a\r\n250-a\r\n250 STARTTLS\r\n220 go\r\n250-AUTH PLAIN\r\n").await.unwrap_err();
        assert_eq!(early, "it went on in plain text after it agreed to TLS");
    }

    #[tokio::test]
    async fn a_server_that_will_not_turn_to_tls_is_refused() {
        for (server, told) in [
            (&b"220 a\r\n250 a\r\n"[..], "does not offer STARTTLS"),
            (b"220 a\r\n250-STARTTLS\r\n250 a\r\n", "does not offer STARTTLS"),
            (b"220 a\r\n250-a\r\n250 STARTTLS\r\n454 not now\r\n", "454 not now"),
            (b"554 go away\r\n", "554 go away"),
            (b"220-a\r\n", "closed the connection"),
            (b"ready\r\n", "no answer"),
            (b"\r\n", "no answer"),
            (b"220\xff\r\n", "no answer"),
            (b"99\xc3\xbc9 a\r\n", "no answer"),
            (b"220 a\r\n", "closed the connection"),
            (b"", "closed the connection"),
        ] {
            let error = agree(server).await.unwrap_err();
            assert!(error.contains(told), "{server:?}: {error}");
        }
        let endless = [b"220 ".as_slice(), &[b'a'; 4000]].concat();
        assert!(agree(&endless).await.unwrap_err().contains("no answer"));
        assert!(agree(&b"220-a\r\n".repeat(200)).await.unwrap_err().contains("no answer"));
    }
}
