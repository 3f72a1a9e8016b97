//! What no library sends: requests, frames and packets of every wrong kind, transports that stop half-way, and crowds. Each
//! is answered or cut off, nothing is kept of it, and the hub goes on.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nave_agents::hub::dialect::socket_io::{Gone, Settings};
use nave_link::certificate;
use nave_testkit::hub::TestHub;
use nave_testkit::wait::{PATIENCE, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::clients::{Book, hub_with, settings};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

type Tls = TlsStream<TcpStream>;

async fn tls(hub: &TestHub) -> anyhow::Result<Tls> {
    let tcp = TcpStream::connect(hub.address()).await?;
    let name = rustls::pki_types::ServerName::try_from("hub")?;
    Ok(TlsConnector::from(certificate::by_key()).connect(name, tcp).await?)
}

/// The status of an answer, and its body.
async fn ask(hub: &TestHub, method: &str, path: &str, body: &[u8]) -> anyhow::Result<(u16, String)> {
    let mut io = tls(hub).await?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    io.write_all(head.as_bytes()).await?;
    io.write_all(body).await?;
    let mut answer = Vec::new();
    // The hub may end the connection before it read the whole body.
    let _ = tokio::time::timeout(PATIENCE, io.read_to_end(&mut answer)).await?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("an answer, not {answer:?}"))?;
    assert!(!head.to_lowercase().contains("access-control"), "{head}");
    Ok((head.split(' ').nth(1).context("a status")?.parse()?, body.to_owned()))
}

/// Opens a connection by polling; its id.
async fn open(hub: &TestHub) -> anyhow::Result<String> {
    let (status, body) = ask(hub, "GET", POLLING, b"").await?;
    assert_eq!(status, 200, "{body}");
    let terms: Value = serde_json::from_str(body.strip_prefix('0').context("the first packet")?)?;
    assert_eq!(terms["upgrades"], json!(["websocket"]));
    let sid = terms["sid"].as_str().context("an id")?.to_owned();
    assert_eq!(sid.len(), 20);
    Ok(sid)
}

/// Opens one and joins.
async fn join(hub: &TestHub, book: &Book, name: &str) -> anyhow::Result<String> {
    let sid = open(hub).await?;
    let packet = format!("40/naisys,{{\"hostName\":\"{name}\"}}");
    let path = format!("{POLLING}&sid={sid}");
    assert_eq!(ask(hub, "POST", &path, packet.as_bytes()).await?, (200, "ok".to_owned()));
    book.socket(name).await?;
    Ok(sid)
}

struct Ws(Tls);

impl Ws {
    async fn open(hub: &TestHub, path: &str) -> anyhow::Result<Self> {
        let mut io = tls(hub).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        io.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(io.read_u8().await?);
        }
        let head = String::from_utf8(head)?;
        anyhow::ensure!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        Ok(Self(io))
    }

    /// Opens one and joins.
    async fn join(hub: &TestHub, book: &Book, name: &str) -> anyhow::Result<Self> {
        let mut ws = Self::open(hub, WEBSOCKET).await?;
        assert!(ws.text().await?.starts_with("0{"));
        ws.say(&format!("40/naisys,{{\"hostName\":\"{name}\"}}")).await?;
        assert!(ws.text().await?.starts_with("40/naisys,{\"sid\":"));
        assert!(ws.text().await?.starts_with("42/naisys,[\"hosts_updated\","));
        book.socket(name).await?;
        Ok(ws)
    }

    /// A frame with these first bits.
    async fn frame(&mut self, first: u8, payload: &[u8]) -> anyhow::Result<()> {
        let mut frame = vec![first];
        if let Ok(length @ 0..126) = u8::try_from(payload.len()) {
            frame.push(0x80 | length);
        } else {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.0.write_all(&frame).await?;
        Ok(())
    }

    async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.frame(0x81, text.as_bytes()).await
    }

    /// The next frame's type and payload.
    async fn next(&mut self) -> anyhow::Result<(u8, Vec<u8>)> {
        let read = async {
            let first = self.0.read_u8().await?;
            let length = match self.0.read_u8().await? {
                126 => usize::from(self.0.read_u16().await?),
                127 => bail!("nothing so long is expected"),
                short => usize::from(short),
            };
            let mut payload = vec![0; length];
            self.0.read_exact(&mut payload).await?;
            Ok((first & 0x0f, payload))
        };
        tokio::time::timeout(PATIENCE, read).await?
    }

    async fn text(&mut self) -> anyhow::Result<String> {
        let (kind, payload) = self.next().await?;
        anyhow::ensure!(kind == 1, "a frame of type {kind}: {payload:?}");
        Ok(String::from_utf8(payload)?)
    }

    /// Why the hub closes it.
    async fn closed(&mut self) -> anyhow::Result<u16> {
        loop {
            if let (8, code) = self.next().await? {
                return Ok(u16::from_be_bytes(code.try_into().map_err(|code| anyhow::anyhow!("{code:?}"))?));
            }
        }
    }
}

