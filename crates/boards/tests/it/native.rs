//! Nave's own exporter and the native API: a place is reserved, reached by a stream and by nobody else, extended, handed
//! over, taken out of service, and survives restarts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use nave_boards::api::{Part, TcpInterface};
use nave_boards::hub::config::BoardsConfig;
use nave_boards::hub::{Boards, maintenance};
use nave_boards::node::commands::Commands;
use nave_boards::node::export::ExportDescription;
use nave_boards::node::native::{Doors, ExportHappening, Exporter};
use nave_boards::node::usb::Sysfs;
use nave_core::api::NodeChange;
use nave_core::clock::Clock;
use nave_core::hub::nodes;
use nave_core::node::attach;
use nave_link::certificate;
use nave_link::dial::{self, Known};
use nave_link::random::Random;
use nave_testkit::echo::Echo;
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::node::{TestForward, TestNode};
use nave_testkit::wait::until;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::client::{farm, farm_and_fleet};

/// A member with one role.
pub async fn node(hub: &TestHub, name: &str, role: &str) -> anyhow::Result<TestNode> {
    let node = TestNode::join(hub, name, &[], &[]).await?;
    let change = NodeChange { roles: Some(vec![role.to_owned()]), ..NodeChange::default() };
    nodes::change(&hub.operator(), hub.hub(), name, &change).await?;
    node.connect().await
}

/// Asks the API as a node.
pub async fn ask(
    node: &TestNode,
    method: Method,
    path: &str,
    body: Value,
) -> anyhow::Result<(StatusCode, Value)> {
    let membership = node.membership()?;
    let hub = *membership.hub_keys.first().context("no key of the hub")?;
    let key = node.folder.key(&Random::system())?;
    let known = Known { url: membership.url, hub, key, tls: certificate::by_key() };
    let request = Request::builder()
        .method(method)
        .uri(format!("/nave/v1{path}"))
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))?;
    let answer = dial::api(&known).await?.send(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? };
    Ok((status, body))
}

pub struct Running {
    doors: Arc<Doors>,
    said: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
    stop: DropGuard,
}

impl Running {
    /// Ends it as a process ends that is killed.
    pub async fn ends(self) {
        drop(self.stop);
        self.task.abort();
        let _ = self.task.await;
    }

    pub async fn says(&self, words: &str) -> anyhow::Result<()> {
        let said = until(words, async || {
            self.said.lock().unwrap().iter().any(|said| said.starts_with(words)).then_some(())
        });
        said.await.with_context(|| format!("it said {:?}", self.said.lock().unwrap()))
    }
}

impl Running {
    /// Describes the places anew.
    pub async fn set(&self, places: Vec<ExportDescription>) -> anyhow::Result<()> {
        let problems = self.doors.set(places).await;
        anyhow::ensure!(problems.is_empty(), "{problems:?}");
        Ok(())
    }
}

pub fn place(name: &str, at: std::net::SocketAddr) -> ExportDescription {
    let tcp = TcpInterface { host: at.ip().to_string(), port: u64::from(at.port()), web_terminal: false };
    let part = Part {
        compatible: vec!["echo".to_owned()],
        tcp: BTreeMap::from([("talk".to_owned(), tcp)]),
        ..Part::default()
    };
    ExportDescription { name: name.to_owned(), port: 1, parts: vec![part], commands: Commands::default() }
}

/// An exporter beside the process that runs the node.
pub async fn export(node: &TestNode, places: Vec<ExportDescription>) -> anyhow::Result<Running> {
    let stop = CancellationToken::new();
    let attached = attach(node.folder.clone(), Random::system(), stop.clone(), |_| {}, |_| {})?;
    let doors = Doors::new(Sysfs::system(), Clock::system(), node.data().to_owned(), false);
    anyhow::ensure!(doors.set(places).await.is_empty());
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let hears = Arc::clone(&said);
    let exporter = Exporter::new(attached, Arc::clone(&doors), move |happening| {
        let words = match happening {
            ExportHappening::Offered(place) => format!("offered {place}"),
            ExportHappening::Refused { place, problem } => format!("refused {place}: {problem}"),
            ExportHappening::Held { place, lease: Some(lease) } => format!("{place}: {}", lease.holder),
            ExportHappening::Held { place, lease: None } => format!("{place}: free"),
            ExportHappening::Ran { place, run } => {
                format!("ran {} of {place}: {}", run.occasion.word(), run.ending())
            }
            ExportHappening::Lost { problem, .. } => format!("lost: {problem}"),
        };
        hears.lock().unwrap().push(words);
    });
    let task = tokio::spawn(async move { exporter.run().await.unwrap() });
    Ok(Running { doors, said, task, stop: stop.drop_guard() })
}

