//! Whether a node that proved its key is let in, and as whom.

use std::time::Duration;

use nave_link::access_key::{AccessKey, KeySecret};
use nave_link::handshake::{Credential, Proof, Refused, RefusedCode};
use nave_link::key::PublicKey;
use nave_link::token::JoinSecret;
use serde_json::json;

use super::store::{self, InviteRow, NodeRow};
use super::{about, check_name, invites, node_keys};
use crate::api::NodeStatus;
use crate::hub::context::{Hub, JoinWithAccessKey};
use crate::hub::error::{Error, Result};
use crate::hub::event::Event;
use crate::hub::grants;
use crate::hub::op::Op;
use crate::hub::store::Act;
use crate::id::NodeId;

/// How a node that proved its key stands.
#[derive(Debug)]
pub(super) enum Admission {
    /// A member.
    Member(NodeRow),
    /// Waits for an operator.
    Pending(NodeRow),
}

/// Decides. What the node shows (a token, an access key) counts only if the key alone is not enough.
pub(super) async fn admit(op: &Op, hub: &Hub, key: &PublicKey, proof: &Proof) -> Result<Admission, Refused> {
    decide(op, hub, key, proof).await.map_err(|error| refused(&error, proof))
}

async fn decide(op: &Op, hub: &Hub, key: &PublicKey, proof: &Proof) -> Result<Admission> {
    let mut reader = hub.store.read().await?;
    let known = store::by_key(&mut reader, key).await?;
    drop(reader);
    let status = known.as_ref().map(|row| row.status);
    match (status, &proof.credential, known) {
        (Some(NodeStatus::Revoked), _, _) => Err(Error::Forbidden(
            "this node was revoked: ask the hub's operator for a new invitation".to_owned(),
        )),
        (_, Some(Credential::Token(secret)), known) => redeem(op, hub, key, proof, secret, known).await,
        (Some(NodeStatus::Active), _, Some(row)) => {
            // A device whose person may not act is not let in.
            super::actor(&mut *hub.store.read().await?, &row).await?;
            Ok(Admission::Member(row))
        }
        (_, Some(Credential::AccessKey(access_key)), known) => {
            with_access_key(op, hub, key, proof, access_key, known).await
        }
        (Some(_), None, Some(row)) => Ok(Admission::Pending(row)),
        _ => Err(Error::Unauthenticated(
            "the hub does not know this node: ask its operator for a `nave join` line".to_owned(),
        )),
    }
}

fn refused(error: &Error, proof: &Proof) -> Refused {
    let code = match (error, &proof.credential) {
        (Error::Forbidden(_), None | Some(Credential::Token(_))) => RefusedCode::Revoked,
        (Error::Unauthenticated(_), None) => RefusedCode::Unknown,
        (Error::Unauthenticated(_), Some(Credential::Token(_))) => RefusedCode::Token,
        (Error::Unauthenticated(_) | Error::Forbidden(_), Some(Credential::AccessKey(_))) => {
            RefusedCode::AccessKey
        }
        (Error::Invalid { .. } | Error::Conflict(_), _) => RefusedCode::Name,
        (Error::Throttled(_), _) => RefusedCode::Throttled,
        _ => RefusedCode::Unavailable,
    };
    Refused { code, message: error.message() }
}

