//! The exporter's door: what was ever said to an exporter of not-my-board 0.13.0, with what it answered, and what nobody
//! recorded.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nave_boards::api::{Part, TcpInterface};
use nave_boards::node::commands::Commands;
use nave_boards::node::export::ExportDescription;
use nave_boards::node::exporter::Exporter;
use nave_boards::node::usb::Sysfs;
use nave_core::clock::Clock;
use nave_testkit::wait::{PATIENCE, until};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const RECORDED: &str = include_str!("../golden/not_my_board_exporter.jsonl");
const ME: [u8; 4] = [127, 0, 0, 1];

/// What this exporter answers otherwise, and why.
const OTHERWISE: [(&str, &str, &str, &str); 4] = [
    ("not reserved (IP not allowed)", "<ConnectionResetError>", "<EOF>", "a reset overtakes the words"),
    ("not reserved, not even HTTP", "<ConnectionResetError>", "<EOF>", "a reset overtakes the words"),
    ("huge header", "<ConnectionResetError>", "<EOF>", "a reset overtakes the words"),
    (
        "tcp target down",
        "HTTP/1.1 200 \r\nConnection: close\r\n\r\n<EOF>",
        "HTTP/1.1 502 \r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 113\r\n\r\nThis is a not-my-board export server. localhost:9 cannot be reached from here: Connection refused (os error 111)\n<EOF>",
        "whoever attaches learns that there is nothing behind it",
    ),
];

/// A place with one service that answers as long as it is asked, and one that is down.
pub async fn open(targets: &[(&str, u16)]) -> anyhow::Result<(Exporter, ExportDescription)> {
    let interface = |(at, (host, port)): (usize, &(&str, u16))| {
        (
            format!("tcp{at}"),
            TcpInterface { host: (*host).to_owned(), port: u64::from(*port), web_terminal: false },
        )
    };
    let tcp: BTreeMap<_, _> = targets.iter().enumerate().map(interface).collect();
    let part = Part { compatible: vec!["board".to_owned()], usb: BTreeMap::new(), tcp };
    let mut place = ExportDescription {
        name: "bench".to_owned(),
        port: 0,
        parts: vec![part],
        commands: Commands::default(),
    };
    let exporter = Exporter::open(&place, &Sysfs::system(), Clock::system()).await?;
    place.port = exporter.address().port();
    Ok((exporter, place))
}

pub fn me() -> IpAddr {
    IpAddr::from(ME)
}

pub fn door(exporter: &Exporter) -> SocketAddr {
    (ME, exporter.address().port()).into()
}

/// A service of a board: answers every line with itself, and ends when the other side does.
pub async fn echo() -> anyhow::Result<u16> {
    serve(|mut io: TcpStream| async move {
        let (mut read, mut write) = io.split();
        tokio::io::copy(&mut read, &mut write).await?;
        write.shutdown().await
    })
    .await
}

async fn serve<F: Future<Output = std::io::Result<()>> + Send + 'static>(
    answer: impl Fn(TcpStream) -> F + Send + 'static,
) -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            tokio::spawn(answer(io));
        }
    });
    Ok(port)
}

/// Asks for a tunnel; the connection and the answer's head.
pub async fn connect(door: SocketAddr, target: &str) -> anyhow::Result<(TcpStream, String)> {
    let mut io = TcpStream::connect(door).await?;
    io.write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes()).await?;
    let head = head(&mut io).await?;
    Ok((io, head))
}

async fn head(io: &mut TcpStream) -> anyhow::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(PATIENCE, io.read_u8()).await.context("no answer comes")?;
        head.push(byte.with_context(|| String::from_utf8_lossy(&head).into_owned())?);
    }
    Ok(String::from_utf8(head)?)
}

/// Whether bytes pass.
pub async fn echoes(io: &mut TcpStream) -> anyhow::Result<()> {
    io.write_all(b"hello").await?;
    let mut heard = [0; 5];
    tokio::time::timeout(PATIENCE, io.read_exact(&mut heard)).await.context("nothing comes back")??;
    ensure!(&heard == b"hello");
    Ok(())
}

/// Waits until the connection has ended, well or not.
pub async fn ends(io: &mut TcpStream) -> anyhow::Result<()> {
    let mut scrap = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, io.read_to_end(&mut scrap)).await;
    // A reset is an end as well.
    let _ = ended.context("the connection does not end")?;
    Ok(())
}

/// The bytes of a recorded message. Those that are no ASCII were lost in the recording: one in each USB/IP request.
fn recorded(text: &str, port: u16) -> Vec<u8> {
    let text = text.replace("localhost:8080", &format!("localhost:{port}"));
    let text = text.replace("aaaaaaaaaaaaaaa...(200000 x a)...", &"a".repeat(200_000));
    let mut bytes = text.into_bytes();
    if bytes.starts_with(&[1, 0x11]) {
        bytes.insert(2, 0x80);
        bytes.resize(40, 0);
    }
    bytes
}

/// An answer without what changes with the day and the program.
fn comparable(answer: &str, port: u16) -> String {
    let lines = answer.split_inclusive("\r\n").filter(|line| {
        !(line.starts_with("Date: ")
            || line.starts_with("Server: python-h11")
            || line.starts_with("Server: nave/"))
    });
    lines.collect::<String>().replace(&format!("localhost:{port}"), "localhost:8080")
}

