//! Whose turn it is, for programs of either kind in the same queue: by priority, for several places at once, and for those
//! who have booked.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use nave_boards::api::{BookRequest, BookingState, ReserveRequest, Waiter};
use nave_boards::hub::config::BoardsConfig;
use nave_boards::hub::{Boards, bookings, farm, wish};
use nave_core::clock::Clock;
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::wait::until;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

use crate::client::{Client, OPEN, farm_and_fleet};
use crate::native::{ask, node};

/// A place whose exporter, one of not-my-board, lets in whomever it is told to.
async fn bench(hub: &TestHub, name: &str) -> anyhow::Result<u64> {
    let mut exporter = Client::connect(hub, "10.77.0.9").await?;
    let id = exporter.register(name).await?;
    tokio::spawn(async move { while exporter.lets_in().await.is_ok() {} });
    Ok(id)
}

async fn queue_of(hub: &TestHub, length: usize) -> anyhow::Result<Vec<Waiter>> {
    until("so many wait", async || {
        let queue = farm::queue(&hub.operator(), hub.hub()).ok()?;
        (queue.len() == length).then_some(queue)
    })
    .await
}

/// The operator of the hub's own machine asks, and waits.
fn operator_reserves(
    hub: &TestHub,
    boards: &Boards,
    place: &str,
) -> tokio::task::JoinHandle<Result<nave_boards::api::Reservation, nave_core::hub::error::Error>> {
    let (op, hub, boards) = (hub.operator(), Arc::clone(hub.hub()), boards.clone());
    let request = ReserveRequest {
        places: vec![place.to_owned()],
        seconds: 3600,
        wait: 600,
        ..ReserveRequest::default()
    };
    tokio::spawn(async move { wish::reserve(&op, &hub, &boards, request).await })
}

#[tokio::test]
async fn who_matters_more_is_served_before_who_came_first() -> anyhow::Result<()> {
    let settings = format!("[priority]\nadmin = 20\nnode = 5\nclient = -1\n{OPEN}");
    let (hub, boards) = farm_and_fleet(&settings).await?;
    let place = bench(&hub, "bench").await?;
    let ann = node(&hub, "ann", "importer").await?;
    let mut holder = Client::connect(&hub, "10.77.0.3").await?;
    assert_eq!(holder.call("reserve", json!([[place]])).await?, Ok(json!(place)));

    let mut python = Client::connect(&hub, "10.77.0.4").await?;
    python.begin("reserve", json!([[place]])).await?;
    queue_of(&hub, 1).await?;
    let asked = tokio::spawn(async move {
        let answer = ask(&ann, Method::POST, "/reservations", json!({ "seconds": 60, "wait": 600 })).await;
        (ann, answer)
    });
    queue_of(&hub, 2).await?;
    let operator = operator_reserves(&hub, &boards, "bench");
    let queue = queue_of(&hub, 3).await?;
    let order: Vec<(usize, i32)> = queue.iter().map(|waiter| (waiter.position, waiter.priority)).collect();
    assert_eq!(order, [(1, 20), (2, 5), (3, -1)]);
    assert_eq!(queue[1].holder, "ann");

    assert_eq!(holder.call("return_reservation", json!([place])).await?, Ok(Value::Null));
    let first = operator.await??;
    let queue = queue_of(&hub, 2).await?;
    assert_eq!(queue[0].expected, first.until, "after whoever went ahead");
    assert!(queue[1].expected > queue[0].expected);
    wish::give_back(&hub.operator(), hub.hub(), &boards, "bench").await?;
    let (ann, answer) = asked.await?;
    assert_eq!(answer?.0, StatusCode::OK);
    assert_eq!(ask(&ann, Method::DELETE, "/reservations/bench", json!({})).await?.0, StatusCode::NO_CONTENT);
    assert_eq!(python.next().await?["result"], place, "whoever matters least is served at last");
    Ok(())
}

#[tokio::test]
async fn several_places_are_reserved_at_once_or_none() -> anyhow::Result<()> {
    let (hub, boards) = farm_and_fleet(OPEN).await?;
    let places = [bench(&hub, "a").await?, bench(&hub, "b").await?];
    let ann = node(&hub, "ann", "importer").await?;
    let set = |wait: u64| json!({ "wants": [{ "places": ["a"], "name": "left" }, { "places": ["a", "b"] }], "wait": wait });
    let mut python = Client::connect(&hub, "10.77.0.3").await?;
    assert_eq!(python.call("reserve", json!([[places[1]]])).await?, Ok(json!(places[1])));
    let (status, refused) = ask(&ann, Method::POST, "/reservation-sets", set(0)).await?;
    assert_eq!(status, StatusCode::CONFLICT);
    let words = refused["error"]["message"].as_str().unwrap();
    assert!(
        words.starts_with("not all of them were free at once, so none is reserved: a is free, <"),
        "{words}"
    );
    for bad in [
        json!({ "wants": [] }),
        json!({ "wants": [{ "name": "x" }, { "name": "x" }] }),
        json!({ "wants": vec![json!({}); 33] }),
    ] {
        assert_eq!(ask(&ann, Method::POST, "/reservation-sets", bad).await?.0, StatusCode::BAD_REQUEST);
    }
    let three = json!({ "wants": [{}, {}, {}] });
    let (status, refused) = ask(&ann, Method::POST, "/reservation-sets", three).await?;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(
        refused["error"]["message"].as_str().unwrap().contains("the farm has 2 that would do"),
        "{refused}"
    );

    let asked = tokio::spawn(async move {
        let answer = ask(&ann, Method::POST, "/reservation-sets", set(600)).await;
        (ann, answer)
    });
    let queue = queue_of(&hub, 1).await?;
    assert_eq!(queue[0].together, [vec!["a"], vec!["a", "b"]]);
    assert_eq!(queue[0].places, ["a", "b"]);
    // Whoever comes later may have what is free meanwhile.
    let mut other = Client::connect(&hub, "10.77.0.4").await?;
    assert_eq!(other.call("reserve", json!([[places[0]]])).await?, Ok(json!(places[0])));
    assert_eq!(python.call("return_reservation", json!([places[1]])).await?, Ok(Value::Null));
    assert_eq!(queue_of(&hub, 1).await?.len(), 1, "nothing before everything");
    assert_eq!(other.call("return_reservation", json!([places[0]])).await?, Ok(Value::Null));
    let (ann, answer) = asked.await?;
    let (status, reserved) = answer?;
    assert_eq!(status, StatusCode::OK, "{reserved}");
    assert_eq!((&reserved[0]["place"], &reserved[0]["name"]), (&json!("a"), &json!("left")));
    assert_eq!(reserved[1]["place"], "b");
    // Each is returned on its own.
    assert_eq!(ask(&ann, Method::DELETE, "/reservations/left", json!({})).await?.0, StatusCode::NO_CONTENT);
    assert_eq!(farm::reservations(&hub.operator(), hub.hub())?.len(), 1);
    drop(boards);
    Ok(())
}

