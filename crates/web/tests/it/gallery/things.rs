//! Nodes, people, events and streams to fill pages with: few that are tame, or thousands that are not.

use std::collections::BTreeMap;

use nave_core::api::{
    AccessRequest, Device, Event, Grant, Node, NodeStatus, Person, PersonStatus, Role, RoleHeld, Session,
    Stream, StreamPath,
};
use serde_json::{Value, json};
use time::Duration;

use super::{HOSTILE, NOW};

/// The longest name that a node can have.
pub const LONG: &str = "rack-17-unit-42-usb-hub-b-port-3-board-revision-d2-spare-unit-x";

pub fn node(name: &str, online: bool) -> Node {
    Node {
        id: format!("0198f0e3-0000-7000-8000-{:012x}", name.len()),
        name: name.to_owned(),
        roles: vec!["exporter".to_owned()],
        online,
        status: NodeStatus::Active,
        public_key: Some("nk1q7w2e9r4t6y8u1i3o5p7a9s2d4f6g8h1j3k5l7z9x".to_owned()),
        shared_key_from: None,
        version: "nave 0.1.0".to_owned(),
        address: Some("192.0.2.17:51432".to_owned()),
        addresses: vec!["10.0.0.5".to_owned(), "fd00::5".to_owned()],
        allow: vec!["127.0.0.1:8080".to_owned()],
        labels: BTreeMap::new(),
        joined_at: Some(NOW - Duration::days(40)),
        last_seen_at: Some(if online { NOW } else { NOW - Duration::hours(7) }),
        grants: vec![],
    }
}

pub fn three() -> Vec<Node> {
    let lab = Node { labels: BTreeMap::from([("room".into(), "3.14".into())]), ..node("lab", true) };
    let laptop = Node { roles: vec!["importer".into()], allow: vec![], ..node("laptop", true) };
    let ward = Node { roles: vec!["site".into()], ..node("ward-server", false) };
    vec![lab, laptop, ward]
}

/// Thousands, with everything that can be too long being too long.
pub fn many(count: usize) -> Vec<Node> {
    let odd = |at: usize| match at % 7 {
        0 => (format!("{LONG}-{at}"), NodeStatus::Active, true),
        1 => (format!("{HOSTILE}-{at}"), NodeStatus::Active, false),
        2 => (format!("node-{at}"), NodeStatus::Pending, false),
        3 => (format!("node-{at}"), NodeStatus::Revoked, false),
        _ => (format!("node-{at}"), NodeStatus::Active, !at.is_multiple_of(3)),
    };
    (0..count)
        .map(|at| {
            let (name, status, online) = odd(at);
            Node {
                id: format!("0198f0e3-0000-7000-8000-{at:012x}"),
                status,
                roles: ["exporter", "importer", "site", "host"][..=at % 4]
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                labels: BTreeMap::from([("owner".into(), HOSTILE.into()), ("rack".into(), LONG.into())]),
                version: format!("nave 0.1.0 on a system that says a lot about itself {at}"),
                address: Some("[2001:db8:1234:5678:9abc:def0:1234:5678]:51432".into()),
                ..node(&name, online)
            }
        })
        .collect()
}

pub fn event(id: i64, actor: &str, action: &str, object: &str, detail: Value) -> Event {
    let kind = action.split('.').next().unwrap_or_default();
    Event {
        id,
        at: NOW - Duration::minutes(3 * (1000 - id).max(0)),
        actor_kind: "person".to_owned(),
        actor_id: "0198f0e3-1111-7000-8000-000000000001".to_owned(),
        actor: actor.to_owned(),
        source: Some("192.0.2.17".to_owned()),
        request: "0198f0e3-9999-7000-8000-00000000abcd".to_owned(),
        action: action.to_owned(),
        object_kind: kind.to_owned(),
        object_id: format!("0198f0e3-{}-7000-8000-000000000001", if actor == object { 1111 } else { 2222 }),
        object: object.to_owned(),
        detail,
    }
}

/// The newest first, as lists have them.
pub fn events() -> Vec<Event> {
    vec![
        event(1000, "Grace", "stream.opened", "lab:8080", Value::Null),
        event(998, "Grace", "device.approved", "laptop", json!({"from": "192.0.2.9"})),
        event(990, "Grace", "person.signed_in", "Grace", json!({"with": "code"})),
        event(989, "Ada", "person.invited", "Grace", json!({"email": "grace@example.org"})),
        event(970, "Ada", "grant.added", "laptop", json!({"action": "open", "scope": "lab:8080"})),
        event(700, "lab", "node.joined", "lab", json!({"key": "nk1q7w2e9r4t6y8u1i3o5p"})),
        event(699, "Ada", "node.invited", "lab", json!({"roles": ["exporter"]})),
        event(690, "192.0.2.66", "source.throttled", "192.0.2.66", json!({"wrong": "password"})),
        event(20, "Ada", "node.revoked", "old-lab", Value::Null),
        event(1, "Ada", "person.set_up", "Ada", Value::Null),
    ]
}