pub async fn hears_itself(forward: &TestForward) -> anyhow::Result<TcpStream> {
    let mut io = TcpStream::connect(forward.address).await?;
    io.write_all(b"board?").await?;
    let mut back = [0; 6];
    io.read_exact(&mut back).await?;
    anyhow::ensure!(&back == b"board?");
    Ok(io)
}

#[tokio::test]
async fn a_place_is_open_to_its_holder_alone_and_only_as_long() -> anyhow::Result<()> {
    let hub = farm("").await?;
    let echo = Echo::start().await?;
    let lab = node(&hub, "lab", "exporter").await?;
    let (ann, bob) = (node(&hub, "ann", "importer").await?, node(&hub, "bob", "importer").await?);
    let exporter = export(&lab, vec![place("bench", echo.address)]).await?;
    exporter.says("offered bench").await?;
    let target = format!("lab:{}", echo.address);
    assert!(ann.forward(&target).await.is_err(), "a place that nobody has is open");

    let (status, reserved) = ask(&ann, Method::POST, "/reservations", json!({ "name": "mine" })).await?;
    assert_eq!(
        (status, &reserved["place"], &reserved["holder"]),
        (StatusCode::OK, &json!("bench"), &json!("ann"))
    );
    exporter.says("bench: ann").await?;
    let forward = ann.forward(&target).await?;
    let mut io = hears_itself(&forward).await?;
    assert!(bob.forward(&target).await.is_err(), "a place is open to others than its holder");

    // Whoever does not wait is told who has it, and what is told is true.
    let (status, refused) = ask(&bob, Method::POST, "/reservations", json!({ "places": ["bench"] })).await?;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(refused["error"]["message"].as_str().unwrap().contains("ann has bench"), "{refused}");

    let waits = tokio::spawn(async move {
        let answer = ask(&bob, Method::POST, "/reservations", json!({ "wait": 60, "seconds": 600 })).await;
        (bob, answer)
    });
    let queue = until("bob waits", async || {
        let queue = ask(&ann, Method::GET, "/reservations/queue", json!({})).await.ok()?.1;
        (queue.as_array()?.len() == 1).then_some(queue)
    })
    .await?;
    assert_eq!(queue[0]["expected"], reserved["until"]);
    assert_eq!(queue[0]["mine"], false);
    let turn = ask(&ann, Method::GET, "/reservations/queue/turn", json!({})).await?.1;
    assert_eq!(turn, json!({ "waiting": 1, "own": null }));
    assert_eq!(ask(&ann, Method::DELETE, "/reservations/mine", json!({})).await?.0, StatusCode::NO_CONTENT);
    let (bob, passed_on) = waits.await?;
    assert_eq!(passed_on?.1["holder"], "bob");
    // The stream of whoever had it is cut.
    assert_eq!(io.read(&mut [0; 1]).await.unwrap_or(0), 0);
    hears_itself(&bob.forward(&target).await?).await?;

    let (_, shown) = ask(&bob, Method::GET, "/places/bench", json!({})).await?;
    assert_eq!(
        (&shown["place"]["node"], &shown["past"][0]["holder"], &shown["past"][0]["reason"]),
        (&json!("lab"), &json!("ann"), &json!("returned"))
    );
    assert_eq!(ask(&ann, Method::DELETE, "/reservations/bench", json!({})).await?.0, StatusCode::FORBIDDEN);
    Ok(())
}