/// What is answered in one case, with how it ends.
async fn answer(door: SocketAddr, port: u16, case: &Value) -> anyhow::Result<String> {
    let mut io = TcpStream::connect(door).await?;
    let (sent, then) = (case["sent"].as_str().unwrap(), case["then_sent"].as_str().unwrap());
    // Whoever refuses without reading may be gone before all of it was sent.
    let _ = io.write_all(&recorded(sent, port)).await;
    let mut heard = Vec::new();
    if !then.is_empty() {
        heard.extend(head(&mut io).await?.into_bytes());
        io.write_all(&recorded(then, port)).await?;
    }
    let patience = if case["received"].as_str().unwrap().ends_with("<OPEN>") {
        // That nothing happens can only be seen for a while.
        Duration::from_millis(300)
    } else {
        PATIENCE
    };
    let end = match tokio::time::timeout(patience, io.read_to_end(&mut heard)).await {
        Ok(Ok(_)) => "<EOF>",
        Ok(Err(_)) => "<ConnectionResetError>",
        Err(_) => "<OPEN>",
    };
    Ok(comparable(&(String::from_utf8_lossy(&heard).into_owned() + end), port))
}

#[tokio::test]
async fn recorded_cases_are_answered_as_they_were() -> anyhow::Result<()> {
    let cases: Vec<Value> = RECORDED.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let page = cases.iter().find_map(|case| case["received"].as_str()?.split_once("HTTP/1.0 200 OK"));
    let page = format!("HTTP/1.0 200 OK{}", page.context("a page")?.1.replace("<EOF>", ""));
    let port = serve(move |mut io| {
        let page = page.clone();
        async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(io.read_u8().await?);
            }
            io.write_all(page.as_bytes()).await
        }
    })
    .await?;
    let (exporter, _) = open(&[("localhost", port), ("localhost", 9)]).await?;
    let mut compared = 0;
    for case in &cases {
        let name = case["case"].as_str().unwrap();
        let reserved = !name.starts_with("not reserved");
        exporter.gate().allow(reserved.then(me)).ended().await;
        let mut expected = comparable(case["received"].as_str().unwrap(), 8080);
        for (_, there, here, _) in OTHERWISE.iter().filter(|(known, ..)| *known == name) {
            ensure!(expected.contains(there), "{name}: {expected:?}");
            expected = expected.replace(there, here);
        }
        assert_eq!(answer(door(&exporter), port, case).await?, expected, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 17);
    exporter.close().await?;
    Ok(())
}

#[tokio::test]
async fn tunnels_pass_ends_in_both_directions_and_end_with_their_address() -> anyhow::Result<()> {
    let port = echo().await?;
    let (exporter, _) = open(&[("127.0.0.1", port)]).await?;
    let target = format!("127.0.0.1:{port}");
    exporter.gate().allow([me()]).ended().await;
    let (mut first, head) = connect(door(&exporter), &target).await?;
    ensure!(head.starts_with("HTTP/1.1 200 \r\n"), "{head}");
    echoes(&mut first).await?;
    first.write_all(b"the last").await?;
    first.shutdown().await?;
    let mut rest = String::new();
    tokio::time::timeout(PATIENCE, first.read_to_string(&mut rest)).await??;
    assert_eq!(rest, "the last");

    // Another address, another holder: what the first had open ends, and the answer waits for that.
    let (mut second, _) = connect(door(&exporter), &target).await?;
    echoes(&mut second).await?;
    exporter.gate().allow([me(), "192.0.2.1".parse()?]).ended().await;
    echoes(&mut second).await?;
    exporter.gate().allow(["192.0.2.1".parse()?]).ended().await;
    ends(&mut second).await?;
    let (_, head) = connect(door(&exporter), &target).await?;
    ensure!(head.starts_with("HTTP/1.1 403 \r\n"), "{head}");
    exporter.gate().allow([me()]).ended().await;
    let (mut third, _) = connect(door(&exporter), &target).await?;
    exporter.close().await?;
    ends(&mut third).await?;
    ensure!(TcpStream::connect(door(&exporter)).await.is_err(), "the door is still open");
    Ok(())
}

#[tokio::test]
async fn slow_and_many_connections_do_not_stop_it() -> anyhow::Result<()> {
    let port = echo().await?;
    let (exporter, _) = open(&[("127.0.0.1", port)]).await?;
    let target = format!("127.0.0.1:{port}");
    exporter.gate().allow([me()]).ended().await;
    // They say nothing, or not all: no more than some wait at once.
    let mut slow = Vec::new();
    for at in 0..64 {
        let mut io = TcpStream::connect(door(&exporter)).await?;
        if at % 2 == 0 {
            io.write_all(b"CONNECT ").await?;
        }
        slow.push(io);
    }
    let busy = || async {
        let (_, head) = connect(door(&exporter), &target).await.ok()?;
        head.starts_with("HTTP/1.1 503 \r\n").then_some(())
    };
    until("no more may wait", busy).await?;
    // Whoever is not let through is told so all the same, and whoever leaves makes room.
    drop(slow);
    let open =
        || async { connect(door(&exporter), &target).await.ok().filter(|(_, head)| head.contains(" 200 ")) };
    let (mut io, _) = until("there is room again", open).await?;
    echoes(&mut io).await?;
    exporter.close().await?;
    Ok(())
}

#[tokio::test]
async fn two_exporters_do_not_share_a_port() -> anyhow::Result<()> {
    let (exporter, place) = open(&[]).await?;
    let second = Exporter::open(&place, &Sysfs::system(), Clock::system()).await;
    let error = second.err().context("two exporters listen on one port")?.to_string();
    let words = format!("cannot listen on port {}: Address already in use", place.port);
    ensure!(error.starts_with(&words), "{error}");
    exporter.close().await?;
    Ok(())
}
