//! Socket.IO as the library of NAISYS's runners speaks it: transports, answers, refusals, ends, and what they do after each.

use std::time::Duration;

use nave_agents::hub::dialect::socket_io::{Gone, Lost, Prepared, Settings};
use nave_testkit::need::need;
use nave_testkit::wait::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::clients::{Clients, Door, hub_with, settings};

#[tokio::test]
async fn a_runner_begins_with_polling_and_moves_to_a_websocket() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let (hub, book, server) = hub_with(settings()).await?;
    let mut clients = Clients::of(&hub)?;
    clients.connect("BOX").await?;
    let open = clients.sees("BOX", "open").await?;
    assert_eq!((&open["transport"], &open["maxPayload"]), (&json!("polling"), &json!(4 << 20)));
    let connect = clients.sees("BOX", "connect").await?;
    let first = clients.sees("BOX", "event").await?;
    assert_eq!(
        first["payload"],
        json!([{ "hosts": [] }]),
        "what it was told before it was let in comes after that"
    );
    let upgrade = clients.sees("BOX", "upgrade").await?;
    assert_eq!(upgrade["transport"], "websocket");
    let socket = book.socket("BOX").await?;
    assert_eq!(connect["sid"], socket.id());
    assert_eq!(
        *book.came.lock().unwrap(),
        [("BOX".to_owned(), hub.address().ip(), "/socket.io/", "/naisys")]
    );

    // In order, in both directions, while it moves and after.
    for n in 0..50 {
        clients.tell(json!({ "do": "emit", "id": "BOX", "event": "count", "payload": [n] })).await?;
        socket.emit("count", &n)?;
    }
    for (n, (event, payload)) in book.said("BOX", 50).await?.into_iter().enumerate() {
        assert_eq!((&*event, payload), ("count", json!(n)));
    }
    for n in 0..50 {
        assert_eq!(clients.sees("BOX", "event").await?["payload"], json!([n]));
    }
    assert_eq!((server.counts().connections, server.counts().strangers), (1, 0));

    clients.tell(json!({ "do": "emit", "id": "BOX", "event": "last", "payload": [] })).await?;
    clients.tell(json!({ "do": "leave", "id": "BOX" })).await?;
    assert_eq!(book.ended("BOX").await?, Gone::Left);
    assert_eq!(book.said("BOX", 51).await?[50], ("last".to_owned(), json!("none")));
    until("the connection is gone", async || (server.counts().connections == 0).then_some(())).await?;
    assert_eq!(socket.emit("count", &0), Err(Lost));
    hub.stop().await;
    Ok(())
}

#[tokio::test]
async fn each_transport_by_itself_carries_all_there_is() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let (hub, book, _) = hub_with(settings()).await?;
    let mut clients = Clients::of(&hub)?;
    for transport in ["polling", "websocket"] {
        let name = format!("BY-{transport}");
        clients.connect_to(&name, "/naisys", json!({ "transports": [transport] })).await?;
        assert_eq!(clients.sees(&name, "open").await?["transport"], transport);
        let socket = book.socket(&name).await?;
        clients
            .tell(json!({ "do": "ask", "id": name, "event": "echo", "payload": [{ "a": "ü" }], "n": 1 }))
            .await?;
        assert_eq!(clients.sees(&name, "answer").await?["answer"], json!({ "a": "ü" }));
        clients.tell(json!({ "do": "ask", "id": name, "event": "dropped", "payload": [], "n": 2 })).await?;
        let answer = clients.sees(&name, "answer").await?;
        assert_eq!((&answer["n"], &answer["answer"]["success"]), (&json!(2), &json!(false)));

        let answer = json!({ "success": true, "hostname": name });
        clients
            .tell(json!({ "do": "answerWith", "id": name, "event": "agent_start", "answer": answer }))
            .await?;
        clients.sees(&name, "ready").await?;
        let (first, second) = tokio::join!(
            socket.request("agent_start", &json!({ "startUserId": 1 })),
            socket.request("agent_start", &json!({ "startUserId": 2 })),
        );
        assert_eq!((first?, second?), (answer.clone(), answer));
        assert!(socket.alive(Duration::from_secs(20)).await);

        // Longer than one frame's short length, and not only of ASCII.
        let long = "é".repeat(300_000);
        socket.emit("long", &long)?;
        for event in ["hosts_updated", "agent_start", "agent_start"] {
            assert_eq!(clients.sees(&name, "event").await?["event"], event);
        }
        assert_eq!(clients.sees(&name, "event").await?["payload"], json!([long]));
        clients.tell(json!({ "do": "leave", "id": name })).await?;
        assert_eq!(book.ended(&name).await?, Gone::Left);
    }
    Ok(())
}