#[tokio::test]
async fn a_silent_exporter_holds_up_no_set() -> anyhow::Result<()> {
    let (hub, _boards) = farm_and_fleet(OPEN).await?;
    let mut silent = Client::connect(&hub, "10.77.0.9").await?;
    silent.register("dead").await?;
    bench(&hub, "a").await?;
    let ann = node(&hub, "ann", "importer").await?;
    let set = json!({ "wants": [{ "places": ["a"] }, { "places": ["dead"] }], "wait": 60 });
    let (status, refused) = ask(&ann, Method::POST, "/reservation-sets", set).await?;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(
        refused["error"]["message"].as_str().unwrap().contains("dead: the exporter does not answer"),
        "{refused}"
    );
    assert!(farm::reservations(&hub.operator(), hub.hub())?.is_empty(), "none instead of some");
    bench(&hub, "b").await?;
    let set = json!({ "wants": [{ "places": ["a"] }, { "places": ["dead", "b"] }], "wait": 60 });
    let (status, reserved) = ask(&ann, Method::POST, "/reservation-sets", set).await?;
    assert_eq!((status, &reserved[1]["place"]), (StatusCode::OK, &json!("b")), "{reserved}");
    Ok(())
}

#[tokio::test]
async fn what_is_booked_is_ones_own_when_the_time_has_come() -> anyhow::Result<()> {
    let clock = Clock::manual(datetime!(2030-01-01 12:00 UTC));
    let boards = Boards::new(BoardsConfig::read(&OPEN.parse()?)?)?;
    let setup = TestHubSetup {
        fleets: vec![Arc::new(boards.clone())],
        clock: Some(clock.clone()),
        ..TestHubSetup::default()
    };
    let hub = TestHub::with(setup).await?;
    let place = bench(&hub, "a").await?;
    let op = hub.operator();
    let book = |from: OffsetDateTime, seconds| {
        let request = BookRequest {
            places: vec!["a".to_owned()],
            parts: Vec::new(),
            name: "kernel tests".to_owned(),
            starts_at: from,
            seconds,
        };
        bookings::book(&op, hub.hub(), &boards, request)
    };
    let two = datetime!(2030-01-01 14:00 UTC);
    for (from, seconds) in [(clock.now(), 60), (two, 0), (datetime!(2031-01-02 12:00 UTC), 60)] {
        assert_eq!(book(from, seconds).await.unwrap_err().code(), "invalid");
    }
    let booking = book(two, 7200).await?;
    assert_eq!((booking.place.as_str(), booking.mine, booking.state), ("a", true, BookingState::Booked));
    assert_eq!(book(two, 60).await.unwrap_err().code(), "conflict", "its name is taken");

    // An agent of not-my-board knows nothing of times: it has the place until then.
    let mut python = Client::connect(&hub, "10.77.0.3").await?;
    assert_eq!(python.call("reserve", json!([[place]])).await?, Ok(json!(place)));
    let held = farm::reservations(&op, hub.hub())?.remove(0);
    assert_eq!((held.until, held.booked_by.as_deref()), (Some(two), Some(booking.holder.as_str())));
    let mut other = Client::connect(&hub, "10.77.0.4").await?;
    other.begin("reserve", json!([[place]])).await?;
    let queue = queue_of(&hub, 1).await?;
    assert_eq!(queue[0].expected, Some(booking.until), "after whoever has booked it");
    clock.advance(Duration::from_hours(2));
    let mine = async || {
        let held = farm::reservations(&op, hub.hub()).ok()?;
        held.into_iter().find(|held| held.mine)
    };
    let held = until("the booking has begun", mine).await?;
    assert_eq!((held.name.as_str(), held.until), ("kernel tests", Some(booking.until)));
    assert!(bookings::list(&op, hub.hub())?.is_empty());
    wish::give_back(&op, hub.hub(), &boards, "kernel tests").await?;
    assert_eq!(other.next().await?["result"], place);
    // What is returned before it begins is cancelled.
    let later = book(two + time::Duration::days(2), 60).await.unwrap_err();
    assert!(later.message().contains("without an end"), "{later}");
    assert_eq!(other.call("return_reservation", json!([place])).await?, Ok(Value::Null));
    book(two + time::Duration::hours(1), 60).await?;
    wish::give_back(&op, hub.hub(), &boards, "kernel tests").await?;
    assert!(bookings::list(&op, hub.hub())?.is_empty());
    Ok(())
}