/// As many as a page holds, and each as long as it can be.
pub fn long_events() -> Vec<Event> {
    let detail = json!({ "name": HOSTILE, "scope": LONG, "list": vec![LONG; 12] });
    (0..100).map(|at| event(1000 - at, HOSTILE, "node.renamed", LONG, detail.clone())).collect()
}

pub fn stream(at: usize, from: &str, to: &str, path: &str) -> Stream {
    let bytes = at as u64;
    Stream {
        id: format!("0198f0e3-3333-7000-8000-{at:012x}"),
        from: from.to_owned(),
        to: to.to_owned(),
        target: "127.0.0.1:8080".to_owned(),
        path: match path {
            "direct" => StreamPath::Direct,
            "relayed" => StreamPath::Relayed,
            _ => StreamPath::Opening,
        },
        sent: 48_123 * (bytes + 1),
        received: 7_400_321 * (bytes + 3),
        since: NOW - Duration::minutes(14),
    }
}

pub fn person(name: &str, role: Role) -> Person {
    Person {
        id: format!("0198f0e3-4444-7000-8000-{:012x}", name.len()),
        email: format!("{}@example.org", name.to_lowercase()),
        name: name.to_owned(),
        status: PersonStatus::Active,
        roles: vec![RoleHeld { role, scope: "*".to_owned() }],
        second_factor: true,
        password: true,
        created_at: NOW - Duration::days(200),
        signed_in_at: Some(NOW - Duration::hours(3)),
        version: 3,
    }
}

pub fn people() -> Vec<Person> {
    let scoped = RoleHeld { role: Role::Viewer, scope: "node:lab".to_owned() };
    let invited = Person {
        status: PersonStatus::Invited,
        second_factor: false,
        signed_in_at: None,
        ..person("Alan", Role::Researcher)
    };
    vec![
        person("Ada", Role::Admin),
        Person {
            roles: vec![RoleHeld { role: Role::Operator, scope: "*".into() }, scoped],
            ..person("Grace", Role::Operator)
        },
        invited,
    ]
}

pub fn many_people(count: usize) -> Vec<Person> {
    let held = |role, scope: &str| RoleHeld { role, scope: scope.to_owned() };
    (0..count)
        .map(|at| Person {
            id: format!("0198f0e3-4444-7000-8000-{at:012x}"),
            email: format!("{}@example.org", "very-long-local-part-".repeat(6)),
            roles: vec![
                held(Role::Admin, "*"),
                held(Role::Operator, &format!("node:{LONG}")),
                held(Role::Viewer, "*"),
            ],
            second_factor: at % 3 != 0,
            ..person(&format!("{HOSTILE} {at}"), Role::Admin)
        })
        .collect()
}

pub fn grant(scope: &str) -> Grant {
    Grant {
        id: scope.to_owned(),
        subject: "laptop".to_owned(),
        action: "open".to_owned(),
        scope: scope.to_owned(),
    }
}

pub fn session(current: bool, agent: &str) -> Session {
    Session {
        id: format!("0198f0e3-5555-7000-8000-{:012x}", agent.len()),
        person: "Ada".to_owned(),
        current,
        address: "192.0.2.17".to_owned(),
        agent: agent.to_owned(),
        provider: None,
        created_at: NOW - Duration::days(2),
        last_seen_at: NOW - Duration::minutes(if current { 0 } else { 190 }),
        expires_at: NOW + Duration::days(28),
    }
}

pub fn device(name: &str, online: bool) -> Device {
    Device {
        id: format!("0198f0e3-6666-7000-8000-{:012x}", name.len()),
        name: name.to_owned(),
        public_key: None,
        online,
        address: Some("192.0.2.9:41000".to_owned()),
        joined_at: Some(NOW - Duration::days(4)),
        last_seen_at: Some(NOW - Duration::hours(5)),
    }
}

pub fn request(name: &str, message: &str, status: &str) -> AccessRequest {
    AccessRequest {
        id: format!("0198f0e3-7777-7000-8000-{:012x}", name.len() + message.len()),
        email: "alan@example.org".to_owned(),
        name: name.to_owned(),
        message: message.to_owned(),
        source: "198.51.100.7".to_owned(),
        status: status.to_owned(),
        created_at: NOW - Duration::hours(26),
        decided_by: (status != "open").then(|| "Ada".to_owned()),
    }
}
