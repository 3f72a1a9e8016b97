//! Two runners: starting, stopping and peeking from one at the other, waking by mail, where there is room, and budgets.

use std::time::Duration;

use nave_agents::api::{Assignment, BudgetChange, HostChange};
use nave_agents::hub::{budgets, hosts, roster};
use nave_core::clock::Clock;
use nave_testkit::need::need;
use nave_testkit::wait::until;
use serde_json::{Value, json};
use time::macros::datetime;

use super::{Farm, Setup};

const MOCKY: i64 = 1;
const ANN: i64 = 2;
const BOB: i64 = 3;
const ADMIN: i64 = 4;

/// Runners `ONE`, host 1, and `TWO`, host 2; both have a person, and `mocky` is assigned to the second.
async fn two(setup: Setup) -> anyhow::Result<Farm> {
    let mut farm = Farm::with(Setup { more: &["ann", "bob"], ..setup }).await?;
    for id in ["ONE", "TWO"] {
        farm.runner(id).await?;
        farm.runs(id, &[ADMIN]).await?;
        for event in ["agent_start", "agent_stop", "agent_peek"] {
            farm.clients.tell(json!({ "do": "hold", "id": id, "event": event })).await?;
            farm.clients.sees(id, "ready").await?;
        }
    }
    let hosts = vec!["TWO".to_owned()];
    for agent in ["mocky", "bob"] {
        let hosts = hosts.clone();
        roster::assign(&farm.op(), farm.hub.hub(), &farm.agents, agent, Assignment { hosts }).await?;
    }
    Ok(farm)
}

async fn release(farm: &mut Farm, id: &str, event: &str, answer: Value) -> anyhow::Result<()> {
    farm.clients.tell(json!({ "do": "release", "id": id, "event": event, "answer": answer })).await
}

fn start(agent: i64) -> Value {
    json!({ "startUserId": agent, "requesterUserId": ADMIN })
}

#[tokio::test]
async fn what_one_asks_the_other_does() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = two(Setup::default()).await?;
    let mut asked = start(MOCKY);
    asked["taskDescription"] = json!("count");
    let n = farm.clients.begin("ONE", "agent_start", asked).await?;
    let order = farm.clients.hears("TWO", "agent_start").await?;
    assert_eq!(order, json!({ "startUserId": MOCKY, "taskDescription": "count", "sourceHostId": 1 }));
    // As long as it thinks, others are answered.
    let unread = json!({ "userId": ANN, "kind": "mail" });
    assert_eq!(farm.ask("ONE", "mail_unread", unread).await?["success"], true);
    let done = json!({ "success": true, "hostname": "two.lan" });
    release(&mut farm, "TWO", "agent_start", done.clone()).await?;
    assert_eq!(farm.clients.answer("ONE", n).await?, done);
    assert_eq!(farm.clients.hears("TWO", "mail_received").await?["recipientUserIds"], json!([MOCKY]));
    let again = farm.ask("ONE", "agent_start", start(MOCKY)).await?;
    assert_eq!(again, json!({ "success": false, "error": "Agent 'mocky' is already running" }));

    farm.runs("TWO", &[ADMIN, MOCKY]).await?;
    // Whoever is not mocky's host, nor has those for whom it works, does not steer it.
    let refused = farm.ask("ONE", "agent_stop", json!({ "userId": MOCKY, "reason": "r" })).await?;
    assert_eq!(refused["success"], false);
    let n = farm.clients.begin("TWO", "agent_peek", json!({ "userId": MOCKY, "skip": 0, "take": 2 })).await?;
    let order = farm.clients.hears("TWO", "agent_peek").await?;
    assert_eq!(order, json!({ "userId": MOCKY, "skip": 0, "take": 2, "sourceHostId": 2 }));
    let lines = json!({ "success": true, "lines": ["a", "b"], "totalLines": 9 });
    release(&mut farm, "TWO", "agent_peek", lines.clone()).await?;
    assert_eq!(farm.clients.answer("TWO", n).await?, lines);
    let n = farm.clients.begin("TWO", "agent_stop", json!({ "userId": MOCKY, "reason": "enough" })).await?;
    farm.clients.hears("TWO", "agent_stop").await?;
    release(&mut farm, "TWO", "agent_stop", json!({ "success": true })).await?;
    assert_eq!(farm.clients.answer("TWO", n).await?, json!({ "success": true }));

    let words = |answer: &Value| answer["error"].as_str().unwrap_or_default().to_owned();
    let answer = farm.ask("ONE", "agent_start", json!({ "startUserId": ANN })).await?;
    assert_eq!(words(&answer), "Missing requesterUserId in agent_start request for user 2");
    assert_eq!(words(&farm.ask("ONE", "agent_start", start(99)).await?), "Agent 99 is disabled");
    let answer = farm.ask("ONE", "agent_stop", json!({ "userId": ANN, "reason": "r" })).await?;
    assert_eq!(words(&answer), "Agent 2 is not running on any known host");
    Ok(())
}

