//! The hub is killed at random moments under load: nothing that was acknowledged is missing, nothing is there twice.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use nave_core::api::{Event, InviteRequest};
use nave_link::random::Random;
use tokio::net::UnixStream;

use crate::program::{Background, NAVE, run};

/// Rounds, unless `NAVE_KILL_ROUNDS` says otherwise.
const ROUNDS: usize = 20;
const CLIENTS: usize = 8;

fn hub(data: &Path) -> anyhow::Result<Background> {
    let mut command = tokio::process::Command::new(NAVE);
    command.args(["hub", "--listen", "127.0.0.1:0"]).env("NAVE_DIR", data);
    Background::start(&mut command)
}

/// Invites under new names until the hub is gone; notes each name before it asks and after it has its answer.
async fn invite_until_killed(
    data: &Path,
    client: String,
    asked: Arc<Mutex<BTreeSet<String>>>,
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
) -> anyhow::Result<()> {
    let io = UnixStream::connect(data.join("hub.sock")).await?;
    let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(driver);
    for number in 0.. {
        let name = format!("{client}-{number}");
        let request = InviteRequest { name: Some(name.clone()), ..InviteRequest::default() };
        let body = Full::new(Bytes::from(serde_json::to_vec(&request)?));
        let request = http::Request::post("/nave/v1/invites").header("host", "hub").body(body)?;
        asked.lock().unwrap().insert(name.clone());
        let answer = sender.send_request(request).await?;
        let good = answer.status().is_success();
        answer.into_body().collect().await?;
        if good {
            acknowledged.lock().unwrap().insert(name);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_killed_hub_keeps_every_acknowledged_write() -> anyhow::Result<()> {
    let rounds =
        std::env::var("NAVE_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let data = tempfile::tempdir()?;
    let (asked, acknowledged) =
        (Arc::<Mutex<BTreeSet<String>>>::default(), Arc::<Mutex<BTreeSet<String>>>::default());
    let random = Random::system();
    for round in 0..rounds {
        let mut hub = hub(data.path())?;
        hub.says("the hub is ready").await?;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (data, asked, acknowledged) =
                    (data.path().to_owned(), asked.clone(), acknowledged.clone());
                tokio::spawn(async move {
                    // It ends with an error: the hub is killed while it asks.
                    let _ =
                        invite_until_killed(&data, format!("r{round}c{client}"), asked, acknowledged).await;
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(u64::from(random.bytes::<1>()[0]))).await;
        hub.child.kill().await?;
        for client in clients {
            client.await?;
        }
    }
    let hub = hub(data.path())?;
    hub.says("the hub is ready").await?;
    let mut export = tokio::process::Command::new(NAVE);
    export.args(["audit", "--action", "node.invited", "--export"]).env("NAVE_DIR", data.path());
    let lines = run(&mut export).await?.ok()?;
    let mut found = BTreeSet::new();
    for line in lines.lines() {
        let event: Event = serde_json::from_str(line)?;
        assert!(found.insert(event.object.clone()), "{} is there twice", event.object);
    }
    let (asked, acknowledged) = (asked.lock().unwrap(), acknowledged.lock().unwrap());
    assert!(acknowledged.len() > rounds, "hardly anything was written: this proves nothing");
    let missing: Vec<_> = acknowledged.difference(&found).collect();
    assert!(
        missing.is_empty(),
        "{} of {} acknowledged writes are missing: {missing:?}",
        missing.len(),
        acknowledged.len()
    );
    let invented: Vec<_> = found.difference(&asked).collect();
    assert!(invented.is_empty(), "never asked for: {invented:?}");
    Ok(())
}
