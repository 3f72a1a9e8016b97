//! The recorded sessions of a runner and a supervisor, said again to this hub. What it answers and pushes is what the original
//! did, but for the differences that stand here.

use std::collections::BTreeMap;

use nave_agents::api::{AgentConfig, NewAgent, NewVariable};
use nave_agents::hub::{roster, settings};
use nave_testkit::need::need;
use serde_json::{Value, json};

use super::{Farm, Setup, auth, supervised};

const RUNNER: &str = include_str!("../../golden/naisys_runner_session.jsonl");
const SUPERVISOR: &str = include_str!("../../golden/naisys_supervisor_session.jsonl");

/// Where this hub differs, and why.
const INTENDED: [(&str, &str); 14] = [
    ("BOX-1 users_updated/users/1/config/spendLimitDollars", LIMIT),
    ("BOX-2 users_updated/users/1/config/spendLimitDollars", LIMIT),
    ("SUPERVISOR users_updated/users/1/config/spendLimitDollars", LIMIT),
    ("BOX-2 hosts_updated/hosts", NO_HOST),
    ("SUPERVISOR hosts_updated/hosts", NO_HOST),
    ("order agent_start/sourceHostId", NO_HOST),
    ("order agent_stop/sourceHostId", NO_HOST),
    ("order agent_peek/sourceHostId", NO_HOST),
    ("SUPERVISOR variables_updated/config/variableMap/SPEND_LIMIT_DOLLARS", NO_SECRETS),
    ("SUPERVISOR users_updated/users/0/apiKey", NO_SECRETS),
    ("SUPERVISOR users_updated/users/1/apiKey", NO_SECRETS),
    ("SUPERVISOR users_updated/users/2/apiKey", NO_SECRETS),
    ("SUPERVISOR users_updated/users/2/config/spendLimitDollars", LIMIT),
    (
        "SUPERVISOR log_push/sessionUpdates/0/totalLinesDelta",
        "long texts of the record are cut, and have fewer lines",
    ),
];

const LIMIT: &str = "a person spends nothing, and has no limit of its own";
const NO_HOST: &str = "a supervisor is no host: it runs nothing, and is in no list of those that do";
const NO_SECRETS: &str = "what only those need who run agents, a supervisor is not told";

#[tokio::test]
async fn a_recorded_runner_is_answered_as_it_was() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = Farm::with(Setup { agents: supervised(), ..Setup::default() }).await?;
    set(&farm, "MY_VAR", "hello").await?;
    let differences = replay(&mut farm, RUNNER).await?;
    assert_intended(&differences);
    Ok(())
}

#[tokio::test]
async fn a_recorded_supervisor_is_answered_as_it_was() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = Farm::with(Setup { agents: supervised(), ..Setup::default() }).await?;
    let differences = replay(&mut farm, SUPERVISOR).await?;
    assert_intended(&differences);
    Ok(())
}

#[tokio::test]
async fn a_supervisor_is_told_of_a_line_with_its_file() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = Farm::with(Setup { agents: supervised(), ..Setup::default() }).await?;
    let key = farm.runner("BOX").await?;
    farm.supervisor().await?;
    farm.runs("BOX", &[1]).await?;
    bring(&mut farm, &key, 1, "BOX").await?;
    let session = farm.ask("BOX", "session_create", json!({ "userId": 1, "modelName": "mock" })).await?;
    let line = |message: &str| {
        json!({
            "userId": 1, "runId": session["runId"], "sessionId": 1, "role": "NAISYS", "source": "console",
            "type": "tool", "message": message, "createdAt": "2026-11-23T07:41:15.630Z",
        })
    };
    let (mut with, without) = (line("a picture"), line("nothing"));
    with["attachmentId"] = json!(1);
    farm.clients.say("BOX", "log_write", json!({ "entries": [with, without] })).await?;
    let told = farm.clients.hears("SUPERVISOR", "log_push").await?;
    let (with, without) = (&told["entries"][0], &told["entries"][1]);
    assert_eq!(with["attachmentId"].as_str().map(str::len), Some(10), "{told}");
    assert_eq!((&with["attachmentFilename"], &with["attachmentFileSize"]), (&json!("att.txt"), &json!(3)));
    assert_eq!(without["message"], "nothing");
    // The contract has no `null` here.
    let fields = ["attachmentId", "attachmentFilename", "attachmentFileSize"];
    assert!(fields.iter().all(|field| without.get(field).is_none()), "{told}");
    Ok(())
}