#[tokio::test]
async fn a_question_ends_with_the_client_that_does_not_answer() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let (hub, book, _) = hub_with(settings()).await?;
    let mut clients = Clients::of(&hub)?;
    clients.connect("BOX").await?;
    let socket = book.socket("BOX").await?;
    let asked = tokio::spawn({
        let socket = socket.clone();
        async move { socket.request("agent_stop", &json!({ "userId": 1 })).await }
    });
    loop {
        if clients.sees("BOX", "event").await?["asked"] == true {
            break;
        }
    }
    assert!(!asked.is_finished());
    drop(clients);
    assert_eq!(asked.await?, Err(Lost));
    assert_eq!(book.ended("BOX").await?, Gone::Lost);
    socket.over().await;
    assert!(!socket.alive(Duration::from_secs(20)).await);
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_final_and_a_closed_door_is_not() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let (hub, book, _) = hub_with(settings()).await?;
    let mut clients = Clients::of(&hub)?;
    book.door.send_replace(Door::Refuses);
    clients.connect("REFUSED").await?;
    let refused = clients.sees("REFUSED", "connect_error").await?;
    assert_eq!(
        (&refused["message"], &refused["data"], &refused["active"]),
        (&json!("Invalid access key"), &json!({ "fatal": true }), &json!(false)),
        "it will not try again"
    );

    book.door.send_replace(Door::Closes);
    for (name, options) in [
        ("CLOSED", json!({})),
        ("CLOSED-POLLING", json!({ "transports": ["polling"] })),
        ("CLOSED-WEBSOCKET", json!({ "transports": ["websocket"] })),
    ] {
        clients.connect_to(name, "/naisys", options).await?;
    }
    for name in ["CLOSED", "CLOSED-POLLING", "CLOSED-WEBSOCKET"] {
        // It tries again by itself; no refusal has reached it.
        assert_eq!(clients.sees(name, "attempt").await?["attempt"], 1);
        assert!(!clients.has_seen(name, "connect_error"));
    }
    book.door.send_replace(Door::Open);
    for name in ["CLOSED", "CLOSED-POLLING", "CLOSED-WEBSOCKET"] {
        clients.sees(name, "connect").await?;
    }
    clients.connect_to("LOST", "/elsewhere", json!({})).await?;
    assert_eq!(clients.sees("LOST", "connect_error").await?["message"], "Invalid namespace");
    Ok(())
}

#[tokio::test]
async fn other_spellings_and_the_newer_generation_have_their_namespaces() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let (hub, book, _) = hub_with(settings()).await?;
    let mut clients = Clients::of(&hub)?;
    let prepared = Prepared::new("all", &json!({ "same": true }));
    for (name, namespace, path, by) in [
        ("PLAIN", "/naisys", "/socket.io/", "/naisys"),
        ("SLASH", "//naisys", "/socket.io/", "//naisys"),
        ("NEWER", "", "/hub/socket.io", "/"),
    ] {
        clients.connect_to(name, namespace, json!({ "path": path })).await?;
        clients.sees(name, "connect").await?;
        assert_eq!(book.came.lock().unwrap().last().unwrap().3, by);
        book.socket(name).await?.emit_prepared(&prepared)?;
        assert_eq!(clients.sees(name, "event").await?["event"], "hosts_updated");
        assert_eq!(clients.sees(name, "event").await?["payload"], json!([{ "same": true }]));
    }
    // The old path has no namespace without a name: nobody could show a key there.
    clients.connect_to("NOBODY", "", json!({})).await?;
    assert_eq!(clients.sees("NOBODY", "connect_error").await?["message"], "Invalid namespace");
    Ok(())
}

