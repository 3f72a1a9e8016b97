//! The table of grants.

use nave_link::address::Target;
use sqlx::{AnyConnection, Row as _};

use super::{NewGrant, Scope};
use crate::api::Grant;
use crate::clock::to_millis;
use crate::hub::error::Result;
use crate::hub::op::Op;
use crate::hub::store::Act;
use crate::id::{GrantId, NodeId};

/// Returns whether the right is new.
pub(super) async fn insert(
    act: &mut Act,
    id: GrantId,
    node: NodeId,
    grant: &NewGrant,
    op: &Op,
) -> Result<bool> {
    let (scope_kind, scope) = grant.scope.columns();
    let done = sqlx::query(
        "INSERT INTO grants (id, subject_kind, subject, action, scope_kind, scope, created_at, created_by) \
         VALUES ($1, 'node', $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(id.to_string())
    .bind(node.to_string())
    .bind(grant.action)
    .bind(scope_kind)
    .bind(scope)
    .bind(to_millis(op.clock.now()))
    .bind(op.actor.name())
    .execute(act.connection())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Returns whether the right was there.
pub(super) async fn delete(act: &mut Act, node: NodeId, grant: &NewGrant) -> Result<bool> {
    let (scope_kind, scope) = grant.scope.columns();
    let done = sqlx::query(
        "DELETE FROM grants WHERE subject_kind = 'node' AND subject = $1 AND action = $2 AND scope_kind = $3 AND scope = $4",
    )
    .bind(node.to_string())
    .bind(grant.action)
    .bind(scope_kind)
    .bind(scope)
    .execute(act.connection())
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn delete_node(act: &mut Act, node: NodeId) -> Result<()> {
    sqlx::query(
        "DELETE FROM grants WHERE (subject_kind = 'node' AND subject = $1) OR (scope_kind = 'node' AND scope = $1) \
         OR (scope_kind = 'target' AND scope LIKE $2)",
    )
    .bind(node.to_string())
    .bind(format!("{node}/%"))
    .execute(act.connection())
    .await?;
    Ok(())
}

pub(super) async fn of_node(reader: &mut AnyConnection, node: NodeId) -> Result<Vec<Grant>> {
    let rows = sqlx::query(
        "SELECT id, action, scope FROM grants WHERE subject_kind = 'node' AND subject = $1 ORDER BY action, scope",
    )
    .bind(node.to_string())
    .fetch_all(reader)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Grant {
                id: row.try_get(0)?,
                subject: String::new(),
                action: row.try_get(1)?,
                scope: row.try_get(2)?,
            })
        })
        .collect()
}

pub(super) async fn allows(
    reader: &mut AnyConnection,
    subject: NodeId,
    action: &'static str,
    node: NodeId,
    target: &Target,
) -> Result<bool> {
    let (_, scope) = Scope::Target(node, target.clone()).columns();
    let matching: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM grants WHERE action = $1 \
         AND ((subject_kind = 'node' AND subject = $2) \
           OR (subject_kind = 'role' AND subject IN (SELECT role FROM node_roles WHERE node_id = $2))) \
         AND (scope_kind = 'everything' OR (scope_kind = 'node' AND scope = $3) \
           OR (scope_kind = 'target' AND scope = $4))",
    )
    .bind(action)
    .bind(subject.to_string())
    .bind(node.to_string())
    .bind(scope)
    .fetch_one(reader)
    .await?;
    Ok(matching > 0)
}
