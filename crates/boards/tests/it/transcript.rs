//! A recorded day on a farm of not-my-board 0.13.0, played again: its exporters and its agent say what they said then,
//! and this hub must say what that hub said, on each connection in the same order.

use std::collections::HashMap;

use nave_testkit::hub::TestHub;
use serde_json::Value;

use crate::client::{Client, OPEN, body, farm, get, without_traceback};

const RECORDED: &str = include_str!("../golden/not_my_board_transcript.jsonl");

fn address(who: &Value) -> &'static str {
    if who == "agent" { "10.77.0.3" } else { "10.77.0.2" }
}

async fn play(hub: &TestHub) -> anyhow::Result<usize> {
    let mut clients: HashMap<u64, Client> = HashMap::new();
    let mut listed = None;
    let mut compared = 0;
    for (at, line) in RECORDED.lines().enumerate() {
        let row: Value = serde_json::from_str(line)?;
        let (link, kind) = (row["link"].as_str().unwrap(), row["kind"].as_str().unwrap());
        let (number, from_hub) = (row["conn"].as_u64().unwrap(), row["frm"] == "hub");
        match (link, kind) {
            ("ws", "response") => {
                clients.insert(number, Client::connect(hub, address(&row["to"])).await?);
            }
            ("ws", "frame") if from_hub => {
                let said = clients.get_mut(&number).unwrap().next().await;
                let said = said.map_err(|error| error.context(format!("line {}: {line}", at + 1)))?;
                assert_eq!(said, without_traceback(row["json"].clone()), "line {}", at + 1);
                compared += 1;
            }
            ("ws", "frame") => clients.get_mut(&number).unwrap().send(&row["json"]).await?,
            ("ws", "eof") if !from_hub => drop(clients.remove(&number)),
            ("http", "request") => listed = Some(get(hub, "10.77.0.3", "/api/v1/places").await?),
            ("http", "body") => {
                assert_eq!(body(&listed.take().unwrap())?, row["json"], "line {}", at + 1);
                compared += 1;
            }
            _ => {}
        }
    }
    Ok(compared)
}

#[tokio::test]
async fn a_recorded_day_goes_as_it_went() -> anyhow::Result<()> {
    for grace in ["grace = \"0s\"", "grace = \"2m\""] {
        let hub = farm(&format!("{grace}\n{OPEN}")).await?;
        let compared = play(&hub).await?;
        assert_eq!(compared, 51, "not all that was recorded was compared");
        hub.stop().await;
    }
    Ok(())
}
