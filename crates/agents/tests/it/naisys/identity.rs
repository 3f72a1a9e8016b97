//! Who is let in as whom, and what a stolen key is worth.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use nave_agents::api::{Assignment, HostChange, LogFilter, NewVariable};
use nave_agents::hub::config::{AgentsConfig, NaisysConfig};
use nave_agents::hub::{hosts, roster, runs, settings};
use nave_core::api::{EventFilter, NodeChange};
use nave_core::clock::Clock;
use nave_core::hub::config::{HubConfig, ListenerTable};
use nave_core::hub::nodes::keyed::{self, SharedKeyRule};
use nave_core::hub::{event, identity, nodes};
use nave_testkit::need::need;
use nave_testkit::wait::until;
use serde_json::{Value, json};
use time::macros::datetime;
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket};

use super::{Farm, Setup, auth, supervised};

/// The hub behind a balancer, which says that its connections come from there.
async fn from(hub: SocketAddr, source: Ipv4Addr) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let socket = TcpSocket::new_v4()?;
                socket.bind(([127, 0, 0, 2], 0).into())?;
                let mut there = socket.connect(hub).await?;
                let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
                header.extend(source.octets());
                header.extend(Ipv4Addr::LOCALHOST.octets());
                header.extend([0x10, 0, 0x0c, 0x1d]);
                there.write_all(&header).await?;
                copy_bidirectional(&mut client, &mut there).await
            });
        }
    });
    Ok(address)
}

fn behind_a_balancer() -> anyhow::Result<HubConfig> {
    let listener = ListenerTable {
        name: None,
        address: ([127, 0, 0, 1], 0).into(),
        identity: "self".to_owned(),
        proxy_from: vec!["127.0.0.2/32".parse().map_err(anyhow::Error::msg)?],
    };
    Ok(HubConfig { listener: vec![listener], ..HubConfig::default() })
}

async fn is_noted(farm: &Farm, action: &str) -> anyhow::Result<bool> {
    let filter = EventFilter { action: Some(action.to_owned()), ..EventFilter::default() };
    Ok(!event::list(&farm.op(), &farm.hub.hub().store, &filter).await?.is_empty())
}

#[tokio::test]
async fn the_key_says_who_it_is_and_not_the_program() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = Farm::with(Setup { agents: supervised(), ..Setup::default() }).await?;
    let key = farm.mint("BOX", Duration::ZERO).await?;
    farm.come("LIAR", &key, auth(&key, "SUPERVISOR", "supervisor")).await?;
    let refused = farm.clients.sees("LIAR", "connect_error").await?;
    assert_eq!((&refused["message"], &refused["active"]), (&json!("Invalid access key"), &json!(false)));
    farm.come("OTHER", &key, auth(&key, "ELSEWHERE", "naisys")).await?;
    let told = farm.clients.hears("OTHER", "hosts_updated").await?;
    let names: Vec<&Value> = told["hosts"].as_array().unwrap().iter().map(|host| &host["hostName"]).collect();
    assert_eq!(names, ["BOX"]);
    farm.come("NAMELESS", &key, json!({ "hubAccessKey": key })).await?;
    assert_eq!(farm.clients.sees("NAMELESS", "connect_error").await?["message"], "Missing hostName");
    // A supervisor's key makes a supervisor, whatever that says.
    let boss = farm.mint("SUPERVISOR", Duration::ZERO).await?;
    farm.come("BOSS", &boss, auth(&boss, "BOX", "naisys")).await?;
    farm.clients.sees("BOSS", "connect").await?;
    let n = farm.clients.begin("BOSS", "users_changed", json!({})).await?;
    assert_eq!(farm.clients.answer("BOSS", n).await?, json!({ "success": true }));
    Ok(())
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_too_many_wait() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = Farm::with(Setup::default()).await?;
    let (key, shared) = (farm.mint("BOX", Duration::ZERO).await?, farm.shared_key()?);
    let wrong = [
        key[..key.len() - 1].to_owned(),
        key.to_uppercase(),
        key.replace('+', ""),
        format!("{}+0123456789abcdef", &shared[..16]),
        format!("0123456789abcdef+{}", &shared[17..]),
        String::new(),
    ];
    for (at, wrong) in wrong.iter().enumerate() {
        let id = format!("WRONG-{at}");
        farm.come(&id, &key, auth(wrong, "BOX", "naisys")).await?;
        let refused = farm.clients.sees(&id, "connect_error").await?;
        assert_eq!((&refused["message"], &refused["active"]), (&json!("Invalid access key"), &json!(false)));
    }
    // The tenth earns a delay, in which nobody is told that a key is wrong, nor which is right.
    for at in wrong.len()..10 {
        let id = format!("WRONG-{at}");
        farm.come(&id, &key, auth("none", "BOX", "naisys")).await?;
        farm.clients.sees(&id, "connect_error").await?;
    }
    farm.come("LATE", &key, auth(&key, "BOX", "naisys")).await?;
    farm.clients.sees("LATE", "attempt").await?;
    assert!(!farm.clients.has_seen("LATE", "connect_error"));
    farm.clients.sees("LATE", "connect").await?;
    assert!(is_noted(&farm, "source.throttled").await?);
    Ok(())
}

