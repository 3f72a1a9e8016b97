//! Events in words: who did what to what, as a sentence with the names in it.

use nave_core::api::Event;
use serde_json::Value;
use time::OffsetDateTime;

use crate::section::Told;
use crate::ui::Tone;

/// An event as people read it.
#[derive(Clone, Debug)]
pub struct Happening {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: OffsetDateTime,
    /// What it says about how things are.
    pub tone: Tone,
    /// Who.
    pub who: String,
    /// Did what.
    pub did: String,
    /// To what; nothing where it is who did it.
    pub what: Option<Thing>,
    /// What else belongs to the sentence.
    pub rest: String,
}

/// Something with a name, and a page if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    /// Its name at that time.
    pub name: String,
    /// Its page.
    pub path: Option<String>,
}

/// What each action is called, and what it says. An action that is not here is told by its own name.
const SAID: &[(&str, &str, Tone)] = &[
    ("access_request.accepted", "let in", Tone::Good),
    ("access_request.declined", "declined the request of", Tone::Plain),
    ("access_request.made", "received a request for access from", Tone::Warn),
    ("backup.made", "made a backup", Tone::Good),
    ("device.approved", "signed in the device", Tone::Good),
    ("device.denied", "refused the device", Tone::Warn),
    ("device.revoked", "signed out the device", Tone::Plain),
    ("grant.added", "allowed", Tone::Plain),
    ("grant.removed", "no longer allows", Tone::Plain),
    ("key.master_rotated", "replaced the master key", Tone::Plain),
    ("key.rotated", "replaced the access key", Tone::Plain),
    ("key.shown", "looked at the access key", Tone::Warn),
    ("mail.discarded", "discarded a mail to", Tone::Plain),
    ("mail.failed", "could not send a mail to", Tone::Bad),
    ("mail.retried", "sends again a mail to", Tone::Plain),
    ("mail.tested", "sends a test mail to", Tone::Plain),
    ("node.approved", "let in", Tone::Good),
    ("node.asked_to_join", "asked to join", Tone::Warn),
    ("node.invited", "invited", Tone::Plain),
    ("node.joined", "joined", Tone::Good),
    ("node.key_minted", "made an access key for", Tone::Plain),
    ("node.labelled", "labelled", Tone::Plain),
    ("node.name_refused", "came from elsewhere with the name of", Tone::Warn),
    ("node.released", "released the name of", Tone::Plain),
    ("node.renamed", "renamed", Tone::Plain),
    ("node.revoked", "revoked", Tone::Bad),
    ("node.roles_set", "changed the roles of", Tone::Plain),
    ("node.used_twice", "saw two machines with the key of", Tone::Bad),
    ("person.accepted", "accepted the invitation", Tone::Good),
    ("person.added", "came in by a provider", Tone::Good),
    ("person.disabled", "disabled the account of", Tone::Bad),
    ("person.enabled", "enabled the account of", Tone::Plain),
    ("person.identity_linked", "linked a provider to", Tone::Plain),
    ("person.invited", "invited", Tone::Plain),
    ("person.password_changed", "changed the password", Tone::Plain),
    ("person.password_reset", "set a new password", Tone::Plain),
    ("person.recovery_codes_renewed", "made new recovery codes", Tone::Plain),
    ("person.renamed", "renamed", Tone::Plain),
    ("person.reset_link_made", "made a link for a new password of", Tone::Plain),
    ("person.roles_set", "changed the roles of", Tone::Plain),
    ("person.second_factor_reset", "took off the second factor of", Tone::Warn),
    ("person.second_factor_set", "set up a second factor", Tone::Good),
    ("person.session_ended", "ended a session of", Tone::Plain),
    ("person.sessions_ended", "ended the other sessions of", Tone::Plain),
    ("person.set_up", "set up this hub", Tone::Good),
    ("person.signed_in", "signed in", Tone::Plain),
    ("program.misused", "showed something stolen, which ended a sign-in to", Tone::Bad),
    ("program.signed_in", "signed in to", Tone::Good),
    ("program.signed_out", "signed out", Tone::Plain),
    ("source.throttled", "slowed down", Tone::Warn),
    ("stream.cut", "cut the stream", Tone::Warn),
    ("stream.opened", "opened a stream to", Tone::Plain),
    ("task.cancelled", "called off the task", Tone::Warn),
    ("task.put", "put the task", Tone::Plain),
    ("token.ended", "ended the API token", Tone::Plain),
    ("token.made", "made the API token", Tone::Plain),
];

