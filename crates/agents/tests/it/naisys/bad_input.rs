//! What no runner says and somebody might: the hub answers, goes on, and loses nothing.

use nave_agents::hub::config::AgentsConfig;
use nave_agents::hub::roster;
use nave_testkit::need::need;
use serde_json::{Value, json};

use super::{Farm, Setup, supervised};

const ADMIN: i64 = 2;

/// Each event as it should be.
fn good() -> Vec<(&'static str, Value)> {
    let entry = json!({
        "userId": 1, "runId": 1, "sessionId": 1, "source": "console", "model": "m", "cost": 0.5,
        "inputTokens": 1, "outputTokens": 1, "cacheWriteTokens": 1, "cacheReadTokens": 1,
    });
    let line = json!({
        "userId": 1, "runId": 1, "sessionId": 1, "role": "LLM", "source": "llm", "type": "tool", "message": "m",
        "createdAt": "2026-11-23T07:39:18.437Z", "attachmentId": 1,
    });
    vec![
        ("session_create", json!({ "userId": 1, "modelName": "m" })),
        ("session_increment", json!({ "userId": 1, "runId": 1, "modelName": "m" })),
        (
            "mail_send",
            json!({ "fromUserId": 1, "toUserIds": [1], "subject": "s", "body": "b", "kind": "mail", "attachmentIds": [] }),
        ),
        (
            "mail_list",
            json!({ "userId": 1, "filter": "sent", "kind": "mail", "skip": 0, "take": 1, "withUserIds": [1] }),
        ),
        ("mail_peek", json!({ "userId": 1, "messageId": 1 })),
        ("mail_unread", json!({ "userId": 1, "kind": "mail", "afterId": 1 })),
        ("mail_mark_read", json!({ "userId": 1, "messageIds": [1], "kind": "mail" })),
        ("mail_archive", json!({ "userId": 1, "messageIds": [1] })),
        ("mail_search", json!({ "userId": 1, "terms": "t", "includeArchived": true, "subjectOnly": true })),
        ("cost_write", json!({ "entries": [entry] })),
        ("log_write", json!({ "entries": [line] })),
        ("agent_start", json!({ "startUserId": 1, "taskDescription": "t", "requesterUserId": 1 })),
        ("agent_stop", json!({ "userId": 1, "reason": "r" })),
        ("agent_peek", json!({ "userId": 1, "skip": 0, "take": 1 })),
        ("heartbeat", json!({ "activeUserIds": [ADMIN] })),
    ]
}

/// Every way in which one of its fields is of another type; `null` only where there is something else that it could be.
fn wrong(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let Value::Object(fields) = value else { return all };
    for (field, right) in fields {
        let mut put = |other: Value| {
            let mut changed = value.clone();
            changed[field] = other;
            all.push(changed);
        };
        for other in
            [json!(true), json!(1), json!(1.5), json!("x"), json!([{}]), json!({ "a": 1 }), Value::Null]
        {
            let is_alike = std::mem::discriminant(&other) == std::mem::discriminant(right);
            let is_fraction = other == json!(1.5) && field != "cost";
            // A log line has these or `null`.
            let is_nullable = other.is_null() && (field == "source" || field == "type");
            // A line of such a text is a line.
            let is_word = other == json!("x")
                && ["kind", "filter", "source", "role", "type", "createdAt"].contains(&field.as_str());
            if (!is_alike || is_fraction || is_word || right.is_array()) && !is_nullable {
                put(other);
            }
        }
        if let Value::Array(items) = right
            && let Some(Value::Object(_)) = items.first()
        {
            for other in wrong(&items[0]) {
                put(json!([other]));
            }
        }
    }
    all
}

#[tokio::test]
async fn each_field_of_the_wrong_type_is_told_and_nothing_ends() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = Farm::with(Setup { agents: supervised(), ..Setup::default() }).await?;
    farm.runner("BOX").await?;
    farm.runs("BOX", &[ADMIN]).await?;
    let mut count = 0;
    for (event, payload) in good() {
        let mut all = wrong(&payload);
        all.extend([Value::Null, json!([]), json!("x"), json!(7)]);
        for payload in all {
            // The model of a cost may be any text, and so on: only what is refused by its type is looked at.
            let answer = farm.ask("BOX", event, payload.clone()).await?;
            let is_refused = answer["success"] == false || answer == json!({ "budgets": [] });
            assert!(is_refused, "{event} {payload}: {answer}");
            count += 1;
        }
        // Without an acknowledgement nobody is told, and without anything nothing is done.
        farm.clients.say("BOX", event, payload).await?;
        farm.clients.tell(json!({ "do": "emit", "id": "BOX", "event": event, "payload": [] })).await?;
        farm.clients.say("BOX", event, json!({ "entries": 1, "activeUserIds": "all" })).await?;
    }
    assert!(count > 300, "{count}");
    for event in ["client_connected", "client_disconnected", "message", "__proto__"] {
        farm.clients.say("BOX", event, json!({})).await?;
    }
    let answer = farm.ask("BOX", "mail_unread", json!({ "userId": ADMIN, "kind": "mail" })).await?;
    assert_eq!(answer["success"], true);
    assert!(!farm.clients.has_seen("BOX", "disconnect"), "it is the same connection all the time");
    Ok(())
}