#[tokio::test]
async fn restarts_take_nothing_away() -> anyhow::Result<()> {
    let hub = farm("").await?;
    let echo = Echo::start().await?;
    let mut lab = node(&hub, "lab", "exporter").await?;
    let ann = node(&hub, "ann", "importer").await?;
    let exporter = export(&lab, vec![place("bench", echo.address)]).await?;
    exporter.says("offered bench").await?;
    assert_eq!(ask(&ann, Method::POST, "/reservations", json!({})).await?.0, StatusCode::OK);
    exporter.says("bench: ann").await?;
    let target = format!("lab:{}", echo.address);

    // Another exporter of the same node takes the place over, with its lease.
    let second = export(&lab, vec![place("bench", echo.address)]).await?;
    second.says("bench: ann").await?;
    drop(exporter.stop);
    exporter.task.abort();
    hears_itself(&ann.forward(&target).await?).await?;

    // The process that runs the node is another: it learns anew what it may let others open.
    lab.stop().await?;
    lab.start()?;
    lab.happens("connected").await?;
    until("the place is reached again", async || hears_itself(&ann.forward(&target).await.ok()?).await.ok())
        .await?;

    // The description changes: the place is offered anew, and still hers.
    let moved = Echo::start().await?;
    second.doors.set(vec![place("bench", moved.address)]).await;
    let target = format!("lab:{}", moved.address);
    until("the new service is reached", async || hears_itself(&ann.forward(&target).await.ok()?).await.ok())
        .await?;
    second.doors.set(Vec::new()).await;
    until("the place is away", async || {
        let places = ask(&ann, Method::GET, "/places", json!({})).await.ok()?.1;
        (places[0]["here"] == false).then_some(())
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_place_out_of_service_is_given_to_nobody() -> anyhow::Result<()> {
    let (hub, boards) = farm_and_fleet("").await?;
    let echo = Echo::start().await?;
    let lab = node(&hub, "lab", "exporter").await?;
    let ann = node(&hub, "ann", "importer").await?;
    let exporter = export(&lab, vec![place("bench", echo.address)]).await?;
    exporter.says("offered bench").await?;
    let closed = "/places/bench/maintenance";
    let why = json!({ "reason": "smoke" });
    assert_eq!(ask(&ann, Method::PUT, closed, why.clone()).await?.0, StatusCode::FORBIDDEN);
    let operator = hub.operator();
    let close = |place: &'static str| {
        let why = serde_json::from_value(why.clone()).unwrap();
        let (operator, hub, boards) = (operator.clone(), Arc::clone(hub.hub()), boards.clone());
        async move { maintenance::close(&operator, &hub, &boards, place, why).await }
    };
    assert_eq!(close("unknown").await.unwrap_err().code(), "not_found");
    close("bench").await?;
    let (status, refused) = ask(&ann, Method::POST, "/reservations", json!({})).await?;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(
        refused["error"]["message"].as_str().unwrap().contains("bench is out of service (smoke)"),
        "{refused}"
    );

    // It stays so when the hub is started anew.
    let folder = hub.folder();
    drop((exporter, lab, ann));
    hub.stop().await;
    let boards = Boards::new(BoardsConfig::default())?;
    let setup = TestHubSetup { fleets: vec![Arc::new(boards.clone())], ..TestHubSetup::default() };
    let hub = TestHub::on(folder, setup).await?;
    let lab = node(&hub, "lab2", "exporter").await?;
    let ann = node(&hub, "ann2", "importer").await?;
    let exporter = export(&lab, vec![place("bench", echo.address)]).await?;
    exporter.says("offered bench").await?;
    assert_eq!(ask(&ann, Method::POST, "/reservations", json!({})).await?.0, StatusCode::CONFLICT);
    let waits =
        tokio::spawn(async move { ask(&ann, Method::POST, "/reservations", json!({ "wait": 60 })).await });
    until("ann waits", async || {
        let queue = nave_boards::hub::farm::queue(&hub.operator(), hub.hub()).ok()?;
        (!queue.is_empty()).then_some(())
    })
    .await?;
    maintenance::open(&hub.operator(), hub.hub(), &boards, "bench").await?;
    assert_eq!(waits.await??.0, StatusCode::OK);
    assert_eq!(
        maintenance::open(&hub.operator(), hub.hub(), &boards, "bench").await.unwrap_err().code(),
        "conflict"
    );
    Ok(())
}

#[tokio::test]
async fn a_reservation_is_extended_and_handed_over_and_its_time_ends() -> anyhow::Result<()> {
    let hub = farm("").await?;
    let echo = Echo::start().await?;
    let lab = node(&hub, "lab", "exporter").await?;
    let (ann, bob) = (node(&hub, "ann", "importer").await?, node(&hub, "bob", "importer").await?);
    let exporter = export(&lab, vec![place("bench", echo.address)]).await?;
    exporter.says("offered bench").await?;
    ask(&ann, Method::POST, "/reservations", json!({ "name": "mine", "seconds": 60 })).await?;
    let (status, refused) = ask(&ann, Method::POST, "/reservations", json!({ "name": "mine" })).await?;
    assert_eq!(status, StatusCode::CONFLICT, "{refused}");
    // Nobody waits for a place that is one's own.
    let (status, refused) = ask(&ann, Method::POST, "/reservations", json!({ "wait": 600 })).await?;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(
        refused["error"]["message"].as_str().unwrap().contains("bench is reserved for you already"),
        "{refused}"
    );
    let longer = ask(&ann, Method::PATCH, "/reservations/mine", json!({ "seconds": 3600 })).await?;
    assert_eq!(longer.0, StatusCode::OK);
    for bad in [json!({ "seconds": 0 }), json!({ "seconds": 40_000_000 }), json!({})] {
        assert_eq!(ask(&ann, Method::PATCH, "/reservations/mine", bad).await?.0, StatusCode::BAD_REQUEST);
    }
    assert_eq!(
        ask(&bob, Method::PATCH, "/reservations/bench", json!({ "seconds": 1 })).await?.0,
        StatusCode::FORBIDDEN
    );
    let target = format!("lab:{}", echo.address);
    let mut io = hears_itself(&ann.forward(&target).await?).await?;
    let over = ask(&ann, Method::POST, "/reservations/mine/hand-over", json!({ "to": "bob" })).await?;
    assert_eq!((over.0, &over.1["holder"]), (StatusCode::OK, &json!("bob")));
    assert_eq!(io.read(&mut [0; 1]).await.unwrap_or(0), 0);
    hears_itself(&bob.forward(&target).await?).await?;
    assert!(ann.forward(&target).await.is_err());
    let unknown = ask(&bob, Method::POST, "/reservations/bench/hand-over", json!({ "to": "nobody" })).await?;
    assert_eq!(unknown.0, StatusCode::NOT_FOUND);
    ask(&bob, Method::PATCH, "/reservations/bench", json!({ "seconds": 1 })).await?;
    exporter.says("bench: free").await?;
    Ok(())
}

#[tokio::test]
async fn only_nodes_with_the_role_offer_places_and_each_its_own() -> anyhow::Result<()> {
    let hub = farm("").await?;
    let echo = Echo::start().await?;
    let (lab, other) = (node(&hub, "lab", "exporter").await?, node(&hub, "other", "exporter").await?);
    let ann = node(&hub, "ann", "importer").await?;
    let first = export(&lab, vec![place("bench", echo.address)]).await?;
    first.says("offered bench").await?;
    let second = export(&other, vec![place("bench", echo.address), place("bad\nname", echo.address)]).await?;
    second.says("refused bench: another exporter offers a place named").await?;
    second.says("refused bad\nname: name: must be 1 to 100 characters").await?;
    let third = export(&ann, vec![place("own", echo.address)]).await?;
    third.says("lost: place.register takes the role exporter, which this node does not have").await?;

    // A role that is taken away takes the places with it, and comes back with them.
    let becomes = |role: &str| {
        let change = NodeChange { roles: Some(vec![role.to_owned()]), ..NodeChange::default() };
        let (op, hub) = (hub.operator(), hub.hub());
        async move { nodes::change(&op, hub, "lab", &change).await }
    };
    let offered = async || {
        let places = ask(&ann, Method::GET, "/places", Value::Null).await.ok()?.1;
        Some(places.as_array()?.iter().any(|place| place["node"] == "lab"))
    };
    assert_eq!(offered().await, Some(true));
    becomes("host").await?;
    until("its place is gone", async || (!offered().await?).then_some(())).await?;
    becomes("exporter").await?;
    until("its place is back, or the other's in its stead", async || {
        let places = ask(&ann, Method::GET, "/places", Value::Null).await.ok()?.1;
        (places.as_array()?.len() == 1).then_some(())
    })
    .await
}