#[tokio::test]
async fn who_asked_is_answered_when_the_other_goes() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = two(Setup::default()).await?;
    let n = farm.clients.begin("ONE", "agent_start", start(MOCKY)).await?;
    farm.clients.hears("TWO", "agent_start").await?;
    farm.clients.tell(json!({ "do": "leave", "id": "TWO" })).await?;
    let answer = farm.clients.answer("ONE", n).await?;
    assert_eq!(answer, json!({ "success": false, "error": "Failed to send to host 2" }));
    let answer = farm.ask("ONE", "agent_start", start(MOCKY)).await?;
    assert_eq!(answer["error"], "No eligible hosts are online for user 1");
    // Everybody is told that it is gone.
    let gone = |told: &Value| told["hosts"][1]["online"] == false && told["hosts"][0]["online"] == true;
    farm.clients.hears_that("ONE", "hosts_updated", gone).await?;
    farm.clients
        .hears_that("ONE", "agents_status", |told| told["hostActiveAgents"] == json!({ "1": [ADMIN] }))
        .await?;
    Ok(())
}

#[tokio::test]
async fn mail_wakes_an_agent_and_one_that_fails_is_left_in_peace() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let clock = Clock::manual(datetime!(2026-11-23 12:00 UTC));
    let mut farm = two(Setup { clock: Some(clock.clone()), ..Setup::default() }).await?;
    let mail = |body: &str| json!({ "fromUserId": ADMIN, "toUserIds": [MOCKY], "subject": "s", "body": body, "kind": "mail" });
    farm.ask("ONE", "mail_send", mail("one")).await?;
    assert_eq!(farm.clients.hears("TWO", "agent_start").await?, json!({ "startUserId": MOCKY }));
    let refused = json!({ "success": false, "error": "Error: no model", "hostname": "TWO" });
    release(&mut farm, "TWO", "agent_start", refused).await?;
    let op = farm.op();
    until("it is known why", async || {
        let problem = roster::show(&op, &farm.agents, "mocky").ok()?.agent.problem?;
        problem.starts_with("Error: no model (tried once").then_some(())
    })
    .await?;
    // Another mail starts nothing before its time.
    farm.ask("ONE", "mail_send", mail("two")).await?;
    farm.ask("TWO", "mail_unread", json!({ "userId": MOCKY, "kind": "mail" })).await?;
    assert!(farm.clients.heard("TWO", "agent_start").is_empty());
    clock.advance(Duration::from_secs(11));
    farm.ask("ONE", "mail_send", mail("three")).await?;
    farm.clients.hears("TWO", "agent_start").await?;
    release(&mut farm, "TWO", "agent_start", json!({ "success": true, "hostname": "TWO" })).await?;
    let unread = farm.ask("TWO", "mail_unread", json!({ "userId": MOCKY, "kind": "mail" })).await?;
    let bodies: Vec<&Value> =
        unread["messages"].as_array().unwrap().iter().map(|mail| &mail["body"]).collect();
    assert_eq!(bodies, ["one", "two", "three"]);
    Ok(())
}