impl From<&Event> for Happening {
    fn from(event: &Event) -> Self {
        let said = SAID.binary_search_by_key(&event.action.as_str(), |(action, _, _)| action).ok();
        let (did, tone) = match said.map(|at| &SAID[at]) {
            Some((_, did, tone)) => ((*did).to_owned(), *tone),
            None => (format!("{} on", event.action.replace(['.', '_'], " ")), Tone::Plain),
        };
        let own = event.object_id == event.actor_id || event.object.is_empty();
        let what = (!own).then(|| Thing { name: event.object.clone(), path: page_of(event) });
        Self {
            id: event.id,
            at: event.at,
            tone,
            who: event.actor.clone(),
            did,
            what,
            rest: rest(&event.action, &event.detail),
        }
    }
}

impl Happening {
    /// An event in a fleet's own words.
    pub fn told(event: &Event, told: Told) -> Self {
        let Told { tone, who, did, rest, path } = told;
        let what = Some(Thing { name: event.object.clone(), path });
        let who = who.unwrap_or_else(|| event.actor.clone());
        Self { id: event.id, at: event.at, tone, who, did: did.to_owned(), what, rest }
    }
}

/// Where a thing is looked at.
fn page_of(event: &Event) -> Option<String> {
    let id = &event.object_id;
    match event.object_kind.as_str() {
        "node" => Some(format!("/nodes/{id}")),
        "person" => Some(format!("/people/{id}")),
        "access_request" => Some("/people/requests".to_owned()),
        _ => None,
    }
}

/// The detail without which the sentence would leave out what matters.
fn rest(action: &str, detail: &Value) -> String {
    let text = |name: &str| detail[name].as_str().unwrap_or_default();
    match action {
        "node.renamed" | "person.renamed" => format!("to {}", text("name")),
        "grant.added" | "grant.removed" => format!("to {} {}", text("action"), text("scope")),
        "person.signed_in" if !text("with").is_empty() => format!("with a {}", text("with")),
        _ => String::new(),
    }
    .trim_end()
    .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    fn event(action: &str, object: &str, detail: Value) -> Event {
        Event {
            id: 7,
            at: datetime!(2026-08-04 12:00 UTC),
            actor_kind: "person".into(),
            actor_id: "1".into(),
            actor: "Ada".into(),
            source: None,
            request: "r".into(),
            action: action.into(),
            object_kind: "node".into(),
            object_id: "2".into(),
            object: object.into(),
            detail,
        }
    }

    fn told(event: &Event) -> String {
        let said = Happening::from(event);
        let what = said.what.map(|what| what.name).unwrap_or_default();
        format!("{} {} {what} {}", said.who, said.did, said.rest).trim_end().to_owned()
    }

    #[test]
    fn the_table_can_be_searched() {
        assert!(SAID.is_sorted_by_key(|(action, _, _)| action));
    }

    #[test]
    fn events_become_sentences() {
        assert_eq!(told(&event("node.renamed", "lab", json!({"name": "bench"}))), "Ada renamed lab to bench");
        let grant = json!({"action": "open", "scope": "lab:8080"});
        assert_eq!(told(&event("grant.added", "laptop", grant)), "Ada allowed laptop to open lab:8080");
        assert_eq!(told(&event("place.made_new", "desk", Value::Null)), "Ada place made new on desk");
        let own =
            Event { object_id: "1".into(), ..event("person.signed_in", "Ada", json!({"with": "code"})) };
        assert_eq!(told(&own), "Ada signed in  with a code");
    }
}
