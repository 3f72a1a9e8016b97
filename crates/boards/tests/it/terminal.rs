//! Web terminals: a TCP interface of a place in its holder's browser, by a stream that ends in the hub.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::{SinkExt as _, StreamExt as _};
use nave_boards::api::ReserveRequest;
use nave_boards::hub::wish;
use nave_boards::node::export::ExportDescription;
use nave_core::api::{EventFilter, Role, StreamPath};
use nave_core::hub::people::sessions;
use nave_core::hub::{event, nodes, streams};
use nave_link::certificate;
use nave_link::key::SecretKey;
use nave_link::protocol::StreamOffer;
use nave_link::random::Random;
use nave_testkit::browser::Colours;
use nave_testkit::echo::Echo;
use nave_testkit::hub::TestHub;
use nave_testkit::need;
use nave_testkit::person::TestPerson;
use nave_testkit::visit::Visit;
use nave_testkit::wait::{PATIENCE, until};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::client::{farm, farm_and_fleet};
use crate::native::{Running, export, node, place};

const PAGE: &str = "/boards/places/bench/terminal/1/talk";

/// A place whose interface may be used in a browser.
fn with_terminal(name: &str, at: std::net::SocketAddr) -> ExportDescription {
    let mut place = place(name, at);
    for part in &mut place.parts {
        part.tcp.values_mut().for_each(|tcp| tcp.web_terminal = true);
    }
    place
}

async fn offered(
    hub: &TestHub,
    place: ExportDescription,
) -> anyhow::Result<(Running, nave_testkit::node::TestNode)> {
    let lab = node(hub, "lab", "exporter").await?;
    let name = place.name.clone();
    let exporter = export(&lab, vec![place]).await?;
    exporter.says(&format!("offered {name}")).await?;
    Ok((exporter, lab))
}

/// A page's WebSocket without its page.
struct Socket(WebSocketStream<TlsStream<TcpStream>>);

impl Socket {
    /// Opens it; the status of the answer if it is refused.
    async fn open(
        hub: &TestHub,
        person: Option<&TestPerson>,
        origin: &str,
    ) -> anyhow::Result<Result<Self, u16>> {
        let tcp = TcpStream::connect(hub.address()).await?;
        let name = rustls::pki_types::ServerName::try_from("hub")?;
        let tls = TlsConnector::from(certificate::by_key()).connect(name, tcp).await?;
        let mut request = format!("wss://{}{PAGE}/bytes", hub.address()).into_client_request()?;
        request.headers_mut().insert("origin", origin.parse()?);
        if let Some(person) = person {
            request.headers_mut().insert("cookie", person.cookie().parse()?);
        }
        match tokio_tungstenite::client_async(request, tls).await {
            Ok((socket, _)) => Ok(Ok(Self(socket))),
            Err(tungstenite::Error::Http(answer)) => Ok(Err(answer.status().as_u16())),
            Err(error) => Err(error.into()),
        }
    }

    async fn next(&mut self) -> anyhow::Result<Message> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await?;
            match message.context("the connection ended")?? {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return Ok(message),
            }
        }
    }

    /// The next word of the hub about the terminal.
    async fn told(&mut self) -> anyhow::Result<Value> {
        loop {
            if let Message::Text(text) = self.next().await? {
                return Ok(serde_json::from_str(&text)?);
            }
        }
    }

    async fn says(&mut self, text: &str) -> anyhow::Result<()> {
        self.0.send(Message::binary(text.as_bytes().to_vec())).await?;
        let mut heard = String::new();
        while heard.len() < text.len() {
            let Message::Binary(bytes) = self.next().await? else { anyhow::bail!("no bytes came back") };
            heard.push_str(std::str::from_utf8(&bytes)?);
        }
        ensure!(heard == text, "{heard}");
        Ok(())
    }
}

async fn reserve(
    hub: &TestHub,
    boards: &nave_boards::hub::Boards,
    person: &TestPerson,
) -> anyhow::Result<()> {
    let op = person.op(hub).await?;
    let request = ReserveRequest { seconds: 600, ..ReserveRequest::default() };
    wish::reserve(&op, hub.hub(), boards, request).await?;
    Ok(())
}

/// Waits until the terminal on a page shows some words.
async fn shows(visit: &Visit, words: &str) -> anyhow::Result<()> {
    let script = "return document.querySelector('.xterm-rows').textContent";
    let shown = async || {
        let text = visit.browser.client().execute(script, vec![]).await.ok()?;
        text.as_str()?.contains(words).then_some(())
    };
    until(words, shown).await
}