#[tokio::test]
async fn agents_start_where_they_may_and_where_there_is_room() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = two(Setup::default()).await?;
    let op = farm.op();
    // The second is closed: who is assigned to nothing goes to the first, though that has more to do.
    let closed = HostChange { restricted: Some(true), capacity: None };
    hosts::change(&op, farm.hub.hub(), &farm.agents, "TWO", closed).await?;
    let n = farm.clients.begin("ONE", "agent_start", start(ANN)).await?;
    farm.clients.hears("ONE", "agent_start").await?;
    release(&mut farm, "ONE", "agent_start", json!({ "success": true, "hostname": "ONE" })).await?;
    farm.clients.answer("ONE", n).await?;
    let full = HostChange { restricted: None, capacity: Some(1) };
    hosts::change(&op, farm.hub.hub(), &farm.agents, "TWO", full).await?;
    let told = |told: &Value| told["hosts"][1]["restricted"] == true;
    farm.clients.hears_that("ONE", "hosts_updated", told).await?;
    // A person takes no room, and the first agent all there is.
    let n = farm.clients.begin("ONE", "agent_start", start(MOCKY)).await?;
    farm.clients.hears("TWO", "agent_start").await?;
    let answer = farm.ask("ONE", "agent_start", start(BOB)).await?;
    let words = answer["error"].as_str().unwrap_or_default();
    assert!(words.contains("has room for user 3"), "{answer}");
    release(&mut farm, "TWO", "agent_start", json!({ "success": true, "hostname": "TWO" })).await?;
    farm.clients.answer("ONE", n).await?;
    Ok(())
}

#[tokio::test]
async fn a_spent_budget_stops_an_agent_until_there_is_a_new_one_also_after_a_restart() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = two(Setup::default()).await?;
    farm.runs("TWO", &[ADMIN, MOCKY]).await?;
    let key = farm.ask("TWO", "session_create", json!({ "userId": MOCKY, "modelName": "mock" })).await?;
    let costs = |dollars: f64| {
        json!({ "entries": [{
            "userId": MOCKY, "runId": key["runId"], "sessionId": 1, "source": "console", "model": "mock",
            "cost": dollars, "inputTokens": 1, "outputTokens": 2, "cacheWriteTokens": 3, "cacheReadTokens": 4,
        }] })
    };
    let answer = farm.ask("TWO", "cost_write", costs(0.25)).await?;
    assert_eq!(answer, json!({ "budgets": [{ "userId": MOCKY, "budgetLeft": 0.75 }] }));
    let answer = farm.ask("TWO", "cost_write", costs(0.8)).await?;
    assert_eq!(answer["budgets"][0]["budgetLeft"].as_f64(), Some(0.0));
    let told = farm.clients.hears("TWO", "cost_control").await?;
    let reason = "Spend limit of $1 reached (current: $1.05)";
    assert_eq!(told, json!({ "userId": MOCKY, "enabled": false, "reason": reason }));

    // The hub starts anew, and the runner comes to it with its agent.
    let Farm { hub, mut clients, .. } = farm;
    let folder = hub.folder();
    hub.stop().await;
    clients.sees("TWO", "disconnect").await?;
    let mut farm = Farm::with(Setup { folder: Some(folder), ..Setup::default() }).await?;
    farm.runner("TWO").await?;
    farm.runs("TWO", &[ADMIN, MOCKY]).await?;
    let told = farm.clients.hears("TWO", "cost_control").await?;
    assert_eq!(told, json!({ "userId": MOCKY, "enabled": false, "reason": reason }));
    let reset = BudgetChange { reset: true, ..BudgetChange::default() };
    budgets::change(&farm.op(), farm.hub.hub(), &farm.agents, Some("mocky"), reset).await?;
    let again = |told: &Value| told["enabled"] == true;
    let told = farm.clients.hears_that("TWO", "cost_control", again).await?;
    assert_eq!(told["reason"], "Spend limit period reset (current: $0.00, limit: $1)");
    let more = BudgetChange { dollars: Some(0.0), ..BudgetChange::default() };
    budgets::change(&farm.op(), farm.hub.hub(), &farm.agents, Some("mocky"), more).await?;
    let answer = farm.ask("TWO", "cost_write", costs(5.0)).await?;
    assert_eq!(answer, json!({ "budgets": [{ "userId": MOCKY, "budgetLeft": null }] }));
    Ok(())
}