fn mail(body: &str) -> Value {
    json!({ "fromUserId": ADMIN, "toUserIds": [ADMIN], "subject": "s", "body": body, "kind": "mail" })
}

#[tokio::test]
async fn a_long_mail_is_taken_and_one_too_long_costs_nothing_that_was_acknowledged() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = Farm::with(Setup::default()).await?;
    farm.runner("BOX").await?;
    let long = "x".repeat(1_100_000);
    assert_eq!(farm.ask("BOX", "mail_send", mail(&long)).await?, json!({ "success": true }));
    farm.clients
        .tell(json!({ "do": "emitLong", "id": "BOX", "event": "mail_send", "length": 5 << 20 }))
        .await?;
    farm.clients.sees("BOX", "disconnect").await?;
    farm.clients.sees("BOX", "connect").await?;
    let unread = farm.ask("BOX", "mail_unread", json!({ "userId": ADMIN, "kind": "mail" })).await?;
    assert_eq!(unread["messages"][0]["body"].as_str().map(str::len), Some(1_100_000));
    assert_eq!(unread["messages"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn an_agent_that_writes_without_end_is_told_to_wait() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let agents = AgentsConfig { mails_per_minute: 50, ..AgentsConfig::default() };
    let mut farm = Farm::with(Setup { agents, ..Setup::default() }).await?;
    farm.runner("BOX").await?;
    let mut asked = Vec::new();
    for at in 0..80 {
        asked.push(farm.clients.begin("BOX", "mail_send", mail(&at.to_string())).await?);
    }
    let mut taken = 0;
    for n in asked {
        let answer = farm.clients.answer("BOX", n).await?;
        if answer["success"] == true {
            taken += 1;
        } else {
            let error = answer["error"].as_str().unwrap_or_default();
            assert!(error.starts_with("admin has sent 50 mails within a minute"), "{error}");
        }
    }
    assert_eq!(taken, 50);
    // Others write on.
    let other = json!({ "fromUserId": 1, "toUserIds": [1], "subject": "s", "body": "b", "kind": "chat" });
    assert_eq!(farm.ask("BOX", "mail_send", other).await?, json!({ "success": true }));
    Ok(())
}

#[tokio::test]
async fn files_are_what_they_say_and_run_nowhere() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = Farm::with(Setup { more: &["ann"], ..Setup::default() }).await?;
    let key = farm.runner("BOX").await?;
    let users = farm.clients.hears("BOX", "users_updated").await?;
    let api = |at: usize| users["users"][at]["apiKey"].as_str().unwrap_or_default().to_owned();
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let path = |name: &str, size: &str, hash: &str, purpose: &str| {
        format!("/attachments?filename={name}&filesize={size}&filehash={hash}&purpose={purpose}")
    };
    let too_large = (10 << 20) + 1;
    let cases = [
        (path("a.txt", "3", &"0".repeat(64), "mail"), 400, "Hash mismatch. Expected: 0000"),
        (path("a.txt", "3", "", "mail"), 400, "Missing required query params"),
        (path("a.txt", "3", hash, "other"), 400, "Invalid purpose"),
        (path("a.txt", "none", hash, "mail"), 400, "Invalid filesize"),
        (path("a.txt", &too_large.to_string(), hash, "mail"), 413, "File too large. Max size: 10485760"),
        (path("..", "3", hash, "mail"), 400, "name"),
        (path("a%0d%0ab.txt", "3", hash, "mail"), 400, "name"),
    ];
    for (path, status, words) in cases {
        let headers = json!({ "Authorization": format!("Bearer {}", api(0)) });
        let request = json!({ "method": "POST", "path": path, "body": "abc", "headers": headers });
        let answer = farm.clients.http(&key, request).await?;
        assert_eq!(answer["status"], status, "{path}: {answer}");
        assert!(answer["text"].as_str().is_some_and(|text| text.contains(words)), "{path}: {answer}");
    }
    let headers = json!({ "X-API-Key": "0".repeat(64) });
    let request =
        json!({ "method": "POST", "path": path("a", "3", hash, "mail"), "body": "abc", "headers": headers });
    let answer = farm.clients.http(&key, request).await?;
    assert_eq!(
        (&answer["status"], &answer["text"]),
        (&json!(401), &json!("{\"error\":\"Invalid API key\"}"))
    );

    // What was brought is told in a mail, and given to those who have that.
    for (at, name) in [(1, "..%2F..%2Fevil.svg"), (2, "page.html")] {
        let headers = json!({ "X-API-Key": api(0) });
        let request = json!({ "method": "POST", "path": path(name, "3", hash, "mail"), "body": "abc", "headers": headers });
        assert_eq!(farm.clients.http(&key, request).await?["text"], format!("{{\"id\":{at}}}"));
    }
    let send = json!({
        "fromUserId": 1, "toUserIds": [1], "subject": "s", "body": "b", "kind": "mail", "attachmentIds": [1, 2],
    });
    assert_eq!(farm.ask("BOX", "mail_send", send).await?, json!({ "success": true }));
    let unread = farm.ask("BOX", "mail_unread", json!({ "userId": 1, "kind": "mail" })).await?;
    let files = unread["messages"][0]["attachments"].as_array().cloned().unwrap_or_default();
    assert_eq!(files[0]["filename"], "evil.svg");
    for file in &files {
        let path = format!("/attachments/{}/x?apiKey={}", file["id"].as_str().unwrap_or_default(), api(0));
        let answer = farm.clients.http(&key, json!({ "method": "GET", "path": path })).await?;
        assert_eq!((&answer["status"], &answer["text"]), (&json!(200), &json!("abc")));
        let header = |name: &str| answer["headers"][name].as_str().unwrap_or_default().to_owned();
        assert!(header("content-disposition").starts_with("attachment; "), "{answer}");
        assert!(header("content-security-policy").contains("sandbox"), "{answer}");
        let path = format!("/attachments/{}?apiKey={}", file["id"].as_str().unwrap_or_default(), api(1));
        let answer = farm.clients.http(&key, json!({ "method": "GET", "path": path })).await?;
        assert_eq!(
            (&answer["status"], &answer["text"]),
            (&json!(404), &json!("{\"error\":\"Attachment not found\"}"))
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_is_pushed_is_what_its_programs_survive() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm =
        Farm::with(Setup { agents: supervised(), more: &["ann", "bob"], ..Setup::default() }).await?;
    farm.supervisor().await?;
    farm.runner("BOX").await?;
    // Everything that is pushed is compared with the contract while it is read.
    roster::assign(
        &farm.op(),
        farm.hub.hub(),
        &farm.agents,
        "ann",
        nave_agents::api::Assignment { hosts: vec!["BOX".to_owned()] },
    )
    .await?;
    for event in ["users_changed", "variables_changed", "models_changed", "hosts_changed"] {
        farm.clients.tell(json!({ "do": "emit", "id": "SUPERVISOR", "event": event, "payload": [] })).await?;
    }
    let assigned = |told: &Value| told["users"][1]["assignedHostIds"] == json!([1]);
    for id in ["SUPERVISOR", "BOX"] {
        farm.clients.hears_that(id, "users_updated", assigned).await?;
        for event in ["variables_updated", "models_updated", "hosts_updated"] {
            farm.clients.hears(id, event).await?;
            farm.clients.hears(id, event).await?;
        }
    }
    let key = json!({ "userId": 1, "runId": 1, "sessionId": 1 });
    let cost = json!({ "entries": [{
        "userId": 1, "runId": 1, "sessionId": 1, "source": "genimg", "model": "m", "cost": 0.125,
        "inputTokens": 1, "outputTokens": 1, "cacheWriteTokens": 1, "cacheReadTokens": 1,
    }] });
    farm.ask("BOX", "session_create", json!({ "userId": 1, "modelName": "m" })).await?;
    farm.ask("BOX", "cost_write", cost).await?;
    let push = farm.clients.hears("SUPERVISOR", "cost_push").await?;
    let mut expected = key;
    expected["costDelta"] = json!(0.125);
    assert_eq!(push, json!({ "entries": [expected] }));
    let push = farm.clients.hears("SUPERVISOR", "session_push").await?;
    assert_eq!((&push["session"]["runId"], &push["session"]["sessionId"]), (&json!(1), &json!(1)));
    Ok(())
}
