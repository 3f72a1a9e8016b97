//! Reserving when things go wrong: exporters that say nothing, wishes taken back at the worst moment, connections and
//! hubs that come and go.

use std::time::Duration;

use nave_boards::hub::farm::turn;
use nave_boards::hub::{Boards, config::BoardsConfig};
use nave_core::hub::leases::{Want, Wanted};
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::wait::until;
use serde_json::{Value, json};

use crate::client::{Client, OPEN, body, farm, get};

const AGENT: &str = "10.77.0.3";
const EXPORTER: &str = "10.77.0.2";

fn reserved(hub: &TestHub) -> Vec<String> {
    let pool = hub.hub().leases.pool("boards").unwrap();
    pool.held().into_iter().map(|held| held.lease.resource).collect()
}

#[tokio::test]
async fn a_cancel_that_races_a_grant_leaks_nothing() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut exporter = Client::connect(&hub, EXPORTER).await?;
    let place = exporter.register("place").await?;
    let exporter = tokio::spawn(async move { while exporter.lets_in().await.is_ok() {} });
    let mut agent = Client::connect(&hub, AGENT).await?;
    let mut taken_back = 0;
    for turn in 0..200 {
        assert_eq!(agent.call("reserve", json!([[place]])).await?, Ok(json!(place)), "turn {turn}");
        let waiting = agent.begin("reserve", json!([[place]])).await?;
        let returning = agent.begin("return_reservation", json!([place])).await?;
        let cancelling = agent.begin("rpc.cancel", json!([waiting])).await?;
        let mut answered = Vec::new();
        while !(answered.contains(&returning) && answered.contains(&cancelling)) {
            let answer = agent.next().await?;
            answered.push(answer["id"].as_u64().unwrap());
        }
        if answered.contains(&waiting) {
            assert_eq!(agent.call("return_reservation", json!([place])).await?, Ok(Value::Null));
        } else {
            taken_back += 1;
        }
        until("nobody has it", || async { reserved(&hub).is_empty().then_some(()) }).await?;
    }
    assert!(taken_back > 0, "nothing was ever taken back: the race was not run");
    exporter.abort();
    Ok(())
}

#[tokio::test]
async fn an_exporter_that_says_nothing_holds_up_nobody() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut silent = Client::connect(&hub, EXPORTER).await?;
    let dead = silent.register("dead").await?;
    let mut exporter = Client::connect(&hub, EXPORTER).await?;
    let alive = exporter.register("alive").await?;
    let mut first = Client::connect(&hub, AGENT).await?;
    let mut second = Client::connect(&hub, AGENT).await?;

    let stuck = first.begin("reserve", json!([[dead]])).await?;
    let asked = silent.next().await?;
    assert_eq!(asked["method"], "set_allowed_ips");
    let begun = std::time::Instant::now();
    second.begin("reserve", json!([[alive]])).await?;
    exporter.lets_in().await?;
    assert_eq!(second.next().await?["result"], alive);
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "the other place was held up for {:?}",
        begun.elapsed()
    );
    second.begin("return_reservation", json!([alive])).await?;
    exporter.lets_in().await?;
    second.next().await?;

    let failed = first.next().await?;
    assert_eq!(failed["id"], stuck);
    let words = failed["error"]["message"].as_str().unwrap();
    assert_eq!(words, "dead: the exporter does not answer");
    // From now on it is the last choice.
    for _ in 0..5 {
        second.begin("reserve", json!([[dead, alive]])).await?;
        exporter.lets_in().await?;
        assert_eq!(second.next().await?["result"], alive);
        second.begin("return_reservation", json!([alive])).await?;
        exporter.lets_in().await?;
        second.next().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_wish_falls_to_the_next_place_when_the_first_says_nothing() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut silent = Client::connect(&hub, EXPORTER).await?;
    let dead = silent.register("dead").await?;
    let mut agent = Client::connect(&hub, AGENT).await?;
    // It is chosen first, since it is the only one; then another one comes that is more common.
    let mut exporter = Client::connect(&hub, EXPORTER).await?;
    let alive = exporter.register("alive").await?;
    agent.begin("reserve", json!([[alive]])).await?;
    exporter.lets_in().await?;
    agent.next().await?;
    agent.begin("return_reservation", json!([alive])).await?;
    exporter.lets_in().await?;
    agent.next().await?;

    agent.begin("reserve", json!([[dead, alive]])).await?;
    assert_eq!(silent.next().await?["params"], json!([[AGENT]]), "the more common place is asked first");
    assert_eq!(exporter.lets_in().await?, json!([AGENT]));
    assert_eq!(agent.next().await?["result"], alive);
    until("the other is free", || async { (reserved(&hub) == ["alive"]).then_some(()) }).await?;
    Ok(())
}

#[tokio::test]
async fn what_an_exporter_answers_is_passed_on_and_the_place_is_free() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut exporter = Client::connect(&hub, EXPORTER).await?;
    let place = exporter.register("place").await?;
    let mut agent = Client::connect(&hub, AGENT).await?;
    agent.begin("reserve", json!([[place]])).await?;
    let asked = exporter.next().await?;
    let error = json!({ "code": -32603, "message": "no", "data": { "traceback": "line 1\nline 2\n" } });
    exporter.send(&json!({ "jsonrpc": "2.0", "id": asked["id"], "error": error })).await?;
    let answer = agent.next().await?;
    let words = answer["error"]["message"].as_str().unwrap();
    assert!(words.ends_with("no\n    line 1\n    line 2"), "{words}");
    assert_eq!(exporter.lets_in().await?, json!([]));
    until("nobody has it", || async { reserved(&hub).is_empty().then_some(()) }).await?;
    Ok(())
}

