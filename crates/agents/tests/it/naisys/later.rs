//! The later generation of runners: the default namespace at `/hub/socket.io`, a key without a fingerprint, other heartbeats.

use nave_agents::hub::hosts;
use nave_link::access_key::AccessKey;
use nave_testkit::need::need;
use serde_json::json;

use super::{Farm, Setup, auth};

#[tokio::test]
async fn a_later_runner_comes_with_64_hex_characters() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = Farm::with(Setup::default()).await?;
    let key = farm.mint("BOX", std::time::Duration::ZERO).await?;
    let plain = key.parse::<AccessKey>()?.plain().unwrap_or_default().to_string();
    assert_eq!(plain.len(), 64);
    let come = |shown: String| {
        let mut auth = auth(&shown, "box.lan", "naisys");
        for (field, value) in
            [("machineId", "m-1"), ("instanceId", "i-1"), ("clientVersion", "4.1.0"), ("environment", "prod")]
        {
            auth[field] = json!(value);
        }
        json!({
            "key": key, "namespace": "", "auth": auth, "options": { "path": "/hub/socket.io" }, "strict": true,
        })
    };
    farm.clients.connect_with("WRONG", come(plain.replace(&plain[..1], "x"))).await?;
    let refused = farm.clients.sees("WRONG", "connect_error").await?;
    assert_eq!(refused["data"], json!({ "code": "invalid_access_key", "fatal": true }));
    farm.clients.connect_with("BOX", come(plain)).await?;
    farm.clients.sees("BOX", "connect").await?;
    let host = hosts::show(&farm.op(), &farm.agents, "BOX")?;
    assert_eq!(host.version.as_deref(), Some("naisys 4.1.0"));
    let sessions =
        json!({ "activeSessions": [{ "userId": 1, "runId": 1, "sessionId": 1, "state": "idle" }] });
    farm.clients.say("BOX", "heartbeat", sessions).await?;
    farm.clients
        .hears_that("BOX", "agents_status", |told| told["hostActiveAgents"] == json!({ "1": [1] }))
        .await?;
    // Their files are under the same name as their sockets.
    let answer = farm.clients.http(&key, json!({ "method": "GET", "path": "/hub/attachments/x" })).await?;
    assert_eq!((&answer["status"], &answer["text"]), (&json!(401), &json!("{\"error\":\"Missing apiKey\"}")));
    Ok(())
}
