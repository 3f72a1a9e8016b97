//! Bytes from one node to another: what passes, what does not, and what ends them.

use std::io::ErrorKind;
use std::time::Duration;

use nave_core::api::{GrantRequest, StreamPath};
use nave_core::hub::{grants, nodes, streams};
use nave_core::node::ForwardError;
use nave_testkit::echo::Echo;
use nave_testkit::hub::TestHub;
use nave_testkit::node::{TestForward, TestNode};
use nave_testkit::wait::until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

struct Farm {
    hub: TestHub,
    lab: TestNode,
    laptop: TestNode,
    target: String,
    _echo: Option<Echo>,
}

fn grant(scope: &str) -> GrantRequest {
    GrantRequest { action: "open".to_owned(), scope: scope.to_owned() }
}

/// A lab with a target that it allows, and a laptop that may open it.
async fn farm_to(target: String, direct: bool) -> anyhow::Result<Farm> {
    let hub = TestHub::start().await?;
    let mut lab = TestNode::join(&hub, "lab", &[], std::slice::from_ref(&target)).await?;
    if direct {
        lab.set_direct(([127, 0, 0, 1], 0).into())?;
    }
    let lab = lab.connect().await?;
    let laptop = TestNode::join(&hub, "laptop", &[format!("lab:{target}")], &[]).await?;
    Ok(Farm { hub, lab, laptop, target, _echo: None })
}

async fn farm(direct: bool) -> anyhow::Result<Farm> {
    let echo = Echo::start().await?;
    let farm = farm_to(echo.address.to_string(), direct).await?;
    Ok(Farm { _echo: Some(echo), ..farm })
}

impl Farm {
    async fn forward(&self) -> Result<TestForward, ForwardError> {
        self.laptop.forward(&format!("lab:{}", self.target)).await
    }
}

/// Says something and hears it back, then closes its half and hears the end.
async fn talk(address: std::net::SocketAddr, bytes: usize) -> anyhow::Result<()> {
    let (mut read, mut write) = TcpStream::connect(address).await?.into_split();
    let sent: Vec<u8> = (0..bytes).map(|i| u8::try_from(i % 251).unwrap_or(0)).collect();
    let expected = sent.clone();
    let writer = tokio::spawn(async move {
        write.write_all(&sent).await?;
        write.shutdown().await
    });
    let mut heard = Vec::new();
    read.read_to_end(&mut heard).await?;
    writer.await??;
    anyhow::ensure!(heard == expected, "{} of {} bytes came back, or others", heard.len(), expected.len());
    Ok(())
}

/// How a connection ends, within the second in which it has to.
async fn end_of(mut io: TcpStream) -> anyhow::Result<ErrorKind> {
    let end = tokio::time::timeout(Duration::from_secs(1), io.read_u8()).await?;
    end.map_or_else(|error| Ok(error.kind()), |byte| anyhow::bail!("it said {byte}"))
}

async fn failure(forward: &TestForward) -> anyhow::Result<String> {
    let first = || async { forward.failures.lock().unwrap().first().cloned() };
    until("the forward says why", first).await
}

#[tokio::test]
async fn bytes_pass_through_the_hub_in_both_directions() -> anyhow::Result<()> {
    let farm = farm(false).await?;
    let forward = farm.forward().await?;
    for size in [0, 1, 100_000, 8 << 20] {
        talk(forward.address, size).await?;
    }
    let many: Vec<_> = (0..20).map(|_| tokio::spawn(talk(forward.address, 200_000))).collect();
    for one in many {
        one.await??;
    }
    let gone = || async { (farm.hub.hub().streams.count() == 0).then_some(()) };
    until("ended streams leave the list", gone).await
}

#[tokio::test]
async fn bytes_pass_directly_where_the_node_offers_it() -> anyhow::Result<()> {
    let farm = farm(true).await?;
    let forward = farm.forward().await?;
    talk(forward.address, 4 << 20).await?;
    // Both ways are tried at once, and the direct one is the shorter; the hub may still win a race now and then.
    let direct = || async {
        let mut io = TcpStream::connect(forward.address).await.ok()?;
        io.write_all(b"ping").await.ok()?;
        let mut pong = [0; 4];
        io.read_exact(&mut pong).await.ok()?;
        let listed = || async {
            let streams = streams::list(&farm.hub.operator(), farm.hub.hub()).ok()?;
            streams.into_iter().rfind(|stream| stream.path != StreamPath::Opening)
        };
        (until("the stream is listed", listed).await.ok()?.path == StreamPath::Direct).then_some(io)
    };
    let io = until("a stream runs directly", direct).await?;
    nodes::revoke(&farm.hub.operator(), farm.hub.hub(), "laptop").await?;
    assert_eq!(end_of(io).await?, ErrorKind::ConnectionReset, "a direct stream is cut too");
    Ok(())
}