#[tokio::test]
async fn a_runner_put_out_comes_back_at_once_and_one_cut_off_after_a_while() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let (hub, book, server) = hub_with(settings()).await?;
    let mut clients = Clients::of(&hub)?;
    clients.connect("BOX").await?;
    clients.sees("BOX", "upgrade").await?;
    let socket = book.socket("BOX").await?;
    clients.sees("BOX", "connect").await?;
    assert_eq!(clients.sees("BOX", "event").await?["event"], "hosts_updated");
    socket.emit("goodbye", &json!({}))?;
    socket.disconnect();
    assert_eq!(book.ended("BOX").await?, Gone::Disconnected);
    assert_eq!(clients.sees("BOX", "event").await?["event"], "goodbye", "what waits is sent before");
    assert_eq!(clients.sees("BOX", "disconnect").await?["reason"], "io server disconnect");
    clients.sees("BOX", "connect").await?;
    assert!(!clients.has_seen("BOX", "attempt"), "it does not wait");

    let socket = book.socket("BOX").await?;
    socket.emit("goodbye", &json!({}))?;
    socket.close();
    assert_eq!(book.ended("BOX").await?, Gone::Closed);
    assert_eq!(clients.sees("BOX", "event").await?["event"], "hosts_updated");
    assert_eq!(clients.sees("BOX", "event").await?["event"], "goodbye");
    assert_eq!(clients.sees("BOX", "disconnect").await?["reason"], "transport close");
    clients.sees("BOX", "attempt").await?;
    clients.sees("BOX", "connect").await?;
    until("only one connection is left", async || (server.counts().connections == 1).then_some(())).await?;
    Ok(())
}

#[tokio::test]
async fn who_asks_to_join_waits_as_long_as_it_takes() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    // The hold outlasts the time in which strangers must ask, and a ping.
    let settings =
        Settings { join_within: Duration::from_secs(4), ping_every: Duration::from_secs(4), ..settings() };
    let (hub, book, _) = hub_with(settings).await?;
    let mut clients = Clients::of(&hub)?;
    book.door.send_replace(Door::Holds);
    clients.connect("BOX").await?;
    clients.sees("BOX", "upgrade").await?;
    until("it asks", async || (book.came.lock().unwrap().len() == 1).then_some(())).await?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    book.door.send_replace(Door::Open);
    clients.sees("BOX", "connect").await?;
    assert_eq!(book.came.lock().unwrap().len(), 1, "it has asked once");
    assert!(!clients.has_seen("BOX", "disconnect") && !clients.has_seen("BOX", "attempt"));
    Ok(())
}

#[tokio::test]
async fn a_frozen_runner_is_told_from_one_that_lives() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let (hub, book, _) = hub_with(settings()).await?;
    for transport in ["polling", "websocket"] {
        let mut clients = Clients::of(&hub)?;
        clients.connect_to("BOX", "/naisys", json!({ "transports": [transport] })).await?;
        clients.sees("BOX", "connect").await?;
        let socket = book.socket("BOX").await?;
        assert!(socket.alive(Duration::from_secs(3)).await);
        let process = Pid::from_raw(clients.process()?.try_into()?);
        kill(process, Signal::SIGSTOP)?;
        assert!(!socket.alive(Duration::from_secs(3)).await, "by {transport}");
        kill(process, Signal::SIGCONT)?;
        assert!(socket.alive(Duration::from_secs(20)).await);
        socket.close();
        assert_eq!(book.ended("BOX").await?, Gone::Closed);
    }
    Ok(())
}

#[tokio::test]
async fn a_runner_that_stops_answering_pings_is_gone() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let settings =
        Settings { ping_every: Duration::from_secs(1), pong_within: Duration::from_secs(1), ..settings() };
    let (hub, book, server) = hub_with(settings).await?;
    let mut clients = Clients::of(&hub)?;
    clients.connect("BOX").await?;
    clients.sees("BOX", "connect").await?;
    clients.sees("BOX", "upgrade").await?;
    book.socket("BOX").await?;
    let process = Pid::from_raw(clients.process()?.try_into()?);
    kill(process, Signal::SIGSTOP)?;
    assert_eq!(book.ended("BOX").await?, Gone::Silent);
    until("nothing is kept of it", async || (server.counts().connections == 0).then_some(())).await?;
    kill(process, Signal::SIGCONT)?;
    clients.sees("BOX", "disconnect").await?;
    clients.sees("BOX", "connect").await?;
    Ok(())
}

