//! What a backup says about itself: its first entry and its last.

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::BackupError;

/// The format of what is inside; a reader knows all up to its own.
pub(super) const FORMAT: u64 = 2;
/// The format of a backup without bulk data, which earlier programs read too.
pub(super) const WITHOUT_BULK: u64 = 1;
/// Name of the first entry.
pub(super) const FIRST: &str = "manifest.json";
/// Name of the last entry: what comes after it, or does not come with it, is not part of the backup.
pub(super) const LAST: &str = "end.json";

/// What is inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub(super) format: u64,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// By which version.
    pub hub_version: String,
    /// Whether it holds the files of the data folder, or the database only.
    pub files: bool,
    /// Which steps the schema has gone through.
    pub(super) schema: Vec<Step>,
    /// The tables, parents first.
    pub tables: Vec<Table>,
    /// The bulk data, if that was taken too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bulk: Option<Bulk>,
}

/// The bulk data: a database of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bulk {
    pub(super) schema: Vec<Step>,
    /// The tables, parents first.
    pub tables: Vec<Table>,
}

/// A step of the schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) set: String,
    pub(super) version: i64,
    pub(super) name: String,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// How many rows.
    pub rows: u64,
    /// The last number that it gave out, if it numbers its rows: numbers of rows since deleted must not come again.
    pub(super) last_number: Option<i64>,
}

impl Manifest {
    /// How many rows, in all tables.
    pub fn rows(&self) -> u64 {
        self.all_tables().map(|table| table.rows).sum()
    }

    fn all_tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().chain(self.bulk.iter().flat_map(|bulk| &bulk.tables))
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, BackupError> {
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }
        let damaged = |error: serde_json::Error| BackupError::content(FIRST, &error);
        // The format decides how the rest is to be read, so it is read alone.
        let Format { format } = serde_json::from_slice(text).map_err(damaged)?;
        if format > FORMAT {
            return Err(BackupError::NewerFormat(format));
        }
        let manifest: Self = serde_json::from_slice(text).map_err(damaged)?;
        if let Some(table) = manifest.all_tables().find(|table| !is_table_name(&table.name)) {
            return Err(BackupError::content(FIRST, &format!("{:?} is no table name", table.name)));
        }
        Ok(manifest)
    }
}

/// The names that Nave gives its tables; they stand in statements as they are.
pub(super) fn is_table_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The end of a backup: what a plain one is checked by.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) entries: u64,
    /// SHA-256 over each entry's name, a zero byte, its size (8 bytes, big endian) and its content.
    pub(super) sha256: String,
}

/// Computes an [`End`] along the way.
pub(super) struct Tally {
    entries: u64,
    digest: Context,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self { entries: 0, digest: Context::new(&SHA256) }
    }

    pub(super) fn begin(&mut self, name: &str, size: u64) {
        self.entries += 1;
        self.digest.update(name.as_bytes());
        self.digest.update(&[0]);
        self.digest.update(&size.to_be_bytes());
    }

    pub(super) fn add(&mut self, content: &[u8]) {
        self.digest.update(content);
    }

    pub(super) fn end(self) -> End {
        End { entries: self.entries, sha256: hex::encode(self.digest.finish()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_format_is_recognised_whatever_else_it_holds() {
        let newer = br#"{"format": 3, "created": "some other way"}"#;
        assert!(matches!(Manifest::parse(newer), Err(BackupError::NewerFormat(3))));
        assert!(matches!(Manifest::parse(b"{}"), Err(BackupError::Content { .. })));
    }

    #[test]
    fn only_our_own_kind_of_table_name_gets_into_a_statement() {
        assert!(is_table_name("node_roles") && is_table_name("boards_places2"));
        for name in ["", "Nodes", "nodes; DROP TABLE nodes", "a\"b", "täble", &"x".repeat(64)] {
            assert!(!is_table_name(name), "{name}");
        }
    }
}
