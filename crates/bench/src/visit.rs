//! What a first visit loads: bytes as they are sent, TLS and headers among them, and how many requests there are.

use std::collections::BTreeSet;

use anyhow::Context as _;
use nave_link::address::HubUrl;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::client::{self, Visitor};
use crate::farm::Hub;
use crate::nodes;
use crate::stats::{Row, Table, size};

/// As many as the overview draws one by one.
pub const NODES: usize = 400;
const AIM: &str = "under 150 kB";

/// Carries one connection to the hub, and counts what comes back over it.
async fn counted(hub: &Hub) -> anyhow::Result<(HubUrl, JoinHandle<std::io::Result<u64>>)> {
    let (listener, to) = (TcpListener::bind("127.0.0.1:0").await?, hub.address);
    let here = listener.local_addr()?;
    let carried = tokio::spawn(async move {
        let (mut near, _) = listener.accept().await?;
        let mut far = TcpStream::connect(to).await?;
        Ok(tokio::io::copy_bidirectional(&mut near, &mut far).await?.1)
    });
    Ok((HubUrl::new(here.ip().to_string(), here.port()), carried))
}

/// Loads a page, and with `all` the files that it names; returns bytes and requests.
async fn load(hub: &Hub, cookie: Option<&str>, path: &str, all: bool) -> anyhow::Result<(u64, usize)> {
    let (url, carried) = counted(hub).await?;
    let visitor = Visitor::with_cookie(&url, cookie.map(ToOwned::to_owned)).await?;
    let page = String::from_utf8(visitor.page(path).await?.into())?;
    let files = if all { files(&page) } else { BTreeSet::new() };
    for file in &files {
        visitor.page(file).await?;
    }
    // The connection ends with whoever made it.
    drop(visitor);
    Ok((carried.await??, 1 + files.len()))
}

/// The files that a page names, each once.
fn files(page: &str) -> BTreeSet<&str> {
    let named = page.match_indices("\"/assets/").map(|(at, _)| &page[at + 1..]);
    named.filter_map(|rest| rest.split(['"', '#']).next()).collect()
}

pub async fn run() -> anyhow::Result<Table> {
    let hub = Hub::start(&[]).await?;
    let _nodes = nodes::join_many(&hub, 0, NODES, &nodes::talkative()).await?;
    let admin = client::administrator(&hub).await?;
    let cookie = admin.cookie.as_deref();
    cookie.context("the administrator is signed in")?;
    let mut rows = Vec::new();
    for (what, cookie, path, all, aim) in [
        ("sign-in page and its files", None, "/sign-in", true, AIM),
        ("overview and its files", cookie, "/", true, AIM),
        ("overview, when its files are kept from the sign-in page", cookie, "/", false, ""),
    ] {
        let (bytes, requests) = load(&hub, cookie, path, all).await.context(what)?;
        let requests = if requests == 1 { "1 request".to_owned() } else { format!("{requests} requests") };
        rows.push(Row::new(what, format!("{} in {requests}", size(bytes)), aim));
    }
    Ok(Table {
        title: "First visit",
        note: format!(
            "What the hub sends over a new connection to a browser that takes compressed answers and has nothing kept: HTTP/2, TLS and its handshake included. The overview of {NODES} nodes, which is the most that it draws one by one."
        ),
        rows,
    })
}