#[tokio::test]
async fn wrong_requests_are_answered_in_the_words_of_the_original() -> anyhow::Result<()> {
    let (hub, book, server) = hub_with(settings()).await?;
    let sid = join(&hub, &book, "BOX").await?;
    let path = |query: &str| format!("/socket.io/?{query}");
    for (method, query, code, message) in [
        ("GET", "", 0, "Transport unknown"),
        ("GET", "EIO=4&transport=webtransport", 0, "Transport unknown"),
        ("GET", "EIO=4&transport=polling&sid=nobody", 1, "Session ID unknown"),
        ("POST", "EIO=4&transport=polling&sid=", 1, "Session ID unknown"),
        ("GET", "EIO=4&transport=websocket&sid=nobody", 1, "Session ID unknown"),
        ("POST", "EIO=4&transport=polling", 2, "Bad handshake method"),
        ("GET", "EIO=4&transport=websocket", 3, "Bad request"),
        ("POST", &format!("EIO=4&transport=websocket&sid={sid}"), 3, "Bad request"),
        ("GET", &format!("EIO=4&transport=websocket&sid={sid}"), 3, "Bad request"),
        ("GET", "EIO=3&transport=polling", 5, "Unsupported protocol version"),
    ] {
        let (status, body) = ask(&hub, method, &path(query), b"").await?;
        let body: Value = serde_json::from_str(&body)?;
        assert_eq!((status, body), (400, json!({ "code": code, "message": message })), "{method} {query}");
    }
    // The id belongs to its path.
    let elsewhere = format!("/hub/socket.io/?EIO=4&transport=polling&sid={sid}");
    assert!(ask(&hub, "GET", &elsewhere, b"").await?.1.contains("Session ID unknown"));
    assert_eq!((server.counts().connections, server.counts().strangers), (1, 0));
    let (status, body) = ask(&hub, "GET", &format!("{POLLING}&sid={sid}"), b"").await?;
    assert_eq!(status, 200);
    assert!(body.starts_with("40/naisys,{\"sid\":") && body.contains("\u{1e}42/naisys,"), "{body}");
    Ok(())
}

