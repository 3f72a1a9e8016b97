//! The table of grants.

use nave_link::address::Target;
use sqlx::{AnyConnection, Row as _};

use super::{NewGrant, Scope, Subject};
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
    subject: Subject,
    grant: &NewGrant,
    op: &Op,
) -> Result<bool> {
    let (kind, subject) = subject.columns();
    let (scope_kind, scope) = grant.scope.columns();
    let done = sqlx::query(
        "INSERT INTO grants (id, subject_kind, subject, action, scope_kind, scope, created_at, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(id.to_string())
    .bind(kind)
    .bind(subject)
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
pub(super) async fn delete(act: &mut Act, subject: Subject, grant: &NewGrant) -> Result<bool> {
    let (kind, subject) = subject.columns();
    let (scope_kind, scope) = grant.scope.columns();
    let done = sqlx::query(
        "DELETE FROM grants WHERE subject_kind = $1 AND subject = $2 AND action = $3 AND scope_kind = $4 AND scope = $5",
    )
    .bind(kind)
    .bind(subject)
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

pub(super) async fn of(reader: &mut AnyConnection, subject: Subject) -> Result<Vec<Grant>> {
    let (kind, subject) = subject.columns();
    let rows = sqlx::query(
        "SELECT id, action, scope FROM grants WHERE subject_kind = $1 AND subject = $2 ORDER BY action, scope",
    )
    .bind(kind)
    .bind(subject)
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
    subject: Subject,
    action: &'static str,
    node: NodeId,
    target: &Target,
) -> Result<bool> {
    let (kind, subject) = subject.columns();
    let (_, scope) = Scope::Target(node, target.clone()).columns();
    let matching: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM grants WHERE action = $1 \
         AND ((subject_kind = $2 AND subject = $3) \
           OR ($2 = 'node' AND subject_kind = 'role' AND subject IN (SELECT role FROM node_roles WHERE node_id = $3))) \
         AND (scope_kind = 'everything' OR (scope_kind = 'node' AND scope = $4) \
           OR (scope_kind = 'target' AND scope = $5))",
    )
    .bind(action)
    .bind(kind)
    .bind(subject)
    .bind(node.to_string())
    .bind(scope)
    .fetch_one(reader)
    .await?;
    Ok(matching > 0)
}
