//! More than anybody needs: agents that ask without end, and farms of ten thousand places.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use http::{Method, StatusCode};
use nave_boards::link::{PATH, PlaceOffer};
use nave_link::certificate;
use nave_link::dial::{self, Known};
use nave_link::random::Random;
use nave_link::rpc::{Handler, Limits, Peer, RpcError};
use nave_testkit::node::TestNode;
use nave_testkit::wait::{PATIENCE, until};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::client::{Client, OPEN, body, farm, get};
use crate::native::{ask, node};

/// Lets everybody in.
struct Willing;

impl Handler for Willing {
    fn call(&self, _: String, _: Box<RawValue>) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
        async { Ok(RawValue::NULL.to_owned()) }.boxed()
    }

    fn notice(&self, _: &str, _: &RawValue) {}
}

/// An exporter's link.
async fn link(node: &TestNode) -> anyhow::Result<Peer> {
    let membership = node.membership()?;
    let key = node.folder.key(&Random::system())?;
    let known = Known { url: membership.url, hub: membership.hub_keys[0], key, tls: certificate::by_key() };
    let socket = dial::websocket(&known, PATH).await?;
    Ok(Peer::start(socket, Arc::new(Willing), Limits { heartbeat: None, lost_after: PATIENCE }))
}

#[tokio::test]
async fn who_asks_without_end_waits_and_nobody_else_does() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut exporter = Client::connect(&hub, "10.77.0.2").await?;
    let (taken, free) = (exporter.register("taken").await?, {
        let mut second = Client::connect(&hub, "10.77.0.2").await?;
        let id = second.register("free").await?;
        tokio::spawn(async move { while second.lets_in().await.is_ok() {} });
        id
    });
    tokio::spawn(async move { while exporter.lets_in().await.is_ok() {} });
    let mut holder = Client::connect(&hub, "10.77.0.3").await?;
    assert_eq!(holder.call("reserve", json!([[taken]])).await?, Ok(json!(taken)));

    // One asks for answers that it does not read, until the hub reads no more from it; another waits for one place as often
    // as it may.
    let mut deaf = Client::connect(&hub, "10.77.0.4").await?;
    let mut asked = 0;
    while let Ok(begun) =
        tokio::time::timeout(Duration::from_secs(2), deaf.begin("get_reservations", json!([]))).await
    {
        begun?;
        asked += 1;
        assert!(asked < 2_000_000, "the hub reads everything from whoever reads nothing");
    }
    let mut greedy = Client::connect(&hub, "10.77.0.5").await?;
    for _ in 0..5_000 {
        greedy.begin("reserve", json!([[taken]])).await?;
    }

    for _ in 0..20 {
        assert_eq!(holder.call("reserve", json!([[free]])).await?, Ok(json!(free)));
        assert_eq!(holder.call("return_reservation", json!([free])).await?, Ok(Value::Null));
    }
    drop(greedy);
    let pool = hub.hub().leases.pool("boards").unwrap();
    until("nobody waits any more", || async { (pool.queue_length() == 0).then_some(()) }).await?;

    // Who reads after all has an answer to everything: what it asked for, or that this was too much.
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..asked {
        let answer = deaf.next().await?;
        if answer["result"]["reservations"].is_array() {
            answered += 1;
        } else {
            let message = &answer["error"]["message"];
            assert_eq!(message, "too many requests are under way on this connection", "{answer}");
            refused += 1;
        }
    }
    assert!(answered >= 4096 && refused > 0, "{answered} answered, {refused} refused");
    Ok(())
}

#[tokio::test]
async fn ten_thousand_places_are_listed_searched_and_reserved() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut links = Vec::new();
    for lab in 0..10 {
        let exporter = node(&hub, &format!("lab-{lab}"), "exporter").await?;
        let peer = link(&exporter).await?;
        let offer = |name: String, kind: &str| -> serde_json::Result<PlaceOffer> {
            let part = json!({ "compatible": [kind, "v2"], "usb": {}, "tcp": {} });
            serde_json::from_value(json!({ "name": name, "parts": [part], "legacy_port": 2192 }))
        };
        let offers = (0..1_000).map(|number| {
            let kind = if (lab, number) == (7, 500) { "rare" } else { "common" };
            offer(format!("bench-{lab}-{number}"), kind)
        });
        let offers: Vec<PlaceOffer> = offers.collect::<Result<_, _>>()?;
        let put = futures::stream::iter(offers.iter().map(|offer| peer.call(offer, PATIENCE)))
            .buffer_unordered(50)
            .collect::<Vec<_>>()
            .await;
        assert!(put.iter().all(Result::is_ok), "{put:?}");
        let more = peer.call(&offer("one-more".to_owned(), "common")?, PATIENCE).await;
        assert_eq!(more.unwrap_err().to_string(), "an exporter offers 1000 places at the most");
        links.push((exporter, peer));
    }

    let listed = body(&get(&hub, "10.77.0.3", "/api/v1/places").await?)?;
    assert_eq!(listed["places"].as_array().map(Vec::len), Some(10_000));
    let person = node(&hub, "ann", "importer").await?;
    let rare = json!({ "parts": [{ "compatible": ["rare"], "usb": [], "tcp": [] }] });
    let (status, reserved) = ask(&person, Method::POST, "/reservations", rare).await?;
    assert_eq!((status, &reserved["place"]), (StatusCode::OK, &json!("bench-7-500")));
    let (status, _) = ask(&person, Method::POST, "/reservations", json!({})).await?;
    assert_eq!(status, StatusCode::OK);
    let mut agent = Client::connect(&hub, "10.77.0.3").await?;
    let ids: Vec<&Value> = listed["places"].as_array().unwrap().iter().map(|place| &place["id"]).collect();
    let got = agent.call("reserve", json!([ids])).await?.unwrap();
    assert!(ids.contains(&&got));

    // All of them go with their exporters.
    for (_, peer) in &links {
        peer.close("enough");
    }
    until("the farm is empty", async || {
        let listed = body(&get(&hub, "10.77.0.3", "/api/v1/places").await.ok()?).ok()?;
        (listed["places"] == json!([])).then_some(())
    })
    .await?;
    Ok(())
}
