//! An exporter in a farm whose hub comes and goes: who is let through while it is away, and after it is back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nave_boards::hub::Boards;
use nave_boards::hub::config::BoardsConfig;
use nave_boards::node::dialect::connection::{HttpClient, HubClient};
use nave_boards::node::dialect::export::{Export, ExportError, Patience};
use nave_boards::node::dialect::tokens::{TokenSource, TokenStore};
use nave_boards::node::dialect::turns::Turns;
use nave_boards::node::exporter::Exporter;
use nave_core::clock::Clock;
use nave_core::hub::config::HubConfig;
use nave_link::pipe;
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::wait::{PATIENCE, until};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, OPEN, body, farm, get};
use crate::exporter::{connect, door, echo, echoes, ends, open};

const HERE: &str = "127.0.0.1";

/// An exporter that keeps a place in a farm.
struct Place {
    exporter: Arc<Exporter>,
    /// Hears the place's number whenever it is registered.
    registered: mpsc::Receiver<u64>,
    running: JoinHandle<Result<(), ExportError>>,
    stop: CancellationToken,
    target: String,
}

/// A way to a hub that can break.
struct Way {
    port: u16,
    breaking: watch::Sender<CancellationToken>,
}

impl Way {
    async fn to(hub: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (breaking, breaks) = watch::channel(CancellationToken::new());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let broken = breaks.borrow().clone();
                let far = TcpStream::connect(hub).await?;
                tokio::spawn(async move { pipe::join(near, far, Arc::default(), &broken).await });
            }
            std::io::Result::Ok(())
        });
        Ok(Self { port, breaking })
    }

    /// Breaks what goes this way now.
    fn cut(&mut self) {
        self.breaking.send_replace(CancellationToken::new()).cancel();
    }
}

impl Place {
    async fn start(hub: &TestHub, name: &str, patience: Patience) -> anyhow::Result<Self> {
        Self::start_by(hub, hub.address().port(), name, patience).await
    }

    async fn start_by(hub: &TestHub, by: u16, name: &str, patience: Patience) -> anyhow::Result<Self> {
        let port = echo().await?;
        let (exporter, mut place) = open(&[("127.0.0.1", port)]).await?;
        name.clone_into(&mut place.name);
        let exporter = Arc::new(exporter);
        let http = HttpClient::new(&[hub.path().join("cert/hub-cert.pem")])?;
        let client = HubClient::new(&format!("https://localhost:{by}"), http)?;
        let store = TokenStore::new("/nowhere/auth_tokens.json");
        let tokens = TokenSource::new(client.clone(), None, store, Clock::system());
        let turns = Turns::new(Arc::clone(&exporter), &place, Clock::system(), "/nowhere/commands".into());
        let export = Export::new(client, place.to_json(), turns, tokens, patience);
        let (sender, registered) = mpsc::channel(8);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let running = tokio::spawn(async move {
            export
                .run(stopped, |id| {
                    let _ = sender.try_send(id);
                })
                .await
        });
        Ok(Self { exporter, registered, running, stop, target: format!("127.0.0.1:{port}") })
    }

    async fn registered(&mut self) -> anyhow::Result<u64> {
        let number = tokio::time::timeout(PATIENCE, self.registered.recv()).await?;
        number.context("the exporter gave up")
    }

    /// Registers, is reserved, and lets whoever reserved it through.
    async fn reserved(&mut self, hub: &TestHub) -> anyhow::Result<(Client, TcpStream)> {
        let number = self.registered().await?;
        let mut agent = Client::connect(hub, HERE).await?;
        ensure!(agent.call("reserve", json!([[number]])).await? == Ok(json!(number)));
        let (mut tunnel, head) = connect(door(&self.exporter), &self.target).await?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
        echoes(&mut tunnel).await?;
        Ok((agent, tunnel))
    }

    /// Waits until whoever is here is let through.
    async fn lets_in(&self) -> anyhow::Result<()> {
        let opened = || async {
            connect(door(&self.exporter), &self.target).await.ok().filter(|(_, head)| head.contains(" 200 "))
        };
        let (mut tunnel, _) = until("the hub has said who may come", opened).await?;
        echoes(&mut tunnel).await
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.running).await???;
        self.exporter.close().await?;
        Ok(())
    }
}

