//! A host that comes a second time: the first is asked whether it lives.

use nave_core::api::EventFilter;
use nave_core::hub::event;
use nave_testkit::need::need;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::{Farm, Setup, auth, come};
use crate::clients::Clients;

#[tokio::test]
async fn a_first_that_lives_stays_and_its_twin_waits_until_it_ends() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = Farm::with(Setup::default()).await?;
    let key = farm.runner("BOX").await?;
    let mut twins = Clients::of(&farm.hub)?;
    come(&mut twins, "TWIN", &key, auth(&key, "BOX", "naisys")).await?;
    twins.sees("TWIN", "attempt").await?;
    assert!(!twins.has_seen("TWIN", "connect_error") && !twins.has_seen("TWIN", "connect"));
    let filter = EventFilter { action: Some("node.used_twice".to_owned()), ..EventFilter::default() };
    let noted = event::list(&farm.op(), &farm.hub.hub().store, &filter).await?;
    assert_eq!(noted[0].detail["connected_from"], "127.0.0.1");
    assert_eq!(
        farm.ask("BOX", "mail_unread", json!({ "userId": 2, "kind": "mail" })).await?["success"],
        true
    );
    assert!(!farm.clients.has_seen("BOX", "disconnect"));
    farm.clients.tell(json!({ "do": "leave", "id": "BOX" })).await?;
    twins.sees("TWIN", "connect").await?;
    Ok(())
}

#[tokio::test]
async fn a_first_that_is_frozen_makes_room() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = Farm::with(Setup::default()).await?;
    let key = farm.runner("BOX").await?;
    let frozen = Pid::from_raw(farm.clients.process()?.try_into()?);
    kill(frozen, Signal::SIGSTOP)?;
    let mut twins = Clients::of(&farm.hub)?;
    come(&mut twins, "TWIN", &key, auth(&key, "BOX", "naisys")).await?;
    twins.sees("TWIN", "connect").await?;
    assert!(!twins.has_seen("TWIN", "attempt"), "it was held and not sent away");
    assert_eq!(
        twins.ask("TWIN", "mail_unread", json!({ "userId": 2, "kind": "mail" })).await?["success"],
        true
    );
    // The first wakes up, comes again, and is the twin now.
    kill(frozen, Signal::SIGCONT)?;
    farm.clients.sees("BOX", "disconnect").await?;
    farm.clients.sees("BOX", "attempt").await?;
    assert!(!twins.has_seen("TWIN", "disconnect"));
    Ok(())
}
