//! Access keys of one node each, for clients that know no other way to prove who they are.

use std::time::Duration;

use nave_link::access_key::AccessKey;
use serde_json::json;
use time::OffsetDateTime;

use super::store;
use super::{about, check_name, check_roles, tell_after_commit};
use crate::api::NodeStatus;
use crate::hub::access::{self, Action, Roles};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::identity;
use crate::hub::op::Op;
use crate::id::NodeId;

/// Making an access key for one node.
pub const MINT: Action = Action::new("node.mint_key", Roles::OPERATORS);

/// Makes an access key for the node of that name, which is invited by this if there is none. Keys that it had before
/// end after `grace`. The key is told once; the hub keeps only its hash.
pub async fn mint_key(
    op: &Op,
    hub: &Hub,
    name: &str,
    roles: &[String],
    grace: Duration,
) -> Result<AccessKey> {
    access::require(op, MINT)?;
    check_name(name)?;
    check_roles(roles)?;
    let now = op.clock.now();
    let ends = identity::grace_end(now, grace)?;
    let mut act = hub.store.begin().await?;
    let row = if let Some(row) = store::by_name(act.connection(), name).await? {
        row
    } else {
        let id = NodeId::new();
        store::insert(&mut act, id, name, NodeStatus::Invited, None, now).await?;
        super::find(act.connection(), name).await?
    };
    for role in roles {
        store::add_role(&mut act, row.id, role).await?;
    }
    store::end_node_keys(&mut act, row.id, ends).await?;
    let id = hex::encode(hub.random.bytes::<6>());
    let key = AccessKey::new_per_node(&hub.access_keys.fingerprint(), &id, &hub.random);
    store::insert_node_key(&mut act, &id, row.id, &key.secret().hash(), now).await?;
    let detail = json!({ "key": id, "grace_seconds": grace.as_secs() });
    hub.record(&mut act, op, about("node.key_minted", &row, detail)).await?;
    // Whoever is connected by an earlier key may ask how long that one is good.
    tell_after_commit(&mut act, hub, row.id);
    act.commit().await?;
    Ok(key)
}

/// What is known of the key that a node showed as its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnKey {
    /// Whose it is.
    pub(super) node: NodeId,
    /// When it ends.
    pub(super) ends: Option<OffsetDateTime>,
}

/// The node whose own access key this is.
pub(super) async fn owner(hub: &Hub, key: &AccessKey, id: &str) -> Result<OwnKey> {
    if !key.prefix().matches(&hub.access_keys.fingerprint()) {
        return Err(refused());
    }
    good(hub, id, &key.secret().hash()).await
}

/// The node whose own access key has this plain form, and the key's id and hash.
pub(super) async fn owner_of_plain(hub: &Hub, plain: &str) -> Result<(OwnKey, String, String)> {
    let hash = AccessKey::hash_of_plain(plain).ok_or_else(refused)?;
    // A secret of 256 random bits is found by nobody who does not have it, however long a search takes.
    let id = store::node_key_with(&mut *hub.store.read().await?, &hash).await?.ok_or_else(refused)?;
    Ok((good(hub, &id, &hash).await?, id, hash))
}

/// As [`owner`], for a key of which only the secret's hash is at hand.
pub(super) async fn good(hub: &Hub, id: &str, hash: &str) -> Result<OwnKey> {
    let mut reader = hub.store.read().await?;
    let Some(row) = store::node_key(&mut reader, id).await? else { return Err(refused()) };
    let right: bool = subtle::ConstantTimeEq::ct_eq(hash.as_bytes(), row.secret_hash.as_bytes()).into();
    if !right || row.ends.is_some_and(|ends| ends <= hub.clock.now()) {
        return Err(refused());
    }
    Ok(OwnKey { node: row.node, ends: row.ends })
}

fn refused() -> Error {
    Error::Unauthenticated(
        "the access key is not, or no longer, valid: ask the hub's operator for a new one (`nave node add`)"
            .to_owned(),
    )
}