#[tokio::test]
async fn the_shared_key_is_good_where_the_operator_says() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    for (rule, here, elsewhere) in [
        (SharedKeyRule::Bound, true, true),
        (SharedKeyRule::Loopback, true, false),
        (SharedKeyRule::Off, false, false),
    ] {
        let naisys = NaisysConfig { shared_key: rule, ..NaisysConfig::default() };
        let agents = AgentsConfig { naisys, ..AgentsConfig::default() };
        let mut farm = Farm::with(Setup { agents, hub: behind_a_balancer()?, ..Setup::default() }).await?;
        let key = farm.shared_key()?;
        let hub = farm.hub.address();
        for (id, address, is_good) in
            [("HERE", hub, here), ("THERE", from(hub, [192, 0, 2, 1].into()).await?, elsewhere)]
        {
            farm.clients.go_to(address);
            farm.come(id, &key, auth(&key, id, "naisys")).await?;
            if is_good {
                farm.clients.sees(id, "connect").await?;
            } else {
                let refused = farm.clients.sees(id, "connect_error").await?;
                assert_eq!(refused["message"], "Invalid access key", "{rule:?}");
            }
        }
        farm.hub.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_name_under_the_shared_key_is_its_first_users() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = Farm::with(Setup { hub: behind_a_balancer()?, ..Setup::default() }).await?;
    let (key, hub) = (farm.shared_key()?, farm.hub.address());
    farm.clients.go_to(from(hub, [192, 0, 2, 1].into()).await?);
    farm.come("FIRST", &key, auth(&key, "BOX", "naisys")).await?;
    farm.clients.sees("FIRST", "connect").await?;
    farm.clients.go_to(from(hub, [192, 0, 2, 2].into()).await?);
    farm.come("SECOND", &key, auth(&key, "BOX", "naisys")).await?;
    farm.clients.sees("SECOND", "attempt").await?;
    assert!(!farm.clients.has_seen("SECOND", "connect_error"), "that would be the end of it");
    assert!(is_noted(&farm, "node.name_refused").await?);
    // What is another name for nodes and the same for hosts is nobody else's either.
    farm.come("ALIKE", &key, auth(&key, "BOX.", "naisys")).await?;
    farm.clients.sees("ALIKE", "attempt").await?;
    farm.clients.tell(json!({ "do": "leave", "id": "ALIKE" })).await?;
    farm.come("DOTTED", &key, auth(&key, "B.OX", "naisys")).await?;
    farm.clients.sees("DOTTED", "connect").await?;
    farm.come("DASHED", &key, auth(&key, "B-OX", "naisys")).await?;
    farm.clients.sees("DASHED", "attempt").await?;
    assert!(!farm.clients.has_seen("DASHED", "connect"));

    farm.clients.tell(json!({ "do": "leave", "id": "FIRST" })).await?;
    keyed::release(&farm.op(), farm.hub.hub(), "BOX").await?;
    farm.clients.sees("SECOND", "connect").await?;
    Ok(())
}