#[tokio::test]
async fn bad_packets_end_their_connection_and_nothing_else() -> anyhow::Result<()> {
    let (hub, book, server) = hub_with(Settings { longest_message: 100_000, ..settings() }).await?;
    let mut bystander = Ws::join(&hub, &book, "BYSTANDER").await?;
    let deep = format!("42/naisys,[\"a\",{}", "[".repeat(90_000));
    let packets = [
        "",
        "0{}",
        "2",
        "2probe",
        "7",
        "bAAEC",
        "4",
        "44/naisys,{}",
        "451-/naisys,[\"a\",{\"_placeholder\":true,\"num\":0}]",
        "40/naisys,{}",
        "42/naisys,{}",
        "42/naisys,[1]",
        "42/naisys,[\"a\"",
        "42/naisys,[\"disconnect\"]",
        "42/naisys,99999999999999999999999[\"a\"]",
        "42/else,[\"a\"]",
        "43/naisys,[1]",
        "43/naisys,1{}",
        "41/naisys,{}",
        &deep,
    ];
    for packet in packets {
        let mut ws = Ws::join(&hub, &book, "BAD").await?;
        ws.say(packet).await?;
        assert_eq!(ws.closed().await?, 1008, "{packet:.60}");
        assert_eq!(book.ended("BAD").await?, Gone::Misbehaved);

        let sid = join(&hub, &book, "BAD").await?;
        let path = format!("{POLLING}&sid={sid}");
        assert_eq!(ask(&hub, "POST", &path, packet.as_bytes()).await?.0, 400, "{packet:.60}");
        assert_eq!(book.ended("BAD").await?, Gone::Misbehaved);
        let (_, last) = ask(&hub, "GET", &path, b"").await?;
        assert!(last == "1" || last.contains("Session ID unknown"), "{last}");
    }
    for (first, payload) in
        [(0x82, &b"x"[..]), (0x81, b"\xff\xfe"), (0x80, b"x"), (0xf1, b"x"), (0x83, b"x"), (0x09, b"x")]
    {
        let mut ws = Ws::join(&hub, &book, "BAD").await?;
        ws.frame(first, payload).await?;
        assert_eq!(ws.closed().await?, 1008, "{first:x}");
        assert_eq!(book.ended("BAD").await?, Gone::Misbehaved);
    }
    let mut ws = Ws::join(&hub, &book, "BAD").await?;
    ws.frame(0x01, b"42/naisys,[\"a").await?;
    ws.frame(0x81, b"4").await?;
    assert_eq!(ws.closed().await?, 1008, "a message within another");
    assert_eq!(book.ended("BAD").await?, Gone::Misbehaved);

    // A stranger is given less room than the others.
    let mut ws = Ws::open(&hub, WEBSOCKET).await?;
    ws.say(&format!("40/naisys,{{\"a\":\"{}\"}}", "x".repeat(70_000))).await?;
    assert_eq!(ws.closed().await?, 1009);

    bystander.say("42/naisys,7[\"echo\",[]]").await?;
    assert_eq!(bystander.text().await?, "43/naisys,7[[]]");
    until("nothing else is kept", async || (server.counts().connections == 1).then_some(())).await?;
    assert_eq!(server.counts().strangers, 0);
    Ok(())
}

#[tokio::test]
async fn messages_in_pieces_with_pings_between_are_whole() -> anyhow::Result<()> {
    let (hub, book, _) = hub_with(settings()).await?;
    let mut ws = Ws::join(&hub, &book, "BOX").await?;
    ws.frame(0x01, b"42/naisys,7[\"ec").await?;
    ws.frame(0x89, b"there?").await?;
    ws.frame(0x00, b"ho\",\"\xc3").await?;
    ws.frame(0x80, b"\xa9\"]").await?;
    assert_eq!(ws.next().await?, (10, b"there?".to_vec()));
    assert_eq!(ws.text().await?, "43/naisys,7[\"é\"]");
    ws.frame(0x88, &1000u16.to_be_bytes()).await?;
    assert_eq!(ws.closed().await?, 1000);
    assert_eq!(book.ended("BOX").await?, Gone::Lost);
    Ok(())
}

/// Begins a request and goes, until the hub has noticed that.
async fn break_off(hub: &TestHub, book: &Book, request: &str) -> anyhow::Result<()> {
    let begun = Mutex::new(None);
    until("a request has begun, and its end was noticed", async || {
        // One that ends before the hub looked at it has not begun: then it is tried again, once it is gone.
        let before = begun.lock().unwrap().take();
        let noticed = !book.gone.lock().unwrap().is_empty();
        if before.is_none() && !noticed {
            let mut io = tls(hub).await.unwrap();
            io.write_all(request.as_bytes()).await.unwrap();
            *begun.lock().unwrap() = Some(io);
        }
        noticed.then_some(())
    })
    .await
}

