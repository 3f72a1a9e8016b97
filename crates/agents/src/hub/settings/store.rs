//! The tables of variables and models.

use nave_core::clock::{from_millis, to_millis};
use nave_core::hub::error::{Error, Result};
use nave_core::hub::store::{Act, Reader};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::api::{Model, Variable};

/// A variable's row.
pub(super) struct VariableRow {
    pub(super) variable: Variable,
    pub(super) sealed: String,
}

/// A model's row.
pub(super) struct ModelRow {
    pub(super) model: Model,
    pub(super) custom: bool,
}

const VARIABLE: &str = "SELECT key, value, exported, changed_by, changed_at FROM agents_variables";

fn variable_row(row: &AnyRow) -> Result<VariableRow> {
    Ok(VariableRow {
        sealed: row.try_get("value")?,
        variable: Variable {
            key: row.try_get("key")?,
            exported: row.try_get::<i64, _>("exported")? != 0,
            changed_by: row.try_get("changed_by")?,
            changed_at: from_millis(row.try_get("changed_at")?),
        },
    })
}

pub(super) async fn variables(reader: &mut Reader) -> Result<Vec<VariableRow>> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!("{VARIABLE} ORDER BY key")));
    rows.fetch_all(&mut **reader).await?.iter().map(variable_row).collect()
}

pub(super) async fn variable(act: &mut Act, key: &str) -> Result<Option<VariableRow>> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("{VARIABLE} WHERE key = $1"))).bind(key);
    row.fetch_optional(act.connection()).await?.as_ref().map(variable_row).transpose()
}

pub(super) async fn put_variable(act: &mut Act, variable: &Variable, sealed: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO agents_variables (key, value, exported, changed_by, changed_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value, exported = excluded.exported, \
         changed_by = excluded.changed_by, changed_at = excluded.changed_at",
    )
    .bind(&variable.key)
    .bind(sealed)
    .bind(i64::from(variable.exported))
    .bind(&variable.changed_by)
    .bind(to_millis(variable.changed_at))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Whether it was there.
pub(super) async fn delete_variable(act: &mut Act, key: &str) -> Result<bool> {
    let done = sqlx::query("DELETE FROM agents_variables WHERE key = $1").bind(key);
    Ok(done.execute(act.connection()).await?.rows_affected() == 1)
}

/// In the order in which they were made.
pub(super) async fn models(reader: &mut Reader) -> Result<Vec<ModelRow>> {
    let rows = sqlx::query("SELECT model, custom FROM agents_models ORDER BY position, key");
    let read = |row: &AnyRow| {
        let model: String = row.try_get(0)?;
        Ok(ModelRow {
            model: serde_json::from_str(&model).map_err(Error::internal)?,
            custom: row.try_get::<i64, _>(1)? != 0,
        })
    };
    rows.fetch_all(&mut **reader).await?.iter().map(read).collect()
}

pub(super) async fn put_model(act: &mut Act, model: &Model, custom: bool) -> Result<()> {
    sqlx::query(
        "INSERT INTO agents_models (key, model, custom, position) \
         VALUES ($1, $2, $3, (SELECT COUNT(*) FROM agents_models)) \
         ON CONFLICT (key) DO UPDATE SET model = excluded.model, custom = excluded.custom",
    )
    .bind(model.key())
    .bind(serde_json::to_string(model).map_err(Error::internal)?)
    .bind(i64::from(custom))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Whether it was there.
pub(super) async fn delete_model(act: &mut Act, key: &str) -> Result<bool> {
    let done = sqlx::query("DELETE FROM agents_models WHERE key = $1").bind(key);
    Ok(done.execute(act.connection()).await?.rows_affected() == 1)
}