/// Starts a hub again where it was.
async fn start(folder: Arc<TempDir>, address: SocketAddr, settings: &str) -> anyhow::Result<TestHub> {
    let config = HubConfig { listen: vec![address], ..HubConfig::default() };
    let boards = Boards::new(BoardsConfig::read(&settings.parse()?)?)?;
    let setup = TestHubSetup { config, fleets: vec![Arc::new(boards)], ..TestHubSetup::default() };
    Ok(TestHub::on(folder, setup).await?)
}

async fn names(hub: &TestHub) -> anyhow::Result<Vec<String>> {
    let places = body(&get(hub, HERE, "/api/v1/places").await?)?;
    let places = places["places"].as_array().context("a list")?.clone();
    Ok(places.iter().filter_map(|place| Some(place["name"].as_str()?.to_owned())).collect())
}

#[tokio::test]
async fn what_is_open_stays_so_while_the_way_to_the_hub_is_broken() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut way = Way::to(hub.address()).await?;
    let mut place = Place::start_by(&hub, way.port, "bench", Patience::default()).await?;
    let (_agent, mut tunnel) = place.reserved(&hub).await?;
    way.cut();
    echoes(&mut tunnel).await?;
    place.registered().await?;
    place.lets_in().await?;
    echoes(&mut tunnel).await?;
    place.stop().await?;
    ends(&mut tunnel).await?;
    ensure!(names(&hub).await?.is_empty(), "the place is still there");
    Ok(())
}

#[tokio::test]
async fn a_hub_that_was_away_is_asked_anew() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut place = Place::start(&hub, "bench", Patience::default()).await?;
    let (_agent, mut tunnel) = place.reserved(&hub).await?;
    let (folder, address) = (hub.folder(), hub.address());
    hub.stop().await;
    echoes(&mut tunnel).await?;
    let hub = start(folder, address, OPEN).await?;
    let number = place.registered().await?;
    // The hub says that the holder is not here; it was away as well.
    ends(&mut tunnel).await?;
    let mut agent = Client::connect(&hub, HERE).await?;
    ensure!(agent.call("reserve", json!([[number]])).await? == Ok(json!(number)));
    place.lets_in().await?;
    place.stop().await
}

#[tokio::test]
async fn what_is_open_ends_when_the_hub_stays_away() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let patience = Patience { away: Duration::from_millis(200), ..Patience::default() };
    let mut place = Place::start(&hub, "bench", patience).await?;
    let (_agent, mut tunnel) = place.reserved(&hub).await?;
    hub.stop().await;
    ends(&mut tunnel).await?;
    let (_, head) = connect(door(&place.exporter), &place.target).await?;
    ensure!(head.starts_with("HTTP/1.1 403"), "{head}");
    place.stop().await
}

#[tokio::test]
async fn what_is_open_ends_when_the_hub_has_forgotten_it() -> anyhow::Result<()> {
    let settings = format!("grace = \"0s\"\n{OPEN}");
    let hub = farm(&settings).await?;
    let patience = Patience { back: Duration::from_millis(200), ..Patience::default() };
    let mut place = Place::start(&hub, "bench", patience).await?;
    let (agent, mut tunnel) = place.reserved(&hub).await?;
    drop(agent);
    let (folder, address) = (hub.folder(), hub.address());
    hub.stop().await;
    let hub = start(folder, address, &settings).await?;
    place.registered().await?;
    ends(&mut tunnel).await?;
    place.stop().await?;
    hub.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_taken_is_waited_for() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut first = Place::start(&hub, "bench", Patience::default()).await?;
    first.registered().await?;
    let mut second = Place::start(&hub, "bench", Patience::default()).await?;
    let other = Place::start(&hub, "other", Patience::default()).await?;
    let both = || async { (names(&hub).await.ok()?.len() == 2).then_some(()) };
    until("another name is free", both).await?;
    ensure!(second.registered.try_recv().is_err(), "one name was given to two places");
    first.stop().await?;
    second.registered().await?;
    second.stop().await?;
    other.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_place_that_the_hub_does_not_take_is_no_reason_to_go_on() -> anyhow::Result<()> {
    let hub = farm(&OPEN.replace("\"127.0.0.1\", \"6.6.6.6\"]", "]")).await?;
    let place = Place::start(&hub, "bench", Patience::default()).await?;
    let told = tokio::time::timeout(PATIENCE, place.running).await??.unwrap_err().to_string();
    ensure!(told.contains("answered 403") && told.contains("open_to"), "{told}");
    Ok(())
}