fn origin(hub: &TestHub) -> String {
    format!("https://{}", hub.address())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_in_the_browser_reaches_the_board_and_ends_with_the_lease_chromium()
-> anyhow::Result<()> {
    if !need("chromium") || !need("axe") {
        return Ok(());
    }
    let hub = farm("").await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Admin, "*")]).await?;
    let echo = Echo::start().await?;
    let (exporter, _lab) = offered(&hub, with_terminal("bench", echo.address)).await?;
    let visit = Visit::of(&hub, &ada).await?;
    visit.to("/boards/places/bench").await?;
    ensure!(visit.count("#parts a.button").await? == 0, "nobody has it, and somebody may use it");
    visit.presses("Reserve").await?;
    visit.presses("Terminal").await?;
    visit.reads("The hub can read this").await?;
    visit.reads("Connected, by way of the hub").await?;
    let typed = |words: &'static str| async {
        let field = visit.sees(".xterm-helper-textarea").await?;
        anyhow::Ok(field.send_keys(words).await?)
    };
    typed("uname -a").await?;
    shows(&visit, "uname -a").await?;
    // Colours of its own, which the library writes as attributes.
    typed("\u{e00c}[38;2;10;120;200mblue").await?;
    shows(&visit, "blue").await?;

    // It stands among the streams as what it is.
    let listed = streams::list(&hub.operator(), hub.hub())?;
    ensure!(listed.len() == 1 && listed[0].path == StreamPath::Hub && listed[0].from == "Ada", "{listed:?}");
    ensure!(listed[0].sent >= 8 && listed[0].received >= 8, "{listed:?}");

    for (width, colours) in [(1280, Colours::Light), (360, Colours::Dark)] {
        visit.browser.screen(width, 800, colours).await?;
        ensure!(visit.browser.overflow().await? == 0, "the page is wider than the screen");
        let barriers = visit.browser.barriers().await?;
        ensure!(barriers.is_empty(), "{}", barriers.join("\n"));
        let pictures =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots/boards");
        visit.browser.picture(&pictures.join(format!("terminal-live.{width}.png"))).await?;
    }
    visit.browser.screen(1280, 900, Colours::Light).await?;

    // Somebody else's place has no terminal.
    let other = Visit::of(&hub, &grace).await?;
    other.to("/boards/places/bench").await?;
    ensure!(other.count("#parts a.button").await? == 0);
    other.to(PAGE).await?;
    other.reads("Only who has bench may use it").await?;
    other.to("/streams").await?;
    other.reads("hub").await?;

    // The place is taken away: so is the terminal, at once, and the page says so.
    other.to("/boards/places/bench").await?;
    other.presses("Take it away").await?;
    other.sees("dialog#take[open] button.solid").await?.click().await?;
    visit.reads("Ended: you do not have bench any more.").await?;
    exporter.says("bench: free").await?;
    let gone = || async { streams::list(&hub.operator(), hub.hub()).ok()?.is_empty().then_some(()) };
    until("the stream is gone", gone).await?;
    visit.presses("Connect again").await?;
    visit.reads("The connection to the hub broke.").await?;
    let complaints = visit.browser.complaints().await?;
    // The browser names the socket that was refused, and nothing else.
    ensure!(
        complaints.iter().all(|line| line.contains("WebSocket") && line.contains("403")),
        "{complaints:?}"
    );

    other.to("/audit").await?;
    other.reads("Ada opened a terminal on bench (talk)").await?;
    other.reads("Ada closed a terminal on bench (talk): you do not have bench any more").await?;
    other.end().await?;
    visit.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_whose_exporter_does_not_allow_it_has_no_terminal_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let hub = farm("").await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let echo = Echo::start().await?;
    let _exporter = offered(&hub, place("bench", echo.address)).await?;
    let visit = Visit::of(&hub, &ada).await?;
    visit.to("/boards/places/bench").await?;
    visit.presses("Reserve").await?;
    visit.reads("You have it").await?;
    visit.reads("talk").await?;
    ensure!(visit.count("#parts a.button").await? == 0);
    visit.to(PAGE).await?;
    visit.reads("does not let talk be used in a browser").await?;
    ensure!(Socket::open(&hub, Some(&ada), &origin(&hub)).await?.err() == Some(403));
    visit.end().await
}