fn assert_intended(differences: &BTreeMap<String, (Value, Value)>) {
    let is_intended = |what: &str| INTENDED.iter().any(|(intended, _)| *intended == what);
    let others: Vec<_> = differences.iter().filter(|(what, _)| !is_intended(what)).collect();
    assert!(others.is_empty(), "{others:#?}");
}

async fn set(farm: &Farm, key: &str, value: &str) -> anyhow::Result<()> {
    let new = NewVariable { value: Some(value.to_owned()), exported: None };
    Ok(settings::set_variable(&farm.op(), farm.hub.hub(), &farm.agents, key, new).await?)
}

/// Says again what was recorded, and compares; what differs is named by its place.
async fn replay(farm: &mut Farm, golden: &str) -> anyhow::Result<BTreeMap<String, (Value, Value)>> {
    set(farm, "SPEND_LIMIT_DOLLARS", "5").await?;
    let mut differences = BTreeMap::new();
    let mut pushed: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    // What waits for an answer: of this hub, and of a client.
    let mut asked: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
    let mut held: BTreeMap<String, String> = BTreeMap::new();
    let mut key = String::new();
    let mut here = Vec::new();
    for line in golden.lines() {
        let line: Value = serde_json::from_str(line)?;
        let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
        let (id, event, data) = (text("host"), text("ev"), line["data"].clone());
        if !here.contains(&id) {
            key = farm.mint(&id, std::time::Duration::ZERO).await?;
            let kind = if id == "SUPERVISOR" { "supervisor" } else { "naisys" };
            farm.come(&id, &key, auth(&key, &id, kind)).await?;
            farm.clients.sees(&id, "connect").await?;
            for event in ["agent_start", "agent_stop", "agent_peek"] {
                farm.clients.tell(json!({ "do": "hold", "id": id, "event": event })).await?;
                farm.clients.sees(&id, "ready").await?;
            }
            here.push(id.clone());
        }
        match (text("dir").as_str(), line["ack"] == true) {
            ("in", true) => {
                if data.get("attachmentIds").is_some() {
                    bring(farm, &key, data["fromUserId"].as_i64().unwrap_or_default(), &id).await?;
                }
                let n = farm.clients.begin(&id, &event, data).await?;
                asked.entry(id).or_default().push((n, event));
            }
            ("in", false) => {
                if event == "users_changed" {
                    let config = newbie()?;
                    let new = NewAgent { config, lead: None };
                    roster::create(&farm.op(), farm.hub.hub(), &farm.agents, new).await?;
                }
                let payload = line.get("data").map_or(json!([]), |data| json!([data]));
                let command = json!({ "do": "emit", "id": id, "event": event, "payload": payload });
                farm.clients.tell(command).await?;
            }
            ("ack-out", _) => {
                let waiting = asked.entry(id.clone()).or_default();
                // What is passed on is answered last.
                let at = waiting.iter().rposition(|(_, event)| !event.starts_with("agent_"));
                let (n, event) = waiting.remove(at.unwrap_or(0));
                let ours = farm.clients.answer(&id, n).await?;
                compare(&format!("answer {event}"), data, ours, &mut differences);
            }
            ("ack-in", _) => {
                let event = held.remove(&id).unwrap_or_default();
                let command = json!({ "do": "release", "id": id, "event": event, "answer": data });
                farm.clients.tell(command).await?;
            }
            ("out", true) => {
                let ours = farm.clients.hears(&id, &event).await?;
                compare(&format!("order {event}"), data, ours, &mut differences);
                held.insert(id, event);
            }
            _ => pushed.entry((id, event)).or_default().push(data),
        }
    }
    for ((id, event), theirs) in pushed {
        let what = format!("{id} {event}");
        match event.as_str() {
            // Told again whenever something changes: the last is compared.
            "hosts_updated" | "variables_updated" | "models_updated" | "users_updated" => {
                let last = theirs.last().cloned().unwrap_or_default();
                let count = |value: &Value| value["users"].as_array().map_or(0, Vec::len);
                let ours = farm.clients.hears_that(&id, &event, |ours| count(ours) == count(&last)).await?;
                compare(&what, last, ours, &mut differences);
            }
            "agents_status" => {
                let last = theirs.last().cloned().unwrap_or_default();
                farm.clients.hears_that(&id, &event, |ours| is_as_far(ours, &last)).await?;
            }
            _ => {
                for theirs in theirs {
                    let ours = farm.clients.hears(&id, &event).await?;
                    compare(&what, theirs, ours, &mut differences);
                }
            }
        }
    }
    Ok(differences)
}

