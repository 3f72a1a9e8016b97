//! The tables of nodes' own access keys, and of the names that are used under the shared one.

use sqlx::{AnyConnection, Row as _};
use time::OffsetDateTime;

use crate::clock::{from_millis, to_millis};
use crate::hub::error::{Error, Result};
use crate::hub::store::Act;
use crate::id::NodeId;

/// One node's own access key.
#[derive(Clone, Debug)]
pub struct NodeKeyRow {
    /// Whose it is.
    pub node: NodeId,
    /// SHA-256 of the secret, in hex.
    pub secret_hash: String,
    /// When it ends.
    pub ends: Option<OffsetDateTime>,
}

pub async fn node_key(reader: &mut AnyConnection, id: &str) -> Result<Option<NodeKeyRow>> {
    let row = sqlx::query("SELECT node_id, secret_hash, expires_at FROM node_keys WHERE id = $1")
        .bind(id)
        .fetch_optional(reader)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let node: String = row.try_get(0)?;
    let ends: Option<i64> = row.try_get(2)?;
    Ok(Some(NodeKeyRow {
        node: node.parse().map_err(Error::internal)?,
        secret_hash: row.try_get(1)?,
        ends: ends.map(from_millis),
    }))
}

/// The id of the access key whose secret has this hash.
pub async fn node_key_with(reader: &mut AnyConnection, secret_hash: &str) -> Result<Option<String>> {
    let id = sqlx::query_scalar("SELECT id FROM node_keys WHERE secret_hash = $1")
        .bind(secret_hash)
        .fetch_optional(reader)
        .await?;
    Ok(id)
}

/// Whether a node was given an access key of its own.
pub async fn has_node_key(reader: &mut AnyConnection, node: NodeId) -> Result<bool> {
    let keys: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM node_keys WHERE node_id = $1")
        .bind(node.to_string())
        .fetch_one(reader)
        .await?;
    Ok(keys > 0)
}

pub async fn insert_node_key(
    act: &mut Act,
    id: &str,
    node: NodeId,
    secret_hash: &str,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query("INSERT INTO node_keys (id, node_id, secret_hash, created_at) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(node.to_string())
        .bind(secret_hash)
        .bind(to_millis(now))
        .execute(act.connection())
        .await?;
    Ok(())
}

/// Lets a node's present access keys end at a time, unless they end earlier.
pub async fn end_node_keys(act: &mut Act, node: NodeId, at: OffsetDateTime) -> Result<()> {
    sqlx::query(
        "UPDATE node_keys SET expires_at = $2 WHERE node_id = $1 AND (expires_at IS NULL OR expires_at > $2)",
    )
    .bind(node.to_string())
    .bind(to_millis(at))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// A name under the shared access key.
#[derive(Clone, Debug)]
pub struct BoundName {
    /// The node that it stands for.
    pub node: NodeId,
    /// Where its user comes from.
    pub address: String,
}

/// What a name stands for.
pub async fn bound_name(reader: &mut AnyConnection, name: &str) -> Result<Option<BoundName>> {
    let row = sqlx::query("SELECT node_id, address FROM access_key_names WHERE name = lower($1)")
        .bind(name)
        .fetch_optional(reader)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let node: String = row.try_get(0)?;
    Ok(Some(BoundName { node: node.parse().map_err(Error::internal)?, address: row.try_get(1)? }))
}

/// How many names are used from one address.
pub async fn count_bound(reader: &mut AnyConnection, address: &str) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT COUNT(*) FROM access_key_names WHERE address = $1")
        .bind(address)
        .fetch_one(reader)
        .await?)
}

/// Binds a name to its first user.
pub async fn bind_name(act: &mut Act, name: &str, bound: &BoundName, now: OffsetDateTime) -> Result<()> {
    sqlx::query(
        "INSERT INTO access_key_names (name, node_id, bound_at, address) VALUES (lower($1), $2, $3, $4)",
    )
    .bind(name)
    .bind(bound.node.to_string())
    .bind(to_millis(now))
    .bind(&bound.address)
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Frees the names of a node for others; how many there were.
pub async fn free_names(act: &mut Act, node: NodeId) -> Result<u64> {
    let done = sqlx::query("DELETE FROM access_key_names WHERE node_id = $1")
        .bind(node.to_string())
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected())
}
