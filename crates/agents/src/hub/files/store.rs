//! The table of files.

use nave_core::clock::to_millis;
use nave_core::hub::error::Result;
use nave_core::hub::store::{Act, Reader};
use sqlx::Row as _;
use time::OffsetDateTime;

use super::Purpose;

/// A file's row.
#[derive(Clone, Debug)]
pub(in crate::hub) struct FileRow {
    pub(in crate::hub) id: i64,
    pub(in crate::hub) public_id: String,
    pub(in crate::hub) hash: String,
    pub(in crate::hub) filename: String,
    pub(in crate::hub) size: i64,
    pub(in crate::hub) uploaded_by: i64,
}

/// The last file's number.
pub(super) async fn last(reader: &mut Reader) -> Result<i64> {
    let row = sqlx::query("SELECT COALESCE(MAX(id), 0) FROM agents_attachments");
    Ok(row.fetch_one(&mut **reader).await?.try_get(0)?)
}

pub(super) async fn insert(
    act: &mut Act,
    file: &FileRow,
    purpose: Purpose,
    at: OffsetDateTime,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO agents_attachments (id, public_id, hash, filename, size, purpose, uploaded_by, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(file.id)
    .bind(&file.public_id)
    .bind(&file.hash)
    .bind(&file.filename)
    .bind(file.size)
    .bind(purpose.word())
    .bind(file.uploaded_by)
    .bind(to_millis(at))
    .execute(act.connection())
    .await?;
    Ok(())
}

pub(super) async fn by_public_id(reader: &mut Reader, public_id: &str) -> Result<Option<FileRow>> {
    let row = sqlx::query(
        "SELECT id, public_id, hash, filename, size, uploaded_by FROM agents_attachments WHERE public_id = $1",
    );
    let row = row.bind(public_id).fetch_optional(&mut **reader).await?;
    let read = |row: sqlx::any::AnyRow| {
        Ok(FileRow {
            id: row.try_get(0)?,
            public_id: row.try_get(1)?,
            hash: row.try_get(2)?,
            filename: row.try_get(3)?,
            size: row.try_get(4)?,
            uploaded_by: row.try_get(5)?,
        })
    };
    row.map(read).transpose()
}

/// The agents that have a mail with a file.
pub(super) async fn readers(reader: &mut Reader, file: i64) -> Result<Vec<i64>> {
    let rows = sqlx::query(
        "SELECT DISTINCT r.agent_id FROM agents_mail_attachments f \
         JOIN agents_recipients r ON r.mail_id = f.mail_id WHERE f.attachment_id = $1",
    );
    let rows = rows.bind(file).fetch_all(&mut **reader).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}
