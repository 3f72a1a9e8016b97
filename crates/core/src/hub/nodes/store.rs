//! The tables of nodes, their roles and invitations. Those of access keys are in `keys`.

mod keys;

use std::collections::BTreeMap;

use futures::future;
use futures::stream::TryStreamExt as _;
use nave_link::key::PublicKey;
use nave_link::protocol::NodeReport;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use time::OffsetDateTime;

use crate::api::NodeStatus;
use crate::clock::{from_millis, to_millis};
use crate::hub::access::NodeRoles;
use crate::hub::error::{Error, Result};
use crate::hub::op::Actor;
use crate::hub::store::Act;
use crate::id::{InviteId, NodeId, PersonId};

pub use keys::*;

/// A node as the database has it.
#[derive(Clone, Debug)]
pub struct NodeRow {
    /// Its id.
    pub id: NodeId,
    /// Its name; another node may have had it before.
    pub name: String,
    /// The key that it proved.
    pub public_key: Option<PublicKey>,
    /// What it is to the hub.
    pub status: NodeStatus,
    /// Its roles, in order.
    pub roles: Vec<String>,
    /// When it became a member.
    pub joined_at: Option<OffsetDateTime>,
    /// When it was last heard of.
    pub last_seen_at: Option<OffsetDateTime>,
    /// Where it last came from.
    pub last_address: Option<String>,
    /// The person that it acts for, if it is somebody's device.
    pub owner: Option<Owner>,
    /// Where it comes from under the shared access key, if that is what it is known by.
    pub bound_to: Option<String>,
    report: String,
    labels: String,
}

impl NodeRow {
    /// The node itself, as one that acts.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Node { id: self.id, name: self.name.clone(), roles: NodeRoles::read(&self.roles) }
    }

    /// What it said last about itself.
    pub fn report(&self) -> NodeReport {
        serde_json::from_str(&self.report).unwrap_or_default()
    }

    /// What the hub's operator says about it.
    pub fn labels(&self) -> BTreeMap<String, String> {
        serde_json::from_str(&self.labels).unwrap_or_default()
    }
}

/// The person that a device acts for.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Who.
    pub id: PersonId,
    /// Its name.
    pub name: String,
}

const COLUMNS: &str = "SELECT n.id, n.name, n.public_key, n.status, n.report, n.labels, n.joined_at, n.last_seen_at, \
     n.last_address, n.person_id, (SELECT p.name FROM people p WHERE p.id = n.person_id) AS person_name, \
     (SELECT min(k.address) FROM access_key_names k WHERE k.node_id = n.id) AS bound_to, COALESCE((SELECT string_agg(r.role, ',') FROM node_roles r WHERE r.node_id = n.id), '') AS roles \
     FROM nodes n";

async fn fetch(reader: &mut AnyConnection, tail: &'static str, value: &str) -> Result<Vec<NodeRow>> {
    // Two constants make the text; the value is bound.
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} {tail}"));
    // Row by row: one is read while the database looks for the next.
    let rows = sqlx::query(sql).bind(value).fetch(reader);
    rows.map_err(Error::from).and_then(|row| future::ready(read(&row))).try_collect().await
}

/// What lists of names need of every node that is here or waits, in the order of the names.
pub async fn brief(reader: &mut AnyConnection) -> Result<Vec<(NodeId, String, NodeStatus)>> {
    let rows = sqlx::query(
        "SELECT id, name, status FROM nodes WHERE person_id IS NULL AND status IN ('active', 'pending') \
         ORDER BY lower(name), id",
    )
    .fetch(reader);
    let read = |row: AnyRow| {
        let id: String = row.try_get(0)?;
        Ok((id.parse().map_err(Error::internal)?, row.try_get(1)?, status(row.try_get(2)?)))
    };
    rows.map_err(Error::from).and_then(|row| future::ready(read(row))).try_collect().await
}

/// All but people's devices.
pub async fn all(reader: &mut AnyConnection) -> Result<Vec<NodeRow>> {
    fetch(reader, "WHERE $1 = '' AND n.person_id IS NULL ORDER BY lower(n.name), n.id", "").await
}

/// The devices of a person that may act for it.
pub async fn of_person(reader: &mut AnyConnection, person: PersonId) -> Result<Vec<NodeRow>> {
    let tail = "WHERE n.person_id = $1 AND n.status = 'active' ORDER BY lower(n.name), n.id";
    fetch(reader, tail, &person.to_string()).await
}