async fn redeem(
    op: &Op,
    hub: &Hub,
    key: &PublicKey,
    proof: &Proof,
    secret: &JoinSecret,
    known: Option<NodeRow>,
) -> Result<Admission> {
    hub.wrong_keys.check(op.source)?;
    let mut act = hub.store.begin().await?;
    let found = store::invite_by_hash(act.connection(), &secret.hash()).await?;
    let invite = match usable(found, op) {
        Ok(invite) => invite,
        // A member that shows its old token again is a member all the same.
        Err(_) if known.as_ref().is_some_and(|row| row.status == NodeStatus::Active) => {
            drop(act);
            return known.map(Admission::Member).ok_or_else(|| Error::internal("a known node is gone"));
        }
        Err(error) => {
            drop(act);
            note_wrong_key(op, hub, "join token").await?;
            return Err(error);
        }
    };
    store::use_invite(&mut act, invite.id).await?;
    let row = match known {
        Some(row) => {
            // An invitation for a machine that is a member already adds to what it is and may do.
            if let Some(kept) = invite.node_id {
                grants::forget_node(&mut act, kept).await?;
                store::remove_invited(&mut act, kept).await?;
            }
            row
        }
        None => match invite.node_id {
            Some(id) => store::by_id(act.connection(), id)
                .await?
                .ok_or_else(|| Error::internal("an invitation outlived its node"))?,
            None => new_node(&mut act, op, key, proof, NodeStatus::Invited).await?,
        },
    };
    store::activate(&mut act, row.id, key, op.clock.now()).await?;
    for role in &invite.roles {
        store::add_role(&mut act, row.id, role).await?;
    }
    for grant in invites::grants_of(&invite)? {
        let grant = grants::resolve(act.connection(), &grant).await?;
        grants::add(&mut act, hub, &by(op, &row), &row, &grant).await?;
    }
    let detail = json!({ "key": key, "invite": invite.id.to_string() });
    hub.record(&mut act, &by(op, &row), about("node.joined", &row, detail)).await?;
    act.commit().await?;
    hub.wrong_keys.right(op.source);
    member(hub, row.id).await
}

/// From the moment that it proved itself worthy, what the node does is done by the node.
pub(super) fn by(op: &Op, row: &NodeRow) -> Op {
    Op { actor: row.actor(), ..op.clone() }
}

fn usable(invite: Option<InviteRow>, op: &Op) -> Result<InviteRow> {
    let refused = |problem: &str| {
        Error::Unauthenticated(format!(
            "the join token {problem}: ask the hub's operator for a new one (`nave invite`)"
        ))
    };
    match invite {
        None => Err(refused("is not, or no longer, known to this hub")),
        Some(invite) if invite.uses_left <= 0 => Err(refused("was used already")),
        Some(invite) if invite.expires_at <= op.clock.now() => Err(refused("has expired")),
        Some(invite) => Ok(invite),
    }
}

async fn with_access_key(
    op: &Op,
    hub: &Hub,
    key: &PublicKey,
    proof: &Proof,
    access_key: &AccessKey,
    known: Option<NodeRow>,
) -> Result<Admission> {
    hub.wrong_keys.check(op.source)?;
    let checked = match access_key.secret() {
        KeySecret::PerNode { id, .. } => {
            node_keys::owner(hub, access_key, id).await.map(|own| Some(own.node))
        }
        KeySecret::Shared(_) => hub.access_keys.check(access_key, op.clock.now()).map(|()| None),
    };
    let of_node = match checked {
        Ok(of_node) => of_node,
        Err(error) => {
            note_wrong_key(op, hub, "access key").await?;
            return Err(error);
        }
    };
    hub.wrong_keys.right(op.source);
    if let Some(id) = of_node {
        return join_as(op, hub, key, id, known).await;
    }
    match hub.settings.join_with_access_key {
        JoinWithAccessKey::Refuse => Err(Error::Forbidden(
            "this hub lets nobody join with the shared access key: ask its operator for a `nave join` line"
                .to_owned(),
        )),
        JoinWithAccessKey::Pending => pending(op, hub, key, proof, known, NodeStatus::Pending).await,
        JoinWithAccessKey::Approve => pending(op, hub, key, proof, known, NodeStatus::Active).await,
    }
}

/// Makes the holder of a node's own access key that node, with its key from now on.
async fn join_as(
    op: &Op,
    hub: &Hub,
    key: &PublicKey,
    id: NodeId,
    known: Option<NodeRow>,
) -> Result<Admission> {
    let mut act = hub.store.begin().await?;
    let row = store::by_id(act.connection(), id)
        .await?
        .ok_or_else(|| Error::internal("a key outlived its node"))?;
    if row.status == NodeStatus::Revoked {
        return Err(Error::Forbidden(
            "this node was revoked: ask the hub's operator for a new key (`nave node add`)".to_owned(),
        ));
    }
    if known.is_some_and(|known| known.id != id) {
        return Err(Error::Conflict(format!(
            "this machine is a member under another name already, not as {}",
            row.name
        )));
    }
    if row.public_key.is_some_and(|bound| bound != *key) {
        return Err(Error::Conflict(format!(
            "the name {:?} is bound to the key of another machine: revoke it first (`nave node revoke {}`)",
            row.name, row.name
        )));
    }
    store::activate(&mut act, id, key, op.clock.now()).await?;
    hub.record(&mut act, &by(op, &row), about("node.joined", &row, json!({ "key": key }))).await?;
    act.commit().await?;
    member(hub, id).await
}

