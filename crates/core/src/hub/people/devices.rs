//! Devices: a command line that signed in through the browser (RFC 8628) has a key of its own. A device is a node that
//! acts for its person: with the person's rights, under the person's name in the audit log, until it is revoked.

use std::sync::Arc;
use std::time::Duration;

use nave_link::address::is_name;
use nave_link::key::PublicKey;
use nave_link::random::Random;
use serde_json::json;

use super::secret::Secret;
use super::store::devices::{self as table, DeviceRow};
use crate::api::{Device, DeviceAsked, DeviceGranted, DeviceRequest, DeviceStatus, DeviceView, NodeStatus};
use crate::hub::access;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::event::Event;
use crate::hub::mail::Letter;
use crate::hub::nodes::{self, NodeRow};
use crate::hub::op::{Op, Via};
use crate::id::{DeviceRequestId, NodeId, PersonId};

/// For how long a command line waits.
const WAIT: Duration = Duration::from_mins(10);
/// How often it may ask.
pub const POLL_EVERY: Duration = Duration::from_secs(2);
/// The most that wait at once.
const MOST_WAITING: i64 = 1000;
/// The letters of a user code: no vowels, so that no words come out (RFC 8628, section 6.1).
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// A command line asks to act for whoever approves it. It has proved `key` on the connection.
pub async fn ask(op: &Op, hub: &Hub, key: PublicKey, request: &DeviceRequest) -> Result<DeviceAsked> {
    hub.people.asked.check(op.source)?;
    if !is_name(&request.name) {
        return Err(Error::invalid(
            "name",
            "use 1 to 63 letters, digits, \"-\", \"_\" and \".\", the first a letter or digit",
        ));
    }
    hub.people.asked.wrong(op.source);
    let now = op.clock.now();
    let secret = Secret::generate(&hub.random);
    let row = DeviceRow {
        id: DeviceRequestId::new(),
        user_code: user_code(&hub.random),
        key,
        name: request.name.clone(),
        source: op.source.map(|source| source.to_string()).unwrap_or_default(),
        status: "waiting".to_owned(),
        node: None,
        created_at: now,
        expires_at: now + WAIT,
    };
    let mut act = hub.store.begin().await?;
    if table::count_waiting(act.connection(), now).await? >= MOST_WAITING {
        return Err(Error::Unavailable {
            what: "signing in from another device",
            source: "too many devices wait".into(),
        });
    }
    if nodes::store::by_key(act.connection(), &key).await?.is_some() {
        return Err(Error::Conflict(
            "this key is known to the hub already: `nave logout`, then sign in with a new one".to_owned(),
        ));
    }
    table::insert(&mut act, &row, &secret.hash()).await?;
    act.commit().await?;
    let base = hub.url.get().ok_or_else(|| Error::Conflict("the hub does not listen yet".to_owned()))?;
    Ok(DeviceAsked {
        device_code: secret.reveal().to_string(),
        user_code: row.user_code.clone(),
        verification_uri: format!("{base}/device"),
        verification_uri_complete: format!("{base}/device?code={}", row.user_code),
        expires_in: WAIT.as_secs(),
        interval: POLL_EVERY.as_secs(),
    })
}

/// Whether it was approved: what the command line asks until it was.
pub async fn poll(op: &Op, hub: &Hub, device_code: &str) -> Result<DeviceStatus> {
    hub.wrong_keys.check(op.source)?;
    let secret: Secret =
        device_code.parse().map_err(|error| Error::invalid("device_code", format!("{error}")))?;
    let mut reader = hub.store.read().await?;
    let Some(row) = table::by_secret(&mut reader, &secret.hash()).await? else {
        hub.wrong_keys.wrong(op.source);
        return Err(Error::Conflict("no device waits with this code: start `nave login` anew".to_owned()));
    };
    let node = match (row.status.as_str(), row.node) {
        ("denied", _) => return Ok(DeviceStatus::Denied),
        ("approved", Some(node)) => node,
        _ if row.expires_at <= op.clock.now() => return Ok(DeviceStatus::Expired),
        _ => return Ok(DeviceStatus::Waiting),
    };
    let node = nodes::store::by_id(&mut reader, node).await?;
    let Some(node) = node.filter(|node| node.status == NodeStatus::Active) else {
        return Ok(DeviceStatus::Denied);
    };
    let owner = node.owner.as_ref().map(|owner| owner.name.clone()).unwrap_or_default();
    Ok(DeviceStatus::Approved(DeviceGranted { node: node.id.to_string(), name: node.name, person: owner }))
}

/// What a person decides about: the device that shows a code.
pub async fn waiting(op: &Op, hub: &Hub, user_code: &str) -> Result<DeviceView> {
    access::require_person(op)?;
    let row = find_waiting(op, hub, user_code).await?;
    Ok(DeviceView {
        code: row.user_code,
        name: row.name,
        public_key: row.key.to_string(),
        source: row.source,
    })
}

/// Lets a device act for oneself.
pub async fn approve(op: &Op, hub: &Hub, user_code: &str) -> Result<()> {
    let me = require_browser(op)?;
    let waiting = find_waiting(op, hub, user_code).await?;
    let mut act = hub.store.begin().await?;
    let id = NodeId::new();
    let name = free_name(act.connection(), &waiting.name).await?;
    let now = op.clock.now();
    nodes::store::insert(&mut act, id, &name, NodeStatus::Active, Some(&waiting.key), now).await?;
    nodes::store::set_owner(&mut act, id, me).await?;
    if !table::decide(&mut act, waiting.id, "approved", me, Some(id)).await? {
        return Err(Error::Conflict("that device was decided about meanwhile".to_owned()));
    }
    let detail = json!({ "key": waiting.key, "from": waiting.source });
    hub.record(&mut act, op, about("device.approved", id, &name, detail)).await?;
    let owner = super::find(act.connection(), &me.to_string()).await?;
    let letter = Letter::NewDevice { device: &name, at: now, source: waiting.source.parse().ok() };
    super::write_to(&mut act, op, hub, &owner.email, &letter).await?;
    act.commit().await
}

