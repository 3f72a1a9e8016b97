//! A hub with much on it: thousands of nodes that joined, people, and a long audit log. All of it comes about by what the
//! hub itself has for it; only the past is made up.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nave_core::api::Node;
use nave_core::clock::Clock;
use nave_core::hub::bus::{Bus, LocalBus};
use nave_core::hub::event::{self, Event};
use nave_core::hub::http::MIGRATIONS;
use nave_core::hub::op::{Actor, Op, Person, Via};
use nave_core::hub::store::{DatabaseUrl, Store};
use nave_core::id::{RequestId, SessionId};
use nave_link::key::SecretKey;
use nave_link::rpc::Peer;
use serde_json::{Value, json};

use crate::client::{self, Visitor};
use crate::farm::Hub;
use crate::nodes;

/// How many nodes there are, and how many of them are not connected.
pub const NODES: usize = 3000;
const AWAY: usize = 300;
/// How many people, beside the administrator.
pub const PEOPLE: usize = 300;
/// How many rows the audit log has, beside those that all this leaves there, and over how long.
pub const EVENTS: usize = 100_000;
const DAYS: u64 = 300;
/// Rows that are written together.
const TOGETHER: usize = 1000;

/// What is on a hub.
pub struct Crowd {
    pub admin: Visitor,
    /// The administrator's or anybody's page is known by an id.
    pub person: String,
    _nodes: Vec<(SecretKey, Peer)>,
}

impl Crowd {
    /// Fills a hub that has just started.
    pub async fn on(hub: &Hub, database: Option<&str>) -> anyhow::Result<Self> {
        let mut nodes = nodes::join_many(hub, 0, NODES, &nodes::talkative()).await?;
        for (_, peer) in nodes.drain(NODES - AWAY..) {
            peer.close("it is switched off");
        }
        hub.until_connected(NODES - AWAY).await?;
        let admin = client::administrator(hub).await?;
        let mut people = Vec::with_capacity(PEOPLE);
        for number in 0..PEOPLE {
            // Every third is let near one machine only.
            let scope = if number % 3 == 0 { format!("node:node-{number}") } else { "*".to_owned() };
            people.push(client::invite(&admin, number, "operator", &scope).await?.0);
        }
        let listed: Vec<Node> = serde_json::from_str(&hub.command(&["node", "list", "--json"]).await?)?;
        let url = match database {
            Some(url) => url.parse()?,
            None => DatabaseUrl::in_folder(&hub.data()),
        };
        let store = Store::open(url, &hub.data(), &[MIGRATIONS], &Clock::system()).await?;
        let filled = remember(&store, &listed, &people).await;
        store.close().await;
        filled?;
        Ok(Self { admin, person: people.pop().context("there are people")?, _nodes: nodes })
    }
}

/// Writes what happened in the past.
async fn remember(store: &Store, nodes: &[Node], people: &[String]) -> anyhow::Result<()> {
    let now = Clock::system().now();
    let span = Duration::from_hours(24 * DAYS);
    let clock = Clock::manual(now - span);
    let step = span / u32::try_from(EVENTS)?;
    let bus: Arc<dyn Bus> = LocalBus::new();
    for first in (0..EVENTS).step_by(TOGETHER) {
        let mut act = store.begin().await?;
        for number in first..first + TOGETHER {
            clock.advance(step);
            // A prime steps through both lists without a pattern that would meet the kinds of events.
            let (node, who) = (number * 7919 % nodes.len(), number * 7907 % people.len());
            let person = Person {
                id: people[who].parse()?,
                name: format!("Person {who}"),
                rights: Arc::default(),
                via: Via::Session(SessionId::new()),
            };
            let op = Op {
                source: Some([192, 0, 2, 1].into()),
                request: RequestId::new(),
                clock: clock.clone(),
                actor: Actor::Person(person),
            };
            event::record(&mut act, &op, &bus, happening(number, &nodes[node], &people[who], who)).await?;
        }
        act.commit().await?;
    }
    Ok(())
}

/// What is seldom stands among the oldest rows only: whoever looks for it looks through all of them.
fn happening(number: usize, node: &Node, person: &str, who: usize) -> Event {
    let target = json!({ "target": "127.0.0.1:8080", "from": "laptop" });
    let (action, detail) = match number % 20 {
        _ if number < 3 => ("person.disabled", Value::Null),
        0..11 => ("stream.opened", target),
        11..16 => ("person.signed_in", json!({ "with": "code" })),
        16 | 17 => ("grant.added", json!({ "action": "open", "scope": format!("{}:8080", node.name) })),
        18 => ("node.labelled", json!({ "labels": { "board": "stm32", "room": "2.17" } })),
        _ => ("node.roles_set", json!({ "roles": ["exporter"] })),
    };
    if action.starts_with("person") {
        let (object_id, object_name) = (person.to_owned(), format!("Person {who}"));
        return Event { action, object_kind: "person", object_id, object_name, detail };
    }
    Event { action, object_kind: "node", object_id: node.id.clone(), object_name: node.name.clone(), detail }
}