/// Whether a status is the recorded one, or later by some lines: the recorded session ended before its last were told.
fn is_as_far(ours: &Value, theirs: &Value) -> bool {
    let of = |status: &Value| status["agentNotifications"].as_object().cloned().unwrap_or_default();
    let numbers = of(theirs);
    ours["hostActiveAgents"] == theirs["hostActiveAgents"]
        && of(ours).len() == numbers.len()
        && of(ours).iter().all(|(agent, ours)| {
            let same = |field: &str| ours[field] == numbers[agent][field];
            same("latestMailId")
                && same("latestChatId")
                && ours["latestLogId"].as_i64() >= numbers[agent]["latestLogId"].as_i64()
        })
}

fn newbie() -> anyhow::Result<AgentConfig> {
    let last = SUPERVISOR.lines().rfind(|line| line.contains("newbie"));
    let line: Value = serde_json::from_str(last.unwrap_or_default())?;
    Ok(serde_json::from_value(line["data"]["users"][2]["config"].clone())?)
}

/// A file, as an agent brings it before its mail.
async fn bring(farm: &mut Farm, key: &str, agent: i64, id: &str) -> anyhow::Result<()> {
    let heard = farm.clients.heard(id, "users_updated");
    let users = heard[0]["users"].as_array().cloned().unwrap_or_default();
    let user = users.iter().find(|user| user["userId"] == agent).cloned().unwrap_or_default();
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let path = format!(
        "/attachments?apiKey={}&filename=att.txt&filesize=3&filehash={hash}&purpose=mail",
        user["apiKey"].as_str().unwrap_or_default()
    );
    let brought = farm.clients.http(key, json!({ "method": "POST", "path": path, "body": "abc" })).await?;
    assert_eq!(brought["text"], "{\"id\":1}", "{brought}");
    Ok(())
}

/// Notes where two values differ.
fn compare(at: &str, theirs: Value, ours: Value, differences: &mut BTreeMap<String, (Value, Value)>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(mut ours)) => {
            for (field, value) in theirs {
                let other = ours.remove(&field).unwrap_or_default();
                compare(&format!("{at}/{field}"), value, other, differences);
            }
            for (field, value) in ours {
                differences.insert(format!("{at}/{field}"), (Value::Null, value));
            }
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            for (index, (theirs, ours)) in theirs.into_iter().zip(ours).enumerate() {
                compare(&format!("{at}/{index}"), theirs, ours, differences);
            }
        }
        (theirs, ours) => {
            let field = at.rsplit('/').next().unwrap_or_default();
            let is_alike = match field {
                // Of each time and each farm its own; that they are well-formed, the contract has seen to.
                "createdAt" | "lastActive" | "apiKey" | "id" if theirs.is_string() => ours.is_string(),
                "newAccessKey" => ours.as_str().map(str::len) == theirs.as_str().map(str::len),
                _ => theirs == ours || theirs.as_f64().is_some_and(|number| ours.as_f64() == Some(number)),
            };
            if !is_alike {
                differences.insert(at.to_owned(), (theirs, ours));
            }
        }
    }
}
