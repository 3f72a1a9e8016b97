//! What happens in the fleet, in words for people.

use nave_core::api::Event;
use nave_web::section::Told;
use nave_web::ui::Tone;
use serde_json::Value;

use super::views;

pub(super) fn tell(event: &Event) -> Option<Told> {
    let text = |name: &str| event.detail[name].as_str().unwrap_or_default();
    let because = |reason: &str| if reason.is_empty() { String::new() } else { format!("({reason})") };
    let (tone, who, did, rest) = match event.action.as_str() {
        "agent.created" => (Tone::Good, None, "made the agent", works_for(&event.detail["lead"])),
        "agent.changed" => {
            let (tone, did, rest) = changed(&event.detail);
            (tone, None, did, rest)
        }
        "agent.assigned" => (Tone::Plain, None, "assigned", assigned(&event.detail["hosts"])),
        "agent.started" => (Tone::Good, None, "started", at(text("host"))),
        "agent.stopped" => (Tone::Plain, None, "stopped", because(text("reason"))),
        "agent.suspended" => (Tone::Warn, None, "suspended", because(text("reason"))),
        "agent.resumed" => (Tone::Good, None, "let", format!("spend again {}", because(text("reason")))),
        "agent.key_renewed" => (
            Tone::Warn,
            None,
            "gave a new key to",
            "since a host that knew the old one was revoked".to_owned(),
        ),
        "agents.imported" => (Tone::Good, None, "took over", "with its agents, mail and logs".to_owned()),
        "agent.spend_reset" => (Tone::Plain, None, "reset what was spent by", String::new()),
        "host.changed" => (Tone::Plain, None, "changed the host", host(&event.detail)),
        "variable.set" => (Tone::Plain, None, "set the variable", variable(&event.detail)),
        "variable.unset" => (Tone::Warn, None, "took away the variable", String::new()),
        "model.set" => (Tone::Plain, None, "set the model", String::new()),
        "model.unset" => (Tone::Warn, None, "took away the model", String::new()),
        "mail.sent" => (Tone::Plain, None, "wrote to", about(text("subject"))),
        _ => return None,
    };
    let path = match event.object_kind.as_str() {
        "agent" => Some(views::path_of(&event.object_id)),
        "host" => Some(views::host_path(&event.object)),
        "variable" => Some("/agents/variables".to_owned()),
        "model" => Some(views::model_path(&event.object)),
        "mail" => Some(views::conversation_path(&event.object, "")),
        _ => None,
    };
    Some(Told { tone, who, did, rest: rest.trim_end().to_owned(), path })
}

fn works_for(lead: &Value) -> String {
    lead.as_str().filter(|lead| !lead.is_empty()).map_or(String::new(), |lead| format!("for {lead}"))
}

fn at(host: &str) -> String {
    if host.is_empty() { String::new() } else { format!("on {host}") }
}

fn about(subject: &str) -> String {
    if subject.is_empty() { String::new() } else { format!("about “{subject}”") }
}

fn listed(names: &Value) -> String {
    names.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn assigned(hosts: &Value) -> String {
    match listed(hosts) {
        hosts if hosts.is_empty() => "to no host: it runs on every one that is not restricted".to_owned(),
        hosts => format!("to {hosts}"),
    }
}

/// A change: what mattered most of it first.
fn changed(detail: &Value) -> (Tone, &'static str, String) {
    match (&detail["archived"], &detail["enabled"]) {
        (Value::Bool(true), _) => (Tone::Warn, "archived", String::new()),
        (Value::Bool(false), _) => (Tone::Good, "brought back", String::new()),
        (_, Value::Bool(true)) => (Tone::Good, "enabled", String::new()),
        (_, Value::Bool(false)) => (Tone::Warn, "disabled", String::new()),
        _ if detail["fields"].is_array() => {
            (Tone::Plain, "changed the configuration of", format!("({})", listed(&detail["fields"])))
        }
        _ => match detail["lead"].as_str() {
            Some("") => (Tone::Plain, "changed", "to work for nobody".to_owned()),
            Some(lead) => (Tone::Plain, "changed", format!("to work for {lead}")),
            None => (Tone::Plain, "changed", String::new()),
        },
    }
}

fn host(detail: &Value) -> String {
    let who = if detail["restricted"] == Value::Bool(true) { "only assigned agents" } else { "all agents" };
    match detail["capacity"].as_i64() {
        Some(capacity) => format!("to take {who}, at most {capacity} at once"),
        None => format!("to take {who}, as many as come"),
    }
}

fn variable(detail: &Value) -> String {
    let exported =
        if detail["exported"] == Value::Bool(true) { ", which agents find in their shell" } else { "" };
    let value = if detail["value"] == Value::Bool(true) { "to another value" } else { "but not its value" };
    format!("{value}{exported}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    fn said(action: &str, kind: &str, detail: Value) -> String {
        let event = Event {
            id: 7,
            at: datetime!(2026-08-04 12:00 UTC),
            actor_kind: "person".into(),
            actor_id: "1".into(),
            actor: "Ada".into(),
            source: None,
            request: "r".into(),
            action: action.into(),
            object_kind: kind.into(),
            object_id: "3".into(),
            object: "ann".into(),
            detail,
        };
        let told = tell(&event).unwrap();
        format!("Ada {} [{}] {}", told.did, told.path.unwrap(), told.rest).trim_end().to_owned()
    }

    #[test]
    fn what_happens_in_the_fleet_is_told_in_sentences() {
        let agent = |action: &str, detail| said(action, "agent", detail).replace("[/agents/named/3]", "it");
        assert_eq!(agent("agent.created", json!({ "lead": "boss" })), "Ada made the agent it for boss");
        assert_eq!(
            agent("agent.changed", json!({ "enabled": false, "fields": ["title"] })),
            "Ada disabled it"
        );
        assert_eq!(
            agent("agent.changed", json!({ "fields": ["title", "tokenMax"], "revision": 2 })),
            "Ada changed the configuration of it (title, tokenMax)"
        );
        assert_eq!(agent("agent.changed", json!({ "lead": "" })), "Ada changed it to work for nobody");
        assert_eq!(agent("agent.assigned", json!({ "hosts": ["a", "b"] })), "Ada assigned it to a, b");
        assert_eq!(agent("agent.started", json!({ "host": "box" })), "Ada started it on box");
        assert_eq!(agent("agent.stopped", json!({ "reason": "done" })), "Ada stopped it (done)");
        assert_eq!(agent("agent.resumed", json!({ "reason": "" })), "Ada let it spend again");
        assert_eq!(
            said("host.changed", "host", json!({ "restricted": true, "capacity": 2 })),
            "Ada changed the host [/agents/hosts/ann] to take only assigned agents, at most 2 at once"
        );
        assert_eq!(
            said("variable.set", "variable", json!({ "exported": true, "value": true })),
            "Ada set the variable [/agents/variables] to another value, which agents find in their shell"
        );
        assert_eq!(
            said("mail.sent", "mail", json!({ "subject": "Hi" })),
            "Ada wrote to [/agents/mail/with?who=ann] about “Hi”"
        );
    }
}