/// Makes a node somebody's device.
pub async fn set_owner(act: &mut Act, id: NodeId, person: PersonId) -> Result<()> {
    sqlx::query("UPDATE nodes SET person_id = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(person.to_string())
        .execute(act.connection())
        .await?;
    Ok(())
}

/// The node of that name that is not revoked.
pub async fn by_name(reader: &mut AnyConnection, name: &str) -> Result<Option<NodeRow>> {
    let tail = "WHERE lower(n.name) = lower($1) AND n.status <> 'revoked'";
    Ok(fetch(reader, tail, name).await?.into_iter().next())
}

pub async fn by_id(reader: &mut AnyConnection, id: NodeId) -> Result<Option<NodeRow>> {
    Ok(fetch(reader, "WHERE n.id = $1", &id.to_string()).await?.into_iter().next())
}

pub async fn by_key(reader: &mut AnyConnection, key: &PublicKey) -> Result<Option<NodeRow>> {
    Ok(fetch(reader, "WHERE n.public_key = $1", &key.to_string()).await?.into_iter().next())
}

fn read(row: &AnyRow) -> Result<NodeRow> {
    let text = |column: &str| -> Result<String> { Ok(row.try_get(column)?) };
    let time = |column: &str| -> Result<Option<OffsetDateTime>> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(from_millis))
    };
    let key: Option<String> = row.try_get("public_key")?;
    let mut roles: Vec<String> =
        text("roles")?.split(',').filter(|role| !role.is_empty()).map(ToOwned::to_owned).collect();
    roles.sort();
    Ok(NodeRow {
        id: text("id")?.parse().map_err(Error::internal)?,
        name: text("name")?,
        public_key: key.map(|key| key.parse()).transpose().map_err(Error::internal)?,
        status: status(row.try_get("status")?),
        report: text("report")?,
        labels: text("labels")?,
        roles,
        joined_at: time("joined_at")?,
        last_seen_at: time("last_seen_at")?,
        last_address: row.try_get("last_address")?,
        owner: owner(row)?,
        bound_to: row.try_get("bound_to")?,
    })
}

fn owner(row: &AnyRow) -> Result<Option<Owner>> {
    let id: Option<String> = row.try_get("person_id")?;
    let Some(id) = id else { return Ok(None) };
    let name: Option<String> = row.try_get("person_name")?;
    Ok(Some(Owner { id: id.parse().map_err(Error::internal)?, name: name.unwrap_or_default() }))
}

fn status(word: &str) -> NodeStatus {
    match word {
        "invited" => NodeStatus::Invited,
        "pending" => NodeStatus::Pending,
        "active" => NodeStatus::Active,
        _ => NodeStatus::Revoked,
    }
}

fn status_word(status: NodeStatus) -> &'static str {
    match status {
        NodeStatus::Invited => "invited",
        NodeStatus::Pending => "pending",
        NodeStatus::Active => "active",
        NodeStatus::Revoked => "revoked",
    }
}

pub async fn insert(
    act: &mut Act,
    id: NodeId,
    name: &str,
    status: NodeStatus,
    key: Option<&PublicKey>,
    now: OffsetDateTime,
) -> Result<()> {
    let joined = (status == NodeStatus::Active).then(|| to_millis(now));
    let inserted = sqlx::query(
        "INSERT INTO nodes (id, name, public_key, status, created_at, joined_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id.to_string())
    .bind(name)
    .bind(key.map(ToString::to_string))
    .bind(status_word(status))
    .bind(to_millis(now))
    .bind(joined)
    .execute(act.connection())
    .await;
    name_taken(inserted, name)
}

/// Makes a node a member: with the key that it proved.
pub async fn activate(act: &mut Act, id: NodeId, key: &PublicKey, now: OffsetDateTime) -> Result<()> {
    sqlx::query("UPDATE nodes SET status = 'active', public_key = $2, joined_at = COALESCE(joined_at, $3) WHERE id = $1")
        .bind(id.to_string())
        .bind(key.to_string())
        .bind(to_millis(now))
        .execute(act.connection())
        .await?;
    Ok(())
}

/// Makes a node a member that has no key of its own: its access key is all that it is known by.
pub async fn activate_keyed(act: &mut Act, id: NodeId, now: OffsetDateTime) -> Result<()> {
    sqlx::query("UPDATE nodes SET status = 'active', joined_at = COALESCE(joined_at, $2) WHERE id = $1")
        .bind(id.to_string())
        .bind(to_millis(now))
        .execute(act.connection())
        .await?;
    Ok(())
}

pub async fn rename(act: &mut Act, id: NodeId, name: &str) -> Result<()> {
    let renamed = sqlx::query("UPDATE nodes SET name = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(name)
        .execute(act.connection())
        .await;
    name_taken(renamed, name)
}

fn name_taken<T>(result: sqlx::Result<T>, name: &str) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if crate::hub::store::is_unique_violation(&error) => Err(Error::Conflict(format!(
            "the name {name:?} is taken: choose another, or revoke the node that has it (`nave node revoke {name}`)"
        ))),
        Err(error) => Err(error.into()),
    }
}