#[tokio::test]
async fn an_exporter_that_comes_back_is_still_reserved() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut exporter = Client::connect(&hub, EXPORTER).await?;
    let old = exporter.register("place").await?;
    let mut agent = Client::connect(&hub, AGENT).await?;
    agent.begin("reserve", json!([[old]])).await?;
    exporter.lets_in().await?;
    agent.next().await?;
    drop(exporter);
    let gone = || async {
        let places = body(&get(&hub, AGENT, "/api/v1/places").await.ok()?).ok()?;
        places["places"].as_array()?.is_empty().then_some(())
    };
    until("the place is gone", gone).await?;

    let mut exporter = Client::connect(&hub, EXPORTER).await?;
    let new = exporter.register("place").await?;
    assert_ne!(old, new);
    assert_eq!(exporter.lets_in().await?, json!([AGENT]), "the holder is let in again");
    let mut other = Client::connect(&hub, "10.77.0.4").await?;
    let who = other.call("get_reservations", json!({})).await?.unwrap();
    assert_eq!(who["reservations"][0]["place_id"], new);
    other.begin("reserve", json!([[new]])).await?;
    assert!(other.is_quiet().await, "a place was given to two");
    // The holder calls it by the number that it knows.
    assert_eq!(agent.call("return_reservation", json!([old])).await?, Ok(Value::Null));
    assert_eq!(exporter.lets_in().await?, json!(["10.77.0.4"]));
    assert_eq!(other.next().await?["result"], new);
    Ok(())
}

#[tokio::test]
async fn a_reservation_survives_hub_exporter_and_agent() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut exporter = Client::connect(&hub, EXPORTER).await?;
    let place = exporter.register("place").await?;
    let mut agent = Client::connect(&hub, AGENT).await?;
    agent.begin("reserve", json!([[place]])).await?;
    exporter.lets_in().await?;
    agent.next().await?;
    let folder = hub.folder();
    hub.stop().await;
    assert!(agent.next().await.unwrap_err().to_string().contains("service restart"));

    let boards = Boards::new(BoardsConfig::read(&OPEN.parse()?)?)?;
    let setup = TestHubSetup { fleets: vec![std::sync::Arc::new(boards)], ..TestHubSetup::default() };
    let hub = TestHub::on(folder, setup).await?;
    let mut exporter = Client::connect(&hub, EXPORTER).await?;
    let place = exporter.register("place").await?;
    assert_eq!(exporter.lets_in().await?, json!([]), "its holder is not here yet");
    let mut other = Client::connect(&hub, "10.77.0.4").await?;
    other.begin("reserve", json!([[place]])).await?;
    assert!(other.is_quiet().await, "the place was given away");
    let mut agent = Client::connect(&hub, AGENT).await?;
    agent.begin("reserve", json!([[place]])).await?;
    assert_eq!(exporter.lets_in().await?, json!([AGENT]));
    assert_eq!(agent.next().await?["result"], place, "its own, before whoever waits");
    Ok(())
}

#[tokio::test]
async fn sign_ins_are_passed_on() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut login = Client::connect(&hub, AGENT).await?;
    login.begin("get_authentication_response", json!(["secret-state"])).await?;
    assert_eq!(login.next().await?["method"], "oidc_callback_registered");
    let back = get(&hub, AGENT, "/oidc-callback?state=secret-state&code=a%20b").await?;
    assert!(back.ends_with("\r\n\r\nContinue in not-my-board CLI"), "{back}");
    assert_eq!(login.next().await?["result"], json!({ "state": "secret-state", "code": "a b" }));
    let unknown = get(&hub, AGENT, "/oidc-callback?state=x").await?;
    assert!(unknown.starts_with("HTTP/1.1 500"), "{unknown}");
    assert!(unknown.ends_with("KeyError in request handler: 'x'"), "{unknown}");
    Ok(())
}

#[tokio::test]
async fn whoever_waits_is_told_its_turn_in_few_words() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut agent = Client::connect(&hub, AGENT).await?;
    let mut exporters = Vec::new();
    for number in 0..7 {
        let mut exporter = Client::connect(&hub, EXPORTER).await?;
        let place = exporter.register(&format!("place-{number}")).await?;
        agent.begin("reserve", json!([[place]])).await?;
        exporter.lets_in().await?;
        assert_eq!(agent.next().await?["result"], place);
        exporters.push(exporter);
    }
    let (pool, op) = (hub.hub().leases.pool("boards").unwrap(), hub.operator());
    assert_eq!(turn(&op, hub.hub())?.own, None);
    let acceptable = (0..7).filter_map(|number| pool.id_of(&format!("place-{number}"))).collect();
    let wants = vec![Want { acceptable, label: String::new() }];
    let wanted = Wanted { wants, seat: None, priority: 0, expires_in: None, waits: true };
    let mut waiting = std::pin::pin!(pool.acquire(&op, hub.hub(), wanted, |_| 0));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    let told = turn(&op, hub.hub())?;
    let own = told.own.unwrap();
    assert_eq!((told.waiting, own.position, own.expected), (1, 1, None));
    assert_eq!((own.wants[0].places.len(), own.wants[0].more), (5, 2));
    Ok(())
}