#[tokio::test]
async fn what_stops_half_way_is_forgotten() -> anyhow::Result<()> {
    let short = Duration::from_millis(500);
    let hasty = Settings { join_within: short, upgrade_within: short, goodbye: short, ..settings() };
    let (hub, book, server) = hub_with(hasty).await?;
    // Nobody asks for anything: by polling, and by a WebSocket.
    let sid = open(&hub).await?;
    let mut silent = Ws::open(&hub, WEBSOCKET).await?;
    assert_eq!((server.counts().connections, server.counts().strangers), (2, 2));
    silent.text().await?;
    assert_eq!(silent.closed().await?, 1000);
    until("both are gone", async || (server.counts().connections == 0).then_some(())).await?;
    assert_eq!(server.counts().strangers, 0);
    assert!(ask(&hub, "GET", &format!("{POLLING}&sid={sid}"), b"").await?.1.contains("Session ID unknown"));

    // A WebSocket that does not prove itself, or says something else, leaves the connection where it was.
    let sid = join(&hub, &book, "BOX").await?;
    let path = format!("{WEBSOCKET}&sid={sid}");
    for words in [None, Some("3probe"), Some("4hello")] {
        let mut ws = Ws::open(&hub, &path).await?;
        assert!(Ws::open(&hub, &path).await.is_err(), "one at a time");
        if let Some(words) = words {
            ws.say(words).await?;
        }
        assert_eq!(ws.closed().await?, 1000);
    }
    let mut ws = Ws::open(&hub, &path).await?;
    ws.say("2probe").await?;
    assert_eq!(ws.text().await?, "3probe");
    let poll = format!("{POLLING}&sid={sid}");
    assert!(ask(&hub, "GET", &poll, b"").await?.1.starts_with("40/naisys,"));
    assert_eq!(ask(&hub, "GET", &poll, b"").await?.1, "6", "it is to move now");
    ws.say("5").await?;
    ws.say("42/naisys,1[\"echo\",1]").await?;
    assert_eq!(ws.text().await?, "43/naisys,1[1]");
    assert!(ask(&hub, "GET", &poll, b"").await?.1.contains("Bad request"), "it has moved");

    // What is said as the connection ends reaches a client that is on the move.
    let sid = join(&hub, &book, "MOVES").await?;
    let poll = format!("{POLLING}&sid={sid}");
    ask(&hub, "GET", &poll, b"").await?;
    let mut ws = Ws::open(&hub, &format!("{WEBSOCKET}&sid={sid}")).await?;
    ws.say("2probe").await?;
    assert_eq!(ws.text().await?, "3probe");
    let socket = book.socket("MOVES").await?;
    socket.emit("goodbye", &1)?;
    socket.close();
    ws.say("5").await?;
    assert_eq!(ws.text().await?, "42/naisys,[\"goodbye\",1]");
    assert_eq!(ws.closed().await?, 1000);
    assert_eq!(book.ended("MOVES").await?, Gone::Closed);

    // A poll whose client goes ends the connection at once; so do two at a time.
    let sid = join(&hub, &book, "POLLS").await?;
    let poll = format!("{POLLING}&sid={sid}");
    ask(&hub, "GET", &poll, b"").await?;
    break_off(&hub, &book, &format!("GET {poll} HTTP/1.1\r\nHost: hub\r\n\r\n")).await?;
    assert_eq!(book.ended("POLLS").await?, Gone::Lost);
    let sid = join(&hub, &book, "POLLS").await?;
    let poll = format!("{POLLING}&sid={sid}");
    ask(&hub, "GET", &poll, b"").await?;
    let (first, second) = tokio::join!(ask(&hub, "GET", &poll, b""), ask(&hub, "GET", &poll, b""));
    let mut answers = [first?, second?];
    answers.sort();
    assert_eq!(answers[0], (200, "1".to_owned()));
    assert_eq!(answers[1].0, 400);
    assert_eq!(book.ended("POLLS").await?, Gone::Misbehaved);

    // A body that stops ends it too.
    let sid = join(&hub, &book, "STOPS").await?;
    let head =
        format!("POST {POLLING}&sid={sid} HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\n42/naisys,");
    break_off(&hub, &book, &head).await?;
    assert_eq!(book.ended("STOPS").await?, Gone::Lost);
    Ok(())
}

#[tokio::test]
async fn a_crowd_of_strangers_waits_outside() -> anyhow::Result<()> {
    let (hub, book, server) = hub_with(Settings { strangers: (10, 2), ..settings() }).await?;
    let in_already = join(&hub, &book, "BOX").await?;
    let (first, _second) = (open(&hub).await?, open(&hub).await?);
    for _ in 0..3 {
        let (status, body) = ask(&hub, "GET", POLLING, b"").await?;
        assert_eq!((status, body.contains("wait to be let in")), (503, true), "{body}");
        assert!(Ws::open(&hub, WEBSOCKET).await.is_err());
    }
    assert_eq!(server.counts().connections, 3);
    // Who is in is not disturbed, and who leaves makes room.
    let path = format!("{POLLING}&sid={in_already}");
    assert_eq!(ask(&hub, "POST", &path, b"42/naisys,[\"count\"]").await?.0, 200);
    let path = format!("{POLLING}&sid={first}");
    assert_eq!(ask(&hub, "POST", &path, b"1").await?.0, 200);
    open(&hub).await?;
    Ok(())
}