pub async fn set_labels(act: &mut Act, id: NodeId, labels: &BTreeMap<String, String>) -> Result<()> {
    let labels = serde_json::to_string(labels).map_err(Error::internal)?;
    sqlx::query("UPDATE nodes SET labels = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(labels)
        .execute(act.connection())
        .await?;
    Ok(())
}

pub async fn add_role(act: &mut Act, id: NodeId, role: &str) -> Result<()> {
    sqlx::query("INSERT INTO node_roles (node_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(id.to_string())
        .bind(role)
        .execute(act.connection())
        .await?;
    Ok(())
}

pub async fn clear_roles(act: &mut Act, id: NodeId) -> Result<()> {
    sqlx::query("DELETE FROM node_roles WHERE node_id = $1")
        .bind(id.to_string())
        .execute(act.connection())
        .await?;
    Ok(())
}

/// Ends a membership. The row stays, and with it its keys, and the name that it had under the shared one: whoever shows
/// them is refused. Its rights go.
pub async fn revoke(act: &mut Act, id: NodeId) -> Result<()> {
    let id = id.to_string();
    for sql in ["UPDATE nodes SET status = 'revoked' WHERE id = $1", "DELETE FROM invites WHERE node_id = $1"]
    {
        sqlx::query(sql).bind(&id).execute(act.connection()).await?;
    }
    Ok(())
}

/// Removes a node that never joined.
pub async fn remove_invited(act: &mut Act, id: NodeId) -> Result<()> {
    for sql in [
        "DELETE FROM invites WHERE node_id = $1",
        "DELETE FROM node_keys WHERE node_id = $1",
        "DELETE FROM node_roles WHERE node_id = $1",
        "DELETE FROM nodes WHERE id = $1 AND status = 'invited'",
    ] {
        sqlx::query(sql).bind(id.to_string()).execute(act.connection()).await?;
    }
    Ok(())
}

/// Notes that a node was heard of, with what it said about itself.
pub async fn saw(
    act: &mut Act,
    id: NodeId,
    now: OffsetDateTime,
    address: Option<&str>,
    report: Option<&NodeReport>,
) -> Result<()> {
    let report = report.map(serde_json::to_string).transpose().map_err(Error::internal)?;
    sqlx::query(
        "UPDATE nodes SET last_seen_at = $2, last_address = COALESCE($3, last_address), report = COALESCE($4, report) \
         WHERE id = $1",
    )
    .bind(id.to_string())
    .bind(to_millis(now))
    .bind(address)
    .bind(report)
    .execute(act.connection())
    .await?;
    Ok(())
}

/// An invitation as the database has it.
#[derive(Clone, Debug)]
pub struct InviteRow {
    /// Its id.
    pub id: InviteId,
    /// The node whose name is kept.
    pub node_id: Option<NodeId>,
    /// The roles that it gives.
    pub roles: Vec<String>,
    /// The rights that it gives, as JSON.
    pub grants: String,
    /// How many nodes it still lets in.
    pub uses_left: i64,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

pub async fn insert_invite(
    act: &mut Act,
    invite: &InviteRow,
    secret_hash: &str,
    now: OffsetDateTime,
    by: &str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO invites (id, secret_hash, node_id, roles, grants, uses_left, expires_at, created_at, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(invite.id.to_string())
    .bind(secret_hash)
    .bind(invite.node_id.map(|id| id.to_string()))
    .bind(invite.roles.join(","))
    .bind(&invite.grants)
    .bind(invite.uses_left)
    .bind(to_millis(invite.expires_at))
    .bind(to_millis(now))
    .bind(by)
    .execute(act.connection())
    .await?;
    Ok(())
}

pub async fn invite_by_hash(reader: &mut AnyConnection, secret_hash: &str) -> Result<Option<InviteRow>> {
    let row = sqlx::query(
        "SELECT id, node_id, roles, grants, uses_left, expires_at FROM invites WHERE secret_hash = $1",
    )
    .bind(secret_hash)
    .fetch_optional(reader)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let id: String = row.try_get("id")?;
    let node_id: Option<String> = row.try_get("node_id")?;
    let roles: String = row.try_get("roles")?;
    Ok(Some(InviteRow {
        id: id.parse().map_err(Error::internal)?,
        node_id: node_id.map(|id| id.parse()).transpose().map_err(Error::internal)?,
        roles: roles.split(',').filter(|role| !role.is_empty()).map(ToOwned::to_owned).collect(),
        grants: row.try_get("grants")?,
        uses_left: row.try_get("uses_left")?,
        expires_at: from_millis(row.try_get("expires_at")?),
    }))
}

pub async fn use_invite(act: &mut Act, id: InviteId) -> Result<()> {
    sqlx::query("UPDATE invites SET uses_left = uses_left - 1 WHERE id = $1")
        .bind(id.to_string())
        .execute(act.connection())
        .await?;
    Ok(())
}

/// Names of invited nodes whose invitation ended before `now` without a use.
pub async fn expired_invited(reader: &mut AnyConnection, now: OffsetDateTime) -> Result<Vec<NodeId>> {
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT n.id FROM nodes n WHERE n.status = 'invited' \
         AND NOT EXISTS (SELECT 1 FROM invites i WHERE i.node_id = n.id AND i.expires_at > $1 AND i.uses_left > 0) \
         AND NOT EXISTS (SELECT 1 FROM node_keys k WHERE k.node_id = n.id)",
    )
    .bind(to_millis(now))
    .fetch_all(reader)
    .await?;
    ids.iter().map(|id| id.parse().map_err(Error::internal)).collect()
}

/// Forgets invitations that ended before a time.
pub async fn forget_invites(act: &mut Act, before: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query("DELETE FROM invites WHERE expires_at < $1 OR uses_left = 0")
        .bind(to_millis(before))
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected())
}