/// Does not let a device act for anybody.
pub async fn deny(op: &Op, hub: &Hub, user_code: &str) -> Result<()> {
    let me = require_browser(op)?;
    let waiting = find_waiting(op, hub, user_code).await?;
    let mut act = hub.store.begin().await?;
    if !table::decide(&mut act, waiting.id, "denied", me, None).await? {
        return Err(Error::Conflict("that device was decided about meanwhile".to_owned()));
    }
    let event = Event {
        action: "device.denied",
        object_kind: "device",
        object_id: waiting.id.to_string(),
        object_name: waiting.name,
        detail: json!({ "key": waiting.key, "from": waiting.source }),
    };
    hub.record(&mut act, op, event).await?;
    act.commit().await
}

/// Somebody's devices: one's own, or for an administrator anybody's.
pub async fn list(op: &Op, hub: &Hub, who: &str) -> Result<Vec<Device>> {
    if !access::require_person(op).is_ok_and(|me| me.id.to_string() == who) {
        access::require(op, super::READ)?;
    }
    let mut reader = hub.store.read().await?;
    let person = super::find(&mut reader, who).await?;
    let rows = nodes::store::of_person(&mut reader, person.id).await?;
    Ok(rows.iter().map(|row| view(hub, row)).collect())
}

/// Ends a device: one's own, or for an administrator anybody's. Its streams are cut at once. A device may end itself:
/// that is `nave logout`.
pub async fn revoke(op: &Op, hub: &Arc<Hub>, id: &str) -> Result<()> {
    let me = access::require_person(op).map(|me| me.id);
    if me.is_err() {
        access::require(op, super::RESET)?;
    }
    let missing = || Error::not_found("device", id);
    let mut act = hub.store.begin().await?;
    let parsed: NodeId = id.parse().map_err(|_| missing())?;
    let row =
        nodes::store::by_id(act.connection(), parsed).await?.filter(|row| row.status == NodeStatus::Active);
    let row = row.ok_or_else(missing)?;
    let owner = row.owner.as_ref().ok_or_else(missing)?.id;
    if me.is_ok_and(|me| me != owner) && access::require(op, super::RESET).is_err() {
        return Err(missing());
    }
    nodes::store::revoke(&mut act, row.id).await?;
    hub.record(&mut act, op, about("device.revoked", row.id, &row.name, json!({}))).await?;
    super::tell_after_commit(&mut act, hub, owner);
    act.commit().await?;
    put_out_one(hub, row.id, "this device was signed out").await;
    Ok(())
}

/// Ends the links and streams of a person's devices.
pub(super) async fn put_out(hub: &Arc<Hub>, person: PersonId, why: &str) -> Result<()> {
    let rows = nodes::store::of_person(&mut *hub.store.read().await?, person).await?;
    for row in rows {
        put_out_one(hub, row.id, why).await;
    }
    Ok(())
}

async fn put_out_one(hub: &Arc<Hub>, id: NodeId, why: &str) {
    hub.streams.cut_node(hub, id, why).await;
    hub.presence.put_out(id, why);
    hub.connections.review(hub, id).await;
}

/// Only a browser's session lets a device in: what a token or another device may do must not last longer than they.
fn require_browser(op: &Op) -> Result<PersonId> {
    let me = access::require_person(op)?;
    match me.via {
        Via::Session(_) => Ok(me.id),
        Via::Token(_) | Via::Device(_) | Via::Program(_) => {
            Err(Error::Forbidden("a device is let in from the browser, signed in".to_owned()))
        }
    }
}

async fn find_waiting(op: &Op, hub: &Hub, user_code: &str) -> Result<DeviceRow> {
    hub.wrong_keys.check(op.source)?;
    let code: String = user_code.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_uppercase();
    let code = if code.len() == 8 { format!("{}-{}", &code[..4], &code[4..]) } else { code };
    let row = table::by_user_code(&mut *hub.store.read().await?, &code).await?;
    let row = row.filter(|row| row.status == "waiting" && row.expires_at > op.clock.now());
    row.ok_or_else(|| {
        hub.wrong_keys.wrong(op.source);
        Error::not_found("waiting device", user_code)
    })
}

/// Two devices of one host name get different names.
async fn free_name(reader: &mut sqlx::AnyConnection, wanted: &str) -> Result<String> {
    let wanted: String = wanted.chars().take(56).collect();
    for number in 1..1000 {
        let name = if number == 1 { wanted.clone() } else { format!("{wanted}-{number}") };
        if nodes::store::by_name(reader, &name).await?.is_none() {
            return Ok(name);
        }
    }
    Err(Error::Conflict(format!("there are too many devices called {wanted}: revoke some")))
}

fn user_code(random: &Random) -> String {
    let mut code: String = random
        .bytes::<8>()
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect();
    code.insert(4, '-');
    code
}

fn view(hub: &Hub, row: &NodeRow) -> Device {
    let session = hub.presence.session(row.id);
    Device {
        id: row.id.to_string(),
        name: row.name.clone(),
        public_key: row.public_key.map(|key| key.to_string()),
        online: session.is_some(),
        address: session.map(|session| session.address).or_else(|| row.last_address.clone()),
        joined_at: row.joined_at,
        last_seen_at: row.last_seen_at,
    }
}

fn about(action: &'static str, id: NodeId, name: &str, detail: serde_json::Value) -> Event {
    Event { action, object_kind: "device", object_id: id.to_string(), object_name: name.to_owned(), detail }
}
