//! The statements on `data_keys`.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::hub::error::Result;
use crate::hub::store::Store;

/// A data key as it lies in the database.
pub(super) struct DataKey {
    pub(super) id: String,
    pub(super) master_id: String,
    pub(super) wrapped: String,
}

/// All of them, oldest first.
pub(super) async fn all(store: &Store) -> Result<Vec<DataKey>> {
    all_in(&mut *store.read().await?).await
}

pub(super) async fn all_in(connection: &mut AnyConnection) -> Result<Vec<DataKey>> {
    let rows = sqlx::query("SELECT id, master_id, wrapped FROM data_keys ORDER BY created_at, id")
        .fetch_all(connection)
        .await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

pub(super) async fn one(store: &Store, id: &str) -> Result<Option<DataKey>> {
    let row = sqlx::query("SELECT id, master_id, wrapped FROM data_keys WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *store.read().await?)
        .await?;
    Ok(row.as_ref().map(read).transpose()?)
}

pub(super) async fn insert(connection: &mut AnyConnection, key: &DataKey, created_at: i64) -> Result<()> {
    sqlx::query("INSERT INTO data_keys (id, master_id, wrapped, created_at) VALUES ($1, $2, $3, $4)")
        .bind(&key.id)
        .bind(&key.master_id)
        .bind(&key.wrapped)
        .bind(created_at)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn rewrap(
    connection: &mut AnyConnection,
    id: &str,
    master_id: &str,
    wrapped: &str,
) -> Result<()> {
    sqlx::query("UPDATE data_keys SET master_id = $2, wrapped = $3 WHERE id = $1")
        .bind(id)
        .bind(master_id)
        .bind(wrapped)
        .execute(connection)
        .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<DataKey, sqlx::Error> {
    Ok(DataKey { id: row.try_get(0)?, master_id: row.try_get(1)?, wrapped: row.try_get(2)? })
}
