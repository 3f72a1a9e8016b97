//! The table of data keys.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use time::OffsetDateTime;

use super::WrappedKey;
use crate::clock::to_millis;
use crate::hub::error::Result;
use crate::hub::store::Act;

fn read(row: &AnyRow) -> Result<WrappedKey> {
    Ok(WrappedKey { id: row.try_get(0)?, master_id: row.try_get(1)?, sealed: row.try_get(2)? })
}

pub(super) async fn newest(reader: &mut AnyConnection) -> Result<Option<WrappedKey>> {
    let row =
        sqlx::query("SELECT id, master_id, wrapped FROM data_keys ORDER BY created_at DESC, id LIMIT 1")
            .fetch_optional(reader)
            .await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn by_id(reader: &mut AnyConnection, id: &str) -> Result<Option<WrappedKey>> {
    let row = sqlx::query("SELECT id, master_id, wrapped FROM data_keys WHERE id = $1")
        .bind(id)
        .fetch_optional(reader)
        .await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn all(reader: &mut AnyConnection) -> Result<Vec<WrappedKey>> {
    let rows =
        sqlx::query("SELECT id, master_id, wrapped FROM data_keys ORDER BY id").fetch_all(reader).await?;
    rows.iter().map(read).collect()
}

pub(super) async fn insert(act: &mut Act, key: &WrappedKey, now: OffsetDateTime) -> Result<()> {
    sqlx::query("INSERT INTO data_keys (id, master_id, wrapped, created_at) VALUES ($1, $2, $3, $4)")
        .bind(&key.id)
        .bind(&key.master_id)
        .bind(&key.sealed)
        .bind(to_millis(now))
        .execute(act.connection())
        .await?;
    Ok(())
}

pub(super) async fn update(act: &mut Act, key: &WrappedKey) -> Result<()> {
    sqlx::query("UPDATE data_keys SET master_id = $2, wrapped = $3 WHERE id = $1")
        .bind(&key.id)
        .bind(&key.master_id)
        .bind(&key.sealed)
        .execute(act.connection())
        .await?;
    Ok(())
}