#[tokio::test]
async fn what_ends_a_stream_ends_it_at_once() -> anyhow::Result<()> {
    let farm = farm(false).await?;
    let forward = farm.forward().await?;
    let open = || async {
        let mut io = TcpStream::connect(forward.address).await?;
        io.write_all(b"x").await?;
        anyhow::ensure!(io.read_u8().await? == b'x');
        Ok(io)
    };
    let op = farm.hub.operator();

    let io = open().await?;
    let listed = streams::list(&op, farm.hub.hub())?;
    assert_eq!((listed[0].from.as_str(), listed[0].to.as_str(), listed[0].sent > 0), ("laptop", "lab", true));
    streams::cut(&op, farm.hub.hub(), &listed[0].id).await?;
    assert_eq!(end_of(io).await?, ErrorKind::ConnectionReset);

    let io = open().await?;
    let right = grant(&format!("lab:{}", farm.target));
    grants::withdraw(&op, farm.hub.hub(), "laptop", &right).await?;
    assert_eq!(end_of(io).await?, ErrorKind::ConnectionReset, "the right was taken back");
    assert!(TcpStream::connect(forward.address).await?.read_u8().await.is_err());
    let words = failure(&forward).await?;
    assert!(words.contains("no grant allows it"), "{words}");

    grants::grant(&op, farm.hub.hub(), "laptop", &right).await?;
    let io = open().await?;
    nodes::revoke(&op, farm.hub.hub(), "lab").await?;
    assert_eq!(end_of(io).await?, ErrorKind::ConnectionReset, "the other node was revoked");
    Ok(())
}

#[tokio::test]
async fn a_reset_behind_the_other_node_is_a_reset_here() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let farm = farm_to(listener.local_addr()?.to_string(), false).await?;
    let forward = farm.forward().await?;
    let mut near = TcpStream::connect(forward.address).await?;
    near.write_all(b"x").await?;
    let (mut far, _) = listener.accept().await?;
    assert_eq!(far.read_u8().await?, b'x');
    far.set_zero_linger()?;
    drop(far);
    assert_eq!(end_of(near).await?, ErrorKind::ConnectionReset);
    Ok(())
}

#[tokio::test]
async fn a_service_that_does_not_read_stops_the_sender() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let farm = farm_to(listener.local_addr()?.to_string(), false).await?;
    let forward = farm.forward().await?;
    let mut near = TcpStream::connect(forward.address).await?;
    near.write_all(b"x").await?;
    let (_silent, _) = listener.accept().await?;
    let (chunk, mut sent) = (vec![0; 64 << 10], 0_usize);
    while tokio::time::timeout(Duration::from_secs(1), near.write_all(&chunk)).await.is_ok() {
        sent += chunk.len();
        anyhow::ensure!(sent < 256 << 20, "nothing holds the sender back");
    }
    Ok(())
}

#[tokio::test]
async fn refusals_say_what_to_do() -> anyhow::Result<()> {
    let farm = farm(false).await?;
    let refusal = |target: &'static str| async {
        farm.laptop.forward(target).await.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let words = refusal("nobody:80").await;
    assert!(words.contains("nave node grant laptop open nobody:127.0.0.1:80"), "{words}");
    let op = farm.hub.operator();
    grants::grant(&op, farm.hub.hub(), "laptop", &grant("*")).await?;
    let words = refusal("lab:1").await;
    assert!(words.contains("--allow 127.0.0.1:1"), "{words}");
    let _token = farm.hub.invite("away", &[]).await?;
    let words = refusal("away:80").await;
    assert!(words.contains("has not joined yet"), "{words}");
    let _away = TestNode::join(&farm.hub, "idle", &[], &[]).await?;
    let words = refusal("idle:80").await;
    assert!(words.contains("is not connected to the hub"), "{words}");
    Ok(())
}

#[tokio::test]
async fn a_target_that_is_down_is_named() -> anyhow::Result<()> {
    let free = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string();
    let farm = farm_to(free.clone(), false).await?;
    let forward = farm.forward().await?;
    assert!(TcpStream::connect(forward.address).await?.read_u8().await.is_err());
    let words = failure(&forward).await?;
    assert!(words.contains(&format!("cannot connect to {free}")) && words.contains("refused"), "{words}");
    Ok(())
}

#[tokio::test]
async fn a_key_that_changed_is_not_believed() -> anyhow::Result<()> {
    let farm = farm(false).await?;
    drop(farm.forward().await?);
    nodes::revoke(&farm.hub.operator(), farm.hub.hub(), "lab").await?;
    let _impostor =
        TestNode::join(&farm.hub, "lab", &[], std::slice::from_ref(&farm.target)).await?.connect().await?;
    let right = grant(&format!("lab:{}", farm.target));
    grants::grant(&farm.hub.operator(), farm.hub.hub(), "laptop", &right).await?;
    let error = farm.forward().await.err().expect("it is refused");
    assert!(matches!(error, ForwardError::PeerChanged(_)), "{error}");
    assert!(error.to_string().contains("nave node trust lab"), "{error}");
    let key = nodes::show(&farm.hub.operator(), farm.hub.hub(), "lab").await?.public_key.unwrap();
    nave_core::node::Peers::open(&farm.laptop.folder)?.vouch("lab", key.parse()?)?;
    talk(farm.forward().await?.address, 1000).await
}

#[tokio::test]
async fn a_node_that_joined_anew_is_refused_until_the_other_end_trusts_its_key() -> anyhow::Result<()> {
    let mut farm = farm(false).await?;
    talk(farm.forward().await?.address, 10).await?;
    nodes::revoke(&farm.hub.operator(), farm.hub.hub(), "laptop").await?;
    farm.laptop = TestNode::join(&farm.hub, "laptop", &[format!("lab:{}", farm.target)], &[]).await?;
    let forward = farm.forward().await?;
    assert!(talk(forward.address, 10).await.is_err());
    let words = failure(&forward).await?;
    assert!(words.contains("nave node trust laptop"), "{words}");
    let key = nodes::show(&farm.hub.operator(), farm.hub.hub(), "laptop").await?.public_key.unwrap();
    // The lab's node keeps running meanwhile.
    nave_core::node::Peers::open(&farm.lab.folder)?.vouch("laptop", key.parse()?)?;
    talk(forward.address, 10).await
}