#[tokio::test]
async fn a_new_key_disconnects_nobody_and_a_revoked_one_stays_away() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let clock = Clock::manual(datetime!(2026-11-23 12:00 UTC));
    let mut farm = Farm::with(Setup { clock: Some(clock.clone()), ..Setup::default() }).await?;
    let (op, hour) = (farm.op(), Duration::from_hours(1));
    let old = farm.runner("BOX").await?;
    let shared = farm.shared_key()?;
    farm.come("SHARED", &shared, auth(&shared, "SHARED", "naisys")).await?;
    farm.clients.sees("SHARED", "connect").await?;
    let new = farm.mint("BOX", hour).await?;
    identity::rotate(&op, farm.hub.hub(), hour).await?;
    for id in ["BOX", "SHARED"] {
        assert_eq!(
            farm.ask(id, "mail_unread", json!({ "userId": 2, "kind": "mail" })).await?["success"],
            true
        );
        assert!(!farm.clients.has_seen(id, "disconnect"));
    }
    // Both keys are good until the grace has passed.
    for (at, (key, name)) in [(&old, "BOX"), (&new, "BOX"), (&shared, "SHARED")].into_iter().enumerate() {
        farm.clients.tell(json!({ "do": "leave", "id": name })).await?;
        let id = format!("AGAIN-{at}");
        farm.come(&id, key, auth(key, name, "naisys")).await?;
        farm.clients.sees(&id, "connect").await?;
        farm.clients.tell(json!({ "do": "leave", "id": id })).await?;
    }
    clock.advance(hour + Duration::from_secs(1));
    for (at, key) in [&old, &shared].into_iter().enumerate() {
        let id = format!("LATE-{at}");
        farm.come(&id, key, auth(key, "BOX", "naisys")).await?;
        assert_eq!(farm.clients.sees(&id, "connect_error").await?["message"], "Invalid access key");
    }
    farm.come("LAST", &new, auth(&new, "BOX", "naisys")).await?;
    farm.clients.sees("LAST", "connect").await?;

    nodes::revoke(&op, farm.hub.hub(), "BOX").await?;
    farm.clients.sees("LAST", "disconnect").await?;
    let refused = farm.clients.sees("LAST", "connect_error").await?;
    assert_eq!((&refused["message"], &refused["active"]), (&json!("Invalid access key"), &json!(false)));
    until("its host is gone", async || {
        hosts::show(&op, &farm.agents, "BOX").ok().filter(|host| !host.online)
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_runner_goes_with_its_role_and_comes_back_with_it() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = Farm::with(Setup { agents: supervised(), ..Setup::default() }).await?;
    let (op, hub) = (farm.op(), farm.hub.hub().clone());
    let becomes = async |name: &str, role: &str| {
        let change = NodeChange { roles: Some(vec![role.to_owned()]), ..NodeChange::default() };
        nodes::change(&op, &hub, name, &change).await
    };
    let unread = json!({ "userId": 2, "kind": "mail" });
    farm.runner("BOX").await?;
    // Another change than that of its roles disturbs nobody.
    let labels = [("site".to_owned(), "north".to_owned())].into();
    let change = NodeChange { labels: Some(labels), ..NodeChange::default() };
    nodes::change(&op, &hub, "BOX", &change).await?;
    assert_eq!(farm.ask("BOX", "mail_unread", unread.clone()).await?["success"], true);
    assert!(!farm.clients.has_seen("BOX", "disconnect"));

    becomes("BOX", "exporter").await?;
    farm.clients.sees("BOX", "disconnect").await?;
    until("its host is gone", async || {
        hosts::show(&op, &farm.agents, "BOX").ok().filter(|host| !host.online)
    })
    .await?;
    // However long it lacks the role: what it is told then does not end its program.
    for _ in 0..2 {
        farm.clients.sees("BOX", "attempt").await?;
    }
    becomes("BOX", "host").await?;
    until("its host is back by itself", async || {
        hosts::show(&op, &farm.agents, "BOX").ok().filter(|host| host.online)
    })
    .await?;
    assert_eq!(farm.ask("BOX", "mail_unread", unread).await?["success"], true);

    farm.supervisor().await?;
    becomes("SUPERVISOR", "exporter").await?;
    farm.clients.sees("SUPERVISOR", "disconnect").await?;
    Ok(())
}

#[tokio::test]
async fn a_stolen_key_is_worth_one_host() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = Farm::with(Setup { more: &["ann"], ..Setup::default() }).await?;
    let (op, hub) = (farm.op(), farm.hub.hub().clone());
    for (key, exported) in [("OPENAI_API_KEY", false), ("SECRET", false), ("EDITOR", true)] {
        let new = NewVariable { value: Some("v".to_owned()), exported: Some(exported) };
        settings::set_variable(&op, &hub, &farm.agents, key, new).await?;
    }
    farm.runner("BOX").await?;
    let key = farm.runner("CLOSED").await?;
    let closed = HostChange { restricted: Some(true), capacity: None };
    hosts::change(&op, &hub, &farm.agents, "CLOSED", closed).await?;
    for (agent, host) in [("mocky", "BOX"), ("ann", "CLOSED")] {
        let hosts = vec![host.to_owned()];
        roster::assign(&op, &hub, &farm.agents, agent, Assignment { hosts }).await?;
    }
    let (mocky, ann, admin) = (1, 2, 3);
    farm.runs("BOX", &[admin, mocky]).await?;
    let letter = json!({ "fromUserId": mocky, "toUserIds": [mocky], "subject": "s", "body": "secret", "kind": "mail" });
    assert_eq!(farm.ask("BOX", "mail_send", letter.clone()).await?, json!({ "success": true }));

    // It says that it runs everybody, which gives it nobody.
    farm.runs("CLOSED", &[admin, mocky, ann]).await?;
    let is_own = |told: &Value| {
        told["users"].as_array().is_some_and(|users| {
            users.iter().all(|user| (user["apiKey"] != Value::Null) == (user["username"] == "ann"))
        })
    };
    farm.clients.hears_that("CLOSED", "users_updated", is_own).await?;
    farm.clients
        .hears_that("CLOSED", "variables_updated", |told| {
            told["config"]["variableMap"] == json!({ "EDITOR": "v" })
        })
        .await?;
    let status = |told: &Value| told["hostActiveAgents"] == json!({ "1": [3, 1], "2": [3, 2] });
    farm.clients.hears_that("CLOSED", "agents_status", status).await?;
    let unread = |user| json!({ "userId": user, "kind": "mail" });
    for (event, payload) in [
        ("session_create", json!({ "userId": mocky, "modelName": "m" })),
        ("session_increment", json!({ "userId": mocky, "runId": 1, "modelName": "m" })),
        ("mail_send", letter),
        ("mail_list", unread(mocky)),
        ("mail_list", unread(admin)),
        ("mail_peek", json!({ "userId": mocky, "messageId": 1 })),
        ("mail_peek", json!({ "userId": ann, "messageId": 1 })),
        ("mail_unread", unread(mocky)),
        ("mail_mark_read", json!({ "userId": mocky, "messageIds": [1], "kind": "mail" })),
        ("mail_archive", json!({ "userId": mocky, "messageIds": [1] })),
        ("mail_search", json!({ "userId": mocky, "terms": "secret" })),
        ("agent_start", json!({ "startUserId": ann, "requesterUserId": admin })),
        ("agent_start", json!({ "startUserId": ann, "requesterUserId": mocky })),
        ("agent_stop", json!({ "userId": mocky, "reason": "r" })),
        ("agent_peek", json!({ "userId": mocky })),
        ("rotate_access_key", json!({})),
        ("users_changed", json!({})),
    ] {
        let answer = farm.ask("CLOSED", event, payload).await?;
        assert_eq!(answer["success"], false, "{event}: {answer}");
        assert!(!answer.to_string().contains("secret"), "{event}: {answer}");
    }
    let nothing = farm.ask("CLOSED", "mail_unread", unread(admin)).await?;
    assert_eq!(nothing, json!({ "success": true, "messages": [] }));
    let run = json!({ "userId": mocky, "runId": 1, "sessionId": 1 });
    let cost = |mut entry: Value, cost: f64| {
        for (field, value) in [("source", json!("console")), ("model", json!("m")), ("cost", json!(cost))] {
            entry[field] = value;
        }
        for field in ["inputTokens", "outputTokens", "cacheWriteTokens", "cacheReadTokens"] {
            entry[field] = json!(1);
        }
        json!({ "entries": [entry] })
    };
    assert_eq!(farm.ask("CLOSED", "cost_write", cost(run.clone(), 1.0)).await?, json!({ "budgets": [] }));
    let own = json!({ "userId": ann, "runId": 1, "sessionId": 1 });
    let mut less = cost(own, 1.0);
    less["entries"][0]["inputTokens"] = json!(-1);
    assert_eq!(farm.ask("CLOSED", "cost_write", less).await?, json!({ "budgets": [] }));
    let mut entry = run;
    for (field, value) in [("role", "LLM"), ("message", "forged"), ("createdAt", "2026-11-23T07:39:18.437Z")]
    {
        entry[field] = json!(value);
    }
    entry["source"] = Value::Null;
    entry["type"] = Value::Null;
    farm.clients.say("CLOSED", "log_write", json!({ "entries": [entry] })).await?;
    farm.runs("CLOSED", &[ann]).await?;
    assert!(runs::log(&op, &hub, &farm.agents, "mocky", &LogFilter::default()).await?.lines.is_empty());

    // A file of another's, whose number it guesses.
    let users = farm.clients.hears_that("BOX", "users_updated", |_| true).await?;
    let api = users["users"][0]["apiKey"].as_str().unwrap_or_default().to_owned();
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let path = format!("/attachments?filename=a.txt&filesize=3&filehash={hash}&purpose=mail");
    let request = json!({ "method": "POST", "path": path, "body": "abc", "headers": { "X-API-Key": api } });
    assert_eq!(farm.clients.http(&key, request).await?["text"], "{\"id\":1}");
    let steal = json!({
        "fromUserId": ann, "toUserIds": [ann], "subject": "s", "body": "b", "kind": "mail", "attachmentIds": [1],
    });
    let answer = farm.ask("CLOSED", "mail_send", steal).await?;
    assert_eq!(answer, json!({ "success": false, "error": "Error: Attachments not found: 1" }));
    Ok(())
}