#[tokio::test]
async fn only_its_own_page_opens_a_terminal_for_who_has_the_place() -> anyhow::Result<()> {
    let (hub, boards) = farm_and_fleet("").await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let grace = TestPerson::invite(&hub, "Grace", &[(Role::Operator, "*")]).await?;
    let echo = Echo::start().await?;
    let _exporter = offered(&hub, with_terminal("bench", echo.address)).await?;
    let own = origin(&hub);
    ensure!(Socket::open(&hub, Some(&ada), &own).await?.err() == Some(403), "nobody has it");
    reserve(&hub, &boards, &ada).await?;
    for (who, origin, status) in [
        (None, own.as_str(), 303),
        (Some(&grace), own.as_str(), 403),
        (Some(&ada), "https://evil.example", 403),
        (Some(&ada), "null", 403),
    ] {
        let refused = Socket::open(&hub, who, origin).await?.err();
        ensure!(refused == Some(status), "{origin}: {refused:?}");
    }
    let mut socket =
        Socket::open(&hub, Some(&ada), &own).await?.map_err(|status| anyhow::anyhow!("{status}"))?;
    ensure!(socket.told().await?["state"] == "open");
    socket.says("hello\r").await?;
    // More than may be on the way at once comes only as fast as the page says that it shows it.
    let piece = "x".repeat(64 << 10);
    let mut seen = 0;
    for _ in 0..16 {
        socket.0.send(Message::binary(piece.clone().into_bytes())).await?;
    }
    while seen < piece.len() * 16 {
        let Message::Binary(bytes) = socket.next().await? else { anyhow::bail!("no bytes came back") };
        seen += bytes.len();
        socket.0.send(Message::text(bytes.len().to_string())).await?;
    }

    // It ends with the session by which it was opened.
    sessions::end_others(&ada.op(&hub).await?, hub.hub()).await?;
    socket.says("still here").await?;
    let session = sessions::list(&ada.op(&hub).await?, hub.hub(), &ada.id).await?.remove(0).id;
    sessions::end(&hub.operator(), hub.hub(), &session).await?;
    let told = socket.told().await?;
    ensure!(told["why"] == "the sign-in that opened it has ended", "{told}");

    let events = event::list(
        &hub.operator(),
        &hub.hub().store,
        &EventFilter { action: Some("terminal".to_owned()), ..EventFilter::default() },
    )
    .await?;
    ensure!(events.len() == 2 && events[0].action == "terminal.closed", "{events:?}");
    ensure!(events[0].detail["sent"].as_u64() > Some(1 << 20), "{events:?}");
    Ok(())
}

#[tokio::test]
async fn a_page_that_draws_slowly_holds_the_service_back() -> anyhow::Result<()> {
    let (hub, boards) = farm_and_fleet("").await?;
    let ada = TestPerson::first_admin(&hub).await?;
    // A service that talks without end and counts what it could say.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut io, _)) = listener.accept().await {
            tokio::spawn(async move { while io.write_all(&[b'y'; 4096]).await.is_ok() {} });
        }
    });
    let _exporter = offered(&hub, with_terminal("bench", address)).await?;
    reserve(&hub, &boards, &ada).await?;
    let mut socket =
        Socket::open(&hub, Some(&ada), &origin(&hub)).await?.map_err(|status| anyhow::anyhow!("{status}"))?;
    socket.told().await?;
    let mut came = 0;
    while let Ok(message) = tokio::time::timeout(Duration::from_secs(1), socket.next()).await {
        came += message?.len();
        ensure!(came <= 512 << 10, "{came} bytes came unseen");
    }
    ensure!(came >= 256 << 10, "{came}");
    socket.0.send(Message::text(came.to_string())).await?;
    ensure!(matches!(socket.next().await?, Message::Binary(_)));
    Ok(())
}

#[tokio::test]
async fn a_node_takes_the_hub_for_an_end_only_where_its_operator_said_so() -> anyhow::Result<()> {
    let (hub, boards) = farm_and_fleet("").await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let echo = Echo::start().await?;
    let (exporter, _lab) = offered(&hub, with_terminal("bench", echo.address)).await?;
    reserve(&hub, &boards, &ada).await?;
    let mut socket =
        Socket::open(&hub, Some(&ada), &origin(&hub)).await?.map_err(|status| anyhow::anyhow!("{status}"))?;
    socket.told().await?;
    socket.says("hello").await?;
    // The description changes while a terminal is open: what is not allowed any more ends.
    exporter.set(vec![place("bench", echo.address)]).await?;
    ensure!(socket.told().await?["state"] == "ended");
    // A hub that asks all the same is refused by the node, though somebody has the place.
    exporter.says("bench: Ada").await?;
    let node = nodes::show(&hub.operator(), hub.hub(), "lab").await?;
    let session = hub.hub().presence.session(node.id.parse()?).context("lab is connected")?;
    let mut offer = StreamOffer {
        stream: "0198f0e3".to_owned(),
        ticket: "none".to_owned(),
        peer: "ann".to_owned(),
        peer_key: hub.hub().key.public(),
        target: echo.address.to_string().parse()?,
    };
    let refused = session.peer.call(&offer, PATIENCE).await.err().map(|error| error.to_string());
    ensure!(
        refused.as_deref().is_some_and(|words| words.contains("does not let the hub read")),
        "{refused:?}"
    );
    // The same from a node would be taken.
    offer.peer_key = SecretKey::generate(&Random::system()).public();
    session.peer.call(&offer, PATIENCE).await?;
    Ok(())
}
