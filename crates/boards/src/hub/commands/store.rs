//! The table of commands that ran for places.

use nave_core::clock::{from_millis, to_millis};
use nave_core::hub::error::{Error, Result};
use nave_core::hub::store::{Act, Reader};
use sqlx::Row as _;
use sqlx::any::AnyRow;
use time::OffsetDateTime;

use crate::api::{CommandRun, Occasion, Outcome};

/// How many are kept of each place.
const KEPT: i64 = 10;

/// Adds one; what is told twice is there once.
pub(super) async fn put(act: &mut Act, place: &str, run: &CommandRun) -> Result<()> {
    sqlx::query(
        "INSERT INTO boards_runs (place, began, occasion, reservation, holder, ended, outcome, status, output) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (place, began, occasion) DO NOTHING",
    )
    .bind(place)
    .bind(to_millis(run.began))
    .bind(run.occasion.word())
    .bind(run.reservation.as_deref())
    .bind(&run.holder)
    .bind(to_millis(run.ended))
    .bind(run.outcome.word())
    .bind(run.status.map(i64::from))
    .bind(&run.output)
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Forgets all but the last ones of a place, and those of any place that are older than that.
pub(super) async fn forget(act: &mut Act, place: &str, before: OffsetDateTime) -> Result<()> {
    sqlx::query(
        "DELETE FROM boards_runs WHERE place = $1 AND began < \
         (SELECT MIN(began) FROM (SELECT began FROM boards_runs WHERE place = $1 ORDER BY began DESC LIMIT $2) AS last)",
    )
    .bind(place)
    .bind(KEPT)
    .execute(act.connection())
    .await?;
    sqlx::query("DELETE FROM boards_runs WHERE ended < $1")
        .bind(to_millis(before))
        .execute(act.connection())
        .await?;
    Ok(())
}

/// Those of a place, the last one first.
pub(super) async fn of(reader: &mut Reader, place: &str) -> Result<Vec<CommandRun>> {
    let query = sqlx::query(
        "SELECT occasion, reservation, holder, began, ended, outcome, status, output FROM boards_runs \
         WHERE place = $1 ORDER BY began DESC, occasion LIMIT $2",
    );
    let rows = query.bind(place).bind(KEPT).fetch_all(&mut **reader).await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<CommandRun> {
    let (occasion, outcome): (String, String) = (row.try_get(0)?, row.try_get(5)?);
    let unknown =
        |word: &str| Error::internal(format!("a command in the database is of no known kind: {word}"));
    let status: Option<i64> = row.try_get(6)?;
    Ok(CommandRun {
        occasion: Occasion::ALL
            .into_iter()
            .find(|known| known.word() == occasion)
            .ok_or_else(|| unknown(&occasion))?,
        reservation: row.try_get(1)?,
        holder: row.try_get(2)?,
        began: from_millis(row.try_get(3)?),
        ended: from_millis(row.try_get(4)?),
        outcome: Outcome::ALL
            .into_iter()
            .find(|known| known.word() == outcome)
            .ok_or_else(|| unknown(&outcome))?,
        status: status.and_then(|status| i32::try_from(status).ok()),
        output: row.try_get(7)?,
    })
}