async fn pending(
    op: &Op,
    hub: &Hub,
    key: &PublicKey,
    proof: &Proof,
    known: Option<NodeRow>,
    status: NodeStatus,
) -> Result<Admission> {
    let mut act = hub.store.begin().await?;
    let row = if let Some(row) = known {
        row
    } else {
        let row = new_node(&mut act, op, key, proof, NodeStatus::Pending).await?;
        store::add_role(&mut act, row.id, "host").await?;
        hub.record(&mut act, &by(op, &row), about("node.asked_to_join", &row, json!({ "key": key }))).await?;
        row
    };
    if status == NodeStatus::Active {
        store::activate(&mut act, row.id, key, op.clock.now()).await?;
        hub.record(&mut act, &by(op, &row), about("node.joined", &row, json!({ "key": key }))).await?;
    }
    act.commit().await?;
    if status == NodeStatus::Active { member(hub, row.id).await } else { Ok(Admission::Pending(row)) }
}

async fn new_node(
    act: &mut Act,
    op: &Op,
    key: &PublicKey,
    proof: &Proof,
    status: NodeStatus,
) -> Result<NodeRow> {
    let name = proof
        .name
        .clone()
        .ok_or_else(|| Error::invalid("name", "the invitation names no node: join with --name"))?;
    check_name(&name)?;
    let id = NodeId::new();
    store::insert(act, id, &name, status, Some(key), op.clock.now()).await?;
    store::by_id(act.connection(), id).await?.ok_or_else(|| Error::internal("a new node is gone"))
}

async fn member(hub: &Hub, id: NodeId) -> Result<Admission> {
    let mut reader = hub.store.read().await?;
    let row = store::by_id(&mut reader, id).await?;
    row.map(Admission::Member).ok_or_else(|| Error::internal("a new member is gone"))
}

/// The first of a series of wrong keys that earns a delay is worth a line in the audit log.
pub(super) async fn note_wrong_key(op: &Op, hub: &Hub, kind: &str) -> Result<()> {
    if !hub.wrong_keys.wrong(op.source) {
        return Ok(());
    }
    let mut act = hub.store.begin().await?;
    let event = Event {
        action: "source.throttled",
        object_kind: "source",
        object_id: op.source.map(|source| source.to_string()).unwrap_or_default(),
        object_name: op.source.map(|source| source.to_string()).unwrap_or_default(),
        detail: json!({ "wrong": kind }),
    };
    hub.record(&mut act, op, event).await?;
    act.commit().await
}

/// Waits until a pending node's fate is decided: `Some` once it is a member, `None` when it is worth telling it that it
/// still waits.
pub(super) async fn await_approval(hub: &Hub, id: NodeId, patience: Duration) -> Result<Option<NodeRow>> {
    let mut notices = hub.bus.subscribe();
    let decided = async {
        loop {
            let mut reader = hub.store.read().await?;
            let row = store::by_id(&mut reader, id).await?;
            drop(reader);
            match row {
                Some(row) if row.status == NodeStatus::Active => return Ok(row),
                Some(row) if row.status == NodeStatus::Pending => {}
                _ => return Err(Error::Forbidden("the hub's operator did not let this node in".to_owned())),
            }
            // Whatever happened to some node, or was missed, is a reason to look again.
            while let Ok(notice) = notices.recv().await {
                if notice.topic == "node" && notice.key == id.to_string() {
                    break;
                }
            }
        }
    };
    match tokio::time::timeout(patience, decided).await {
        Ok(decided) => decided.map(Some),
        Err(_) => Ok(None),
    }
}

/// An event about a key that is connected twice.
pub(super) async fn note_duplicate(op: &Op, hub: &Hub, row: &NodeRow, other: &str) -> Result<()> {
    let mut act = hub.store.begin().await?;
    let detail = json!({ "connected_from": other });
    hub.record(&mut act, op, about("node.used_twice", row, detail)).await?;
    act.commit().await
}
