//! Many nodes: what an idle one costs the hub, and how soon all are back after a restart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use nave_link::certificate;
use nave_link::dial;
use nave_link::handshake::{Credential, ExpectedHub, NodeSide};
use nave_link::key::SecretKey;
use nave_link::protocol::NodeReport;
use nave_link::random::Random;
use nave_link::rpc::{Handler, Limits, Peer, RpcError};
use nave_link::token::JoinToken;

use crate::farm::Hub;
use crate::stats::{Row, Table, spread};

/// Handshakes under way at once: more would only wait for the same cores.
const AT_ONCE: usize = 32;

struct Silent;

impl Handler for Silent {
    fn call(
        &self,
        method: String,
        _: Box<serde_json::value::RawValue>,
    ) -> BoxFuture<'static, Result<Box<serde_json::value::RawValue>, RpcError>> {
        Box::pin(async move { Err(RpcError::unknown_method(&method)) })
    }

    fn notice(&self, _: &str, _: &serde_json::value::RawValue) {}
}

/// One node's way in; with a token the first time.
async fn connect(
    hub: &Hub,
    key: &SecretKey,
    token: Option<(JoinToken, String)>,
    report: NodeReport,
) -> anyhow::Result<Peer> {
    let (mut socket, exporter) = dial::link(&hub.url(), certificate::by_key()).await?;
    let expected = ExpectedHub::Verified;
    let (credential, name) = token.map(|(token, name)| (Credential::Token(token.secret), name)).unzip();
    let side = NodeSide { key, hub: &expected, credential, name, report };
    side.run(&mut socket, exporter, |_| {}).await?;
    let limits = Limits { heartbeat: Some(Duration::from_secs(10)), lost_after: Duration::from_mins(1) };
    Ok(Peer::start(socket, Arc::new(Silent), limits))
}

/// Lets the nodes `node-FROM` up to, and without, `node-TO` join, each with what it says about itself.
pub async fn join_many(
    hub: &Hub,
    from: usize,
    to: usize,
    report: &NodeReport,
) -> anyhow::Result<Vec<(SecretKey, Peer)>> {
    let mut joined = Vec::new();
    for first in (from..to).step_by(1000) {
        let last = to.min(first + 1000);
        let token = hub.invite(&["--role", "exporter", "--uses", &(last - first).to_string()]).await?;
        let mut joining = FuturesUnordered::new();
        for number in first..last {
            let (token, report) = (token.clone(), report.clone());
            joining.push(async move {
                let key = SecretKey::generate(&Random::system());
                let peer = connect(hub, &key, Some((token, format!("node-{number}"))), report).await?;
                anyhow::Ok((key, peer))
            });
            if joining.len() >= AT_ONCE
                && let Some(one) = joining.next().await
            {
                joined.push(one?);
            }
        }
        while let Some(one) = joining.next().await {
            joined.push(one?);
        }
    }
    Ok(joined)
}

/// What a node of a farm says about itself.
pub fn talkative() -> NodeReport {
    NodeReport {
        software: format!("nave {}", env!("CARGO_PKG_VERSION")),
        allow: vec!["127.0.0.1:8080".to_owned(), "127.0.0.1:22".to_owned()],
        addresses: vec![[10, 0, 4, 17].into(), [172, 17, 0, 1].into()],
        labels: [("board", "stm32"), ("room", "2.17")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..NodeReport::default()
    }
}

pub async fn memory() -> anyhow::Result<Table> {
    let (hub, silent) = (Hub::start(&[]).await?, NodeReport::default());
    let _warm = join_many(&hub, 0, 50, &silent).await?;
    let before = hub.memory()?;
    let mut rows = Vec::new();
    let mut held = join_many(&hub, 50, 1050, &silent).await?;
    let at_thousand = hub.memory()?;
    let per_node = |kb: u64, nodes: f64| format!("{:.1} kB", (kb.saturating_sub(before)) as f64 / nodes);
    rows.push(Row::new("per idle node, at 1,000", per_node(at_thousand, 1000.0), "under 40 kB"));
    held.extend(join_many(&hub, 1050, 5050, &silent).await?);
    let at_five = hub.memory()?;
    rows.push(Row::new("per idle node, at 5,000", per_node(at_five, 5000.0), "under 40 kB"));
    let alive = held.iter().filter(|(_, peer)| !peer.is_closed()).count();
    rows.push(Row::new("links still standing at the end", format!("{alive} of 5000"), "all"));
    Ok(Table {
        title: "Memory per connected node",
        note: "Growth of the hub's resident memory over that with 50 nodes, all over TLS, each with its control link.".to_owned(),
        rows,
    })
}

pub async fn storm() -> anyhow::Result<Table> {
    const NODES: usize = 1000;
    const RUNS: usize = 5;
    let mut hub = Hub::start(&[]).await?;
    let mut nodes = join_many(&hub, 0, NODES, &NodeReport::default()).await?;
    let mut times = Vec::new();
    for _ in 0..RUNS {
        hub.kill().await?;
        for (_, peer) in &nodes {
            peer.closed().await;
        }
        let begun = Instant::now();
        hub.launch().await?;
        let mut returning: FuturesUnordered<_> = nodes.iter().map(|(key, _)| come_back(&hub, key)).collect();
        let mut back = Vec::with_capacity(NODES);
        while let Some(peer) = returning.next().await {
            back.push(peer);
        }
        times.push(begun.elapsed().as_secs_f64());
        drop(returning);
        nodes = nodes.into_iter().map(|(key, _)| key).zip(back).collect();
    }
    Ok(Table {
        title: "Reconnect storm",
        note: format!(
            "{NODES} nodes, all of them cut by `kill -9` of the hub and all trying at once; from exec of the hub until the last one is in. The nodes run on the same cores."
        ),
        rows: vec![Row::new("until all are present", spread(times).show("s"), "under 5 s")],
    })
}

async fn come_back(hub: &Hub, key: &SecretKey) -> Peer {
    loop {
        if let Ok(peer) = connect(hub, key, None, NodeReport::default()).await {
            return peer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