#[tokio::test]
async fn a_long_message_is_taken_and_one_too_long_ends_the_connection() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let (hub, book, _) = hub_with(settings()).await?;
    let mut clients = Clients::of(&hub)?;
    for transport in ["polling", "websocket"] {
        let name = format!("BY-{transport}");
        clients.connect_to(&name, "/naisys", json!({ "transports": [transport] })).await?;
        clients.sees(&name, "connect").await?;
        clients
            .tell(json!({ "do": "emitLong", "id": name, "event": "log_write", "length": 1_100_000 }))
            .await?;
        let said = book.said(&name, 1).await?;
        assert_eq!(said[0].1["text"].as_str().map(str::len), Some(1_100_000));
        clients
            .tell(json!({ "do": "emitLong", "id": name, "event": "log_write", "length": 5 << 20 }))
            .await?;
        clients.sees(&name, "disconnect").await?;
        assert_eq!(book.ended(&name).await?, Gone::Misbehaved);
        clients.sees(&name, "connect").await?;
        assert_eq!(book.said(&name, 1).await?.len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn an_application_that_is_behind_holds_its_client_back_and_loses_nothing() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let (hub, book, _) = hub_with(Settings { longest_message: 1_000_000, ..settings() }).await?;
    let mut clients = Clients::of(&hub)?;
    clients.connect("BOX").await?;
    clients.sees("BOX", "upgrade").await?;
    let socket = book.socket("BOX").await?;
    book.flows.send_replace(false);
    for _ in 0..8 {
        clients
            .tell(json!({ "do": "emitLong", "id": "BOX", "event": "log_write", "length": 400_000 }))
            .await?;
    }
    // Once it is not listened to any more, it is not taken for silent.
    until("the hub reads no more", async || {
        let began = tokio::time::Instant::now();
        let alive = socket.alive(Duration::from_secs(1)).await;
        (alive && began.elapsed() >= Duration::from_secs(1)).then_some(())
    })
    .await?;
    assert_eq!(book.said("BOX", 0).await?.len(), 0);
    book.flows.send_replace(true);
    assert_eq!(book.said("BOX", 8).await?.len(), 8);
    assert!(!socket.is_over());
    Ok(())
}

#[tokio::test]
async fn who_does_not_read_is_cut_off_before_the_hub_runs_full() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let (hub, book, _) = hub_with(settings()).await?;
    let mut clients = Clients::of(&hub)?;
    clients.connect("BOX").await?;
    clients.sees("BOX", "connect").await?;
    clients.sees("BOX", "upgrade").await?;
    let socket = book.socket("BOX").await?;
    let process = Pid::from_raw(clients.process()?.try_into()?);
    kill(process, Signal::SIGSTOP)?;
    let part = Prepared::new("log_push", &"x".repeat(1 << 20));
    let cut = until("it is cut off", async || {
        assert!(socket.backlog().1 <= 9 << 20);
        socket.emit_prepared(&part).is_err().then_some(())
    });
    cut.await?;
    assert_eq!(book.ended("BOX").await?, Gone::Slow);
    kill(process, Signal::SIGCONT)?;
    clients.sees("BOX", "connect").await?;
    Ok(())
}

#[tokio::test]
async fn a_hub_that_stops_lets_its_runners_come_back() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let (hub, book, _) = hub_with(settings()).await?;
    let mut clients = Clients::of(&hub)?;
    clients.connect("BOX").await?;
    clients.connect_to("POLLS", "/naisys", json!({ "transports": ["polling"] })).await?;
    clients.sees("BOX", "upgrade").await?;
    clients.sees("POLLS", "connect").await?;
    hub.stop().await;
    assert_eq!((book.ended("BOX").await?, book.ended("POLLS").await?), (Gone::Stopping, Gone::Stopping));
    for name in ["BOX", "POLLS"] {
        // Who was between two polls only finds nobody there.
        let why = clients.sees(name, "disconnect").await?["reason"].clone();
        assert!(why == "transport close" || (why == "transport error" && name == "POLLS"), "{name}: {why}");
        clients.sees(name, "attempt").await?;
    }
    Ok(())
}
