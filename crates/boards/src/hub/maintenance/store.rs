//! The table of places that are out of service.

use std::collections::BTreeMap;

use nave_core::clock::{from_millis, to_millis};
use nave_core::hub::error::Result;
use nave_core::hub::store::{Act, Migration, MigrationSet, Reader};
use sqlx::Row as _;

use crate::api::Maintenance;

const TABLE: &str = include_str!("../../../migrations/0001_places_closed.sql");
const RUNS: &str = include_str!("../../../migrations/0002_runs.sql");

/// The fleet's tables.
pub(in crate::hub) const MIGRATIONS: MigrationSet = MigrationSet {
    name: "boards",
    tables: &["boards_closed", "boards_runs"],
    migrations: &[
        Migration { version: 1, name: "places closed", sqlite: TABLE, postgres: TABLE },
        Migration { version: 2, name: "runs", sqlite: RUNS, postgres: RUNS },
    ],
};

pub(super) async fn all(reader: &mut Reader) -> Result<BTreeMap<String, Maintenance>> {
    let query = sqlx::query("SELECT place, reason, closed_by, since FROM boards_closed");
    let rows = query.fetch_all(&mut **reader).await?;
    let read = |row: &sqlx::any::AnyRow| {
        let maintenance =
            Maintenance { reason: row.try_get(1)?, by: row.try_get(2)?, since: from_millis(row.try_get(3)?) };
        Ok((row.try_get(0)?, maintenance))
    };
    rows.iter().map(read).collect()
}

/// Notes why a place is closed; a later reason takes the place of an earlier one.
pub(super) async fn put(act: &mut Act, place: &str, maintenance: &Maintenance) -> Result<()> {
    sqlx::query(
        "INSERT INTO boards_closed (place, reason, closed_by, since) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (place) DO UPDATE SET reason = excluded.reason, closed_by = excluded.closed_by, \
         since = excluded.since",
    )
    .bind(place)
    .bind(&maintenance.reason)
    .bind(&maintenance.by)
    .bind(to_millis(maintenance.since))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Whether it was closed.
pub(super) async fn delete(act: &mut Act, place: &str) -> Result<bool> {
    let done = sqlx::query("DELETE FROM boards_closed WHERE place = $1")
        .bind(place)
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected() == 1)
}
