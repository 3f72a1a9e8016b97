//! The table of keys that ID tokens are signed with.

use sqlx::{AnyConnection, Row as _};
use time::OffsetDateTime;

use crate::clock::{from_millis, to_millis};
use crate::hub::error::Result;
use crate::hub::store::Act;

/// A key as the database has it.
#[derive(Clone, Debug)]
pub struct SigningKeyRow {
    /// Its `kid`.
    pub id: String,
    /// PKCS #8, sealed.
    pub private_key: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// All of them, the newest first.
pub async fn all(reader: &mut AnyConnection) -> Result<Vec<SigningKeyRow>> {
    let rows =
        sqlx::query("SELECT id, private_key, created_at FROM signing_keys ORDER BY created_at DESC, id DESC")
            .fetch_all(reader)
            .await?;
    let read = |row: &sqlx::any::AnyRow| -> Result<SigningKeyRow> {
        Ok(SigningKeyRow {
            id: row.try_get("id")?,
            private_key: row.try_get("private_key")?,
            created_at: from_millis(row.try_get("created_at")?),
        })
    };
    rows.iter().map(read).collect()
}

pub async fn insert(act: &mut Act, row: &SigningKeyRow) -> Result<()> {
    sqlx::query("INSERT INTO signing_keys (id, private_key, created_at) VALUES ($1, $2, $3)")
        .bind(&row.id)
        .bind(&row.private_key)
        .bind(to_millis(row.created_at))
        .execute(act.connection())
        .await?;
    Ok(())
}

/// Forgets those made before a time.
pub async fn delete_old(act: &mut Act, before: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query("DELETE FROM signing_keys WHERE created_at <= $1")
        .bind(to_millis(before))
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected())
}
