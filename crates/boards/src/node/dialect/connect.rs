//! The way through a not-my-board exporter to what it exports: an HTTP `CONNECT`, and then the bytes as they are. Nothing is
//! encrypted, and all that an exporter checks is from which address somebody comes.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What an exporter calls its own USB/IP server.
pub const USB: &str = "usb.not-my-board.localhost:3240";

/// How long an exporter may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// The longest head of an answer, and how much of a refusal is read, in bytes.
const HEAD: usize = 16 << 10;
const REFUSAL: u64 = 1 << 10;
const END: &[u8] = b"\r\n\r\n";
/// How long an exporter that answers before it has connected to the target is watched for giving up: longer than a
/// refusal takes in its own network.
const GIVES_UP: Duration = Duration::from_millis(300);

/// Opens a tunnel through the exporter at `host` and `port` to a target, `HOST:PORT` as the exporter's description has it.
pub async fn connect(host: &str, port: u16, target: &str) -> io::Result<TcpStream> {
    Ok(open(host, port, target).await?.stream)
}

/// A tunnel.
struct Tunnel {
    stream: TcpStream,
    /// Whether it stands up to the target: Nave's exporters connect first and answer then.
    is_whole: bool,
}

async fn open(host: &str, port: u16, target: &str) -> io::Result<Tunnel> {
    let at = || if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let open = async {
        let mut stream = TcpStream::connect((host, port)).await.map_err(|error| {
            io::Error::new(error.kind(), format!("the exporter at {} cannot be reached: {error}", at()))
        })?;
        stream.set_nodelay(true)?;
        let agent = concat!("nave/", env!("CARGO_PKG_VERSION"));
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: {agent}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let head = read_head(&mut stream).await?;
        match status(&head) {
            Some("200") => Ok(Tunnel { stream, is_whole: is_nave(&head) }),
            Some(status) => {
                let mut words = Vec::new();
                // What came counts, also if the exporter then ends the connection hard.
                let _ = stream.take(REFUSAL).read_to_end(&mut words).await;
                let words = String::from_utf8_lossy(&words).trim().replace(['\r', '\n'], " ");
                Err(io::Error::other(format!("the exporter at {} answered {status}: {words}", at())))
            }
            None => Err(io::Error::other(format!("what is at {} is no exporter", at()))),
        }
    };
    tokio::time::timeout(ANSWER, open).await.unwrap_or_else(|_| {
        let words = format!("the exporter at {} does not answer within {} s", at(), ANSWER.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, words))
    })
}

/// Finds out whether a target answers. Python's exporters connect to it only after they have said that all is well, and end
/// the connection if they cannot.
pub async fn check(host: &str, port: u16, target: &str) -> io::Result<()> {
    let Tunnel { stream, is_whole } = open(host, port, target).await?;
    if is_whole {
        return Ok(());
    }
    match tokio::time::timeout(GIVES_UP, stream.peek(&mut [0])).await {
        Ok(Ok(0)) => {
            Err(io::Error::other("the exporter cannot connect to it, or it ends connections at once"))
        }
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

/// Reads the head of an answer and not a byte more: what follows belongs to whoever gets the stream.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut seen = vec![0; 4 << 10];
    loop {
        let count = stream.peek(&mut seen).await?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the exporter ended the connection"));
        }
        // The end may have begun in what came before.
        let before = head.len();
        let from = before.saturating_sub(END.len() - 1);
        head.extend_from_slice(&seen[..count]);
        let end = head[from..].windows(END.len()).position(|window| window == END);
        let length = end.map_or(head.len(), |at| from + at + END.len());
        stream.read_exact(&mut seen[..length - before]).await?;
        head.truncate(length);
        if end.is_some() {
            return Ok(head);
        }
        if head.len() > HEAD {
            return Err(io::Error::other("the exporter's answer does not end"));
        }
    }
}

/// Whether one of Nave's exporters answered.
fn is_nave(head: &[u8]) -> bool {
    const SERVER: &[u8] = b"\r\nServer: nave/";
    head.windows(SERVER.len()).any(|window| window == SERVER)
}

/// The status of an answer, if it is one.
fn status(head: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let mut words = line.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next().filter(|status| status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// An exporter that answers every request with these pieces.
    async fn exporter(pieces: &'static [&'static str]) -> io::Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let _ = stream.read(&mut [0; 4096]).await?;
                for piece in pieces {
                    stream.write_all(piece.as_bytes()).await?;
                    tokio::task::yield_now().await;
                }
                if pieces.last().is_some_and(|last| !last.is_empty()) {
                    tokio::spawn(async move {
                        let mut scrap = Vec::new();
                        stream.read_to_end(&mut scrap).await
                    });
                }
            }
            #[expect(unreachable_code, reason = "it gives the loop its type")]
            io::Result::Ok(())
        });
        Ok(port)
    }

    #[tokio::test]
    async fn what_follows_the_head_is_the_targets() -> io::Result<()> {
        let port = exporter(&["HTTP/1.1 2", "00 \r\nDate: now\r", "\n\r", "\nhel", "lo"]).await?;
        let mut stream = connect("127.0.0.1", port, "far:1").await?;
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await?;
        assert_eq!(&heard, b"hello");
        Ok(())
    }

    #[tokio::test]
    async fn a_refusal_is_told_with_its_words() -> io::Result<()> {
        const REFUSED: &str = "HTTP/1.1 403 \r\nConnection: close\r\n\r\nYour IP address is not allowed.\n";
        let port = exporter(&["", REFUSED, ""]).await?;
        let told = connect("127.0.0.1", port, "far:1").await.unwrap_err().to_string();
        assert_eq!(
            told,
            format!("the exporter at 127.0.0.1:{port} answered 403: Your IP address is not allowed.")
        );
        let port = exporter(&["SSH-2.0-x\r\n\r\n"]).await?;
        let told = connect("127.0.0.1", port, "far:1").await.unwrap_err().to_string();
        assert!(told.ends_with("is no exporter"), "{told}");
        let port = exporter(&["HTTP/1.1 200 OK", ""]).await?;
        let told = connect("127.0.0.1", port, "far:1").await.unwrap_err().to_string();
        assert_eq!(told, "the exporter ended the connection");
        Ok(())
    }

    #[tokio::test]
    async fn a_target_that_is_down_is_found_out() -> io::Result<()> {
        let port = exporter(&["HTTP/1.1 200 \r\n\r\n", ""]).await?;
        connect("127.0.0.1", port, "far:1").await?;
        assert!(check("127.0.0.1", port, "far:1").await.is_err());
        let port = exporter(&["HTTP/1.1 200 \r\n\r\n"]).await?;
        check("127.0.0.1", port, "far:1").await?;
        let port = exporter(&["HTTP/1.1 200 \r\nServer: nave/1\r\n\r\n", ""]).await?;
        check("127.0.0.1", port, "far:1").await
    }
}
