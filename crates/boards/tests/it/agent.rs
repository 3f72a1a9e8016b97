//! Our agent's way to a hub, in which the worst moments are as frequent as they can be.

use std::sync::Arc;
use std::time::Duration;

use nave_boards::node::agent::farm::{Farm as _, FarmError, Happening, Place, PlaceId, Terms};
use nave_boards::node::dialect::connection::{HttpClient, HubClient};
use nave_boards::node::dialect::farm::NotMyBoard;
use nave_boards::node::dialect::tokens::{TokenSource, TokenStore};
use nave_core::clock::Clock;
use nave_testkit::hub::TestHub;
use nave_testkit::wait::until;

use crate::client::{Client, OPEN, farm};

async fn connect(hub: &TestHub, grace: Duration) -> anyhow::Result<Arc<NotMyBoard>> {
    let http = HttpClient::new(&[hub.path().join("cert/hub-cert.pem")])?;
    let client = HubClient::new(&format!("https://localhost:{}", hub.address().port()), http)?;
    let store = TokenStore::new(hub.path().join("no-tokens.json"));
    let tokens = TokenSource::new(client.clone(), None, store, Clock::system());
    Ok(Arc::new(NotMyBoard::connect(client, tokens, grace).await?))
}

async fn place(farm: &NotMyBoard) -> anyhow::Result<Place> {
    let places = farm.places().await?;
    assert_eq!(places.len(), 1);
    Ok(places[0].clone())
}

fn is_free(hub: &TestHub) -> bool {
    hub.hub().leases.pool("boards").unwrap().held().is_empty()
}

fn exporter(mut exporter: Client) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { while exporter.lets_in().await.is_ok() {} })
}

#[tokio::test]
async fn whoever_stops_waiting_when_it_is_granted_has_nothing() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut client = Client::connect(&hub, "10.77.0.2").await?;
    client.register("place").await?;
    let exporter = exporter(client);
    let first = connect(&hub, Duration::ZERO).await?;
    let second = connect(&hub, Duration::ZERO).await?;
    let wanted = place(&first).await?;
    let (mut taken_back, mut granted) = (0, 0);
    for turn in 0..200_u32 {
        let id = first.reserve(vec![wanted.clone()], Terms::default()).await?;
        let waiting = {
            let (second, wanted) = (Arc::clone(&second), wanted.clone());
            tokio::spawn(async move { second.reserve(vec![wanted], Terms::default()).await })
        };
        until("somebody waits", || async {
            (hub.hub().leases.pool("boards").unwrap().queue_length() == 1).then_some(())
        })
        .await?;
        let giving = {
            let first = Arc::clone(&first);
            tokio::spawn(async move { first.give_back(id).await })
        };
        // Before the grant, when it is on its way, and when the hub has done all it has to do.
        if turn % 3 > 0 {
            while hub.hub().leases.pool("boards").unwrap().queue_length() > 0 {
                tokio::task::yield_now().await;
            }
        }
        if turn % 3 > 1 {
            let passed_on = || async { (!is_free(&hub)).then_some(()) };
            until("it is passed on", passed_on).await?;
        }
        for _ in 0..turn / 3 {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        giving.await??;
        if let Ok(reserved) = waiting.await {
            granted += 1;
            second.give_back(reserved?).await?;
        } else {
            taken_back += 1;
        }
        until("nobody has it", || async { is_free(&hub).then_some(()) }).await?;
    }
    assert!(taken_back > 0, "nothing was ever taken back: the race was not run ({granted} granted)");
    exporter.abort();
    Ok(())
}

#[tokio::test]
async fn a_place_whose_exporter_comes_back_is_still_reserved() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut client = Client::connect(&hub, "10.77.0.2").await?;
    client.register("place").await?;
    let first = exporter(client);
    let agent = connect(&hub, Duration::from_mins(2)).await?;
    let was = agent.reserve(vec![place(&agent).await?], Terms::default()).await?;
    first.abort();
    let registered = || async {
        let mut client = Client::connect(&hub, "10.77.0.2").await.ok()?;
        client.register("place").await.ok()?;
        Some(exporter(client))
    };
    let second = until("the place is back", registered).await?;
    let now = place(&agent).await?;
    assert_ne!(now.id, was);
    // Looking is due at the next reservation or in 15 s.
    let moved = tokio::time::timeout(Duration::from_secs(30), agent.next()).await?;
    assert_eq!(moved, Happening::Moved { was, now: now.clone() });
    assert!(!is_free(&hub));
    agent.give_back(now.id).await?;
    assert!(is_free(&hub));
    second.abort();
    Ok(())
}

#[tokio::test]
async fn a_hub_that_stays_away_ends_what_was_reserved() -> anyhow::Result<()> {
    let hub = farm(OPEN).await?;
    let mut client = Client::connect(&hub, "10.77.0.2").await?;
    client.register("place").await?;
    let _exporter = exporter(client);
    let agent = connect(&hub, Duration::from_millis(50)).await?;
    let id = agent.reserve(vec![place(&agent).await?], Terms::default()).await?;
    assert_eq!(agent.give_back(PlaceId(4711)).await, Ok(()), "what is not reserved is no trouble");
    hub.stop().await;
    let ended = tokio::time::timeout(nave_testkit::wait::PATIENCE, agent.next()).await?;
    assert!(matches!(&ended, Happening::Ended { place, .. } if *place == id), "{ended:?}");
    assert!(matches!(agent.holdings().await, Err(FarmError::Away(_))));
    agent.leave().await;
    Ok(())
}
