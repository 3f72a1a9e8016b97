//! The tables of leases and of who owns their pools.

mod usage;

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use time::OffsetDateTime;

use super::{Booking, EndReason, Holder, Lease, Past};
use crate::clock::{from_millis, to_millis};
use crate::hub::error::{Error, Result};
use crate::hub::store::{Act, in_sizes, rows_of_placeholders};
use crate::id::{BookingId, LeaseId, OwnerId};

pub(super) use self::usage::usage;

/// The most leases that are ended by one statement.
const MOST_ENDS: usize = 64;

/// Makes a hub the owner of a pool, which may be new; returns the epoch that begins.
pub(super) async fn take_over(act: &mut Act, pool: &str, owner: OwnerId, now: OffsetDateTime) -> Result<i64> {
    let epoch = sqlx::query_scalar(
        "INSERT INTO lease_pools (name, owner, epoch, taken_at) VALUES ($1, $2, 1, $3) \
         ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, epoch = lease_pools.epoch + 1, \
         taken_at = excluded.taken_at RETURNING epoch",
    )
    .bind(pool)
    .bind(owner.to_string())
    .bind(to_millis(now))
    .fetch_one(act.connection())
    .await?;
    Ok(epoch)
}

/// Whether a pool is still in the epoch that the writer thinks. It stays so until the act ends: whoever wants to take
/// the pool over writes the same row, and so waits.
pub(super) async fn is_epoch(act: &mut Act, pool: &str, epoch: i64) -> Result<bool> {
    let done = sqlx::query("UPDATE lease_pools SET epoch = epoch WHERE name = $1 AND epoch = $2")
        .bind(pool)
        .bind(epoch)
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The leases of a pool that are held.
pub(super) async fn held(act: &mut Act, pool: &str) -> Result<Vec<Lease>> {
    let query = sqlx::query(
        "SELECT id, resource, holder_kind, holder, holder_name, address, epoch, granted_at, expires_at, bound, label \
         FROM leases WHERE ended_at IS NULL AND pool = $1 ORDER BY id",
    );
    query.bind(pool).fetch_all(act.connection()).await?.iter().map(lease).collect()
}

/// The lease on one resource, if it is held.
pub(super) async fn held_on(act: &mut Act, pool: &str, resource: &str) -> Result<Option<Lease>> {
    let query = sqlx::query(
        "SELECT id, resource, holder_kind, holder, holder_name, address, epoch, granted_at, expires_at, bound, label \
         FROM leases WHERE ended_at IS NULL AND pool = $1 AND resource = $2",
    );
    let row = query.bind(pool).bind(resource).fetch_optional(act.connection()).await?;
    row.as_ref().map(lease).transpose()
}

/// The leases on one resource that have ended, the newest first.
pub(super) async fn past(
    reader: &mut AnyConnection,
    pool: &str,
    resource: &str,
    most: u32,
) -> Result<Vec<Past>> {
    let query = sqlx::query(
        "SELECT id, holder_name, granted_at, ended_at, end_reason FROM leases \
         WHERE pool = $1 AND resource = $2 AND ended_at IS NOT NULL ORDER BY ended_at DESC, id DESC LIMIT $3",
    );
    let rows = query.bind(pool).bind(resource).bind(i64::from(most)).fetch_all(reader).await?;
    let past = |row: &AnyRow| {
        let id: String = row.try_get(0)?;
        Ok(Past {
            id: id.parse().map_err(Error::internal)?,
            holder: row.try_get(1)?,
            granted_at: from_millis(row.try_get(2)?),
            ended_at: from_millis(row.try_get(3)?),
            reason: row.try_get(4)?,
        })
    };
    rows.iter().map(past).collect()
}

fn lease(row: &AnyRow) -> Result<Lease> {
    let id: String = row.try_get(0)?;
    let address: Option<String> = row.try_get(5)?;
    let expires_at: Option<i64> = row.try_get(8)?;
    Ok(Lease {
        id: id.parse().map_err(Error::internal)?,
        resource: row.try_get(1)?,
        holder: Holder { kind: row.try_get(2)?, id: row.try_get(3)?, name: row.try_get(4)? },
        address: address.and_then(|address| address.parse().ok()),
        epoch: row.try_get(6)?,
        granted_at: from_millis(row.try_get(7)?),
        expires_at: expires_at.map(from_millis),
        bound: row.try_get::<i64, _>(9)? != 0,
        label: row.try_get(10)?,
    })
}

/// Begins leases, each with the time at which somebody asked for it.
pub(super) async fn insert(act: &mut Act, pool: &str, leases: &[&(Lease, OffsetDateTime)]) -> Result<()> {
    const COLUMNS: usize = 13;
    for rows in in_sizes(leases) {
        let sql = format!(
            "INSERT INTO leases (id, pool, resource, holder_kind, holder, holder_name, address, epoch, granted_at, \
             expires_at, bound, label, asked_at) VALUES {}",
            rows_of_placeholders(act.engine(), rows.len(), COLUMNS)
        );
        // The text is put together from constants and numbers; every value is bound.
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (lease, asked_at) in rows {
            query = query
                .bind(lease.id.to_string())
                .bind(pool)
                .bind(&lease.resource)
                .bind(&lease.holder.kind)
                .bind(&lease.holder.id)
                .bind(&lease.holder.name)
                .bind(lease.address.map(|address| address.to_string()))
                .bind(lease.epoch)
                .bind(to_millis(lease.granted_at))
                .bind(lease.expires_at.map(to_millis))
                .bind(i64::from(lease.bound))
                .bind(&lease.label)
                .bind(to_millis(*asked_at));
        }
        query.execute(act.connection()).await?;
    }
    Ok(())
}

/// Changes whose a held lease is, and until when.
pub(super) async fn amend(act: &mut Act, lease: &Lease) -> Result<()> {
    sqlx::query(
        "UPDATE leases SET holder_kind = $2, holder = $3, holder_name = $4, expires_at = $5, bound = $6, address = $7 \
         WHERE id = $1 AND ended_at IS NULL",
    )
    .bind(lease.id.to_string())
    .bind(&lease.holder.kind)
    .bind(&lease.holder.id)
    .bind(&lease.holder.name)
    .bind(lease.expires_at.map(to_millis))
    .bind(i64::from(lease.bound))
    .bind(lease.address.map(|address| address.to_string()))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Ends leases.
pub(super) async fn end(act: &mut Act, ends: &[(LeaseId, EndReason)], now: OffsetDateTime) -> Result<()> {
    let mut by_reason: BTreeMap<&str, Vec<LeaseId>> = BTreeMap::new();
    for (id, reason) in ends {
        by_reason.entry(reason.word()).or_default().push(*id);
    }
    for (reason, ids) in by_reason {
        for ids in ids.chunks(MOST_ENDS) {
            // The last one is named several times, so that few statements are prepared.
            let count = ids.len().next_power_of_two();
            let ids_named: Vec<String> = (3..count + 3).map(|at| format!("${at}")).collect();
            let sql = format!(
                "UPDATE leases SET ended_at = $1, end_reason = $2 WHERE ended_at IS NULL AND id IN ({})",
                ids_named.join(", ")
            );
            // As above.
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(to_millis(now)).bind(reason);
            let last = ids.last().into_iter().cycle();
            for id in ids.iter().chain(last).take(count) {
                query = query.bind(id.to_string());
            }
            query.execute(act.connection()).await?;
        }
    }
    Ok(())
}

/// Forgets leases that ended before a time; returns how many.
pub(super) async fn delete_ended(act: &mut Act, before: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query("DELETE FROM leases WHERE ended_at < $1")
        .bind(to_millis(before))
        .execute(act.connection())
        .await?;
    let booked = sqlx::query("DELETE FROM lease_bookings WHERE ended_at < $1")
        .bind(to_millis(before))
        .execute(act.connection())
        .await?;
    Ok(done.rows_affected() + booked.rows_affected())
}

/// The bookings of a pool that stand.
pub(super) async fn booked(act: &mut Act, pool: &str) -> Result<Vec<Booking>> {
    let query = sqlx::query(
        "SELECT id, resource, holder_kind, holder, holder_name, label, made_at, starts_at, ends_at \
         FROM lease_bookings WHERE ended_at IS NULL AND pool = $1 ORDER BY starts_at, id",
    );
    let booking = |row: &AnyRow| {
        let id: String = row.try_get(0)?;
        Ok(Booking {
            id: id.parse().map_err(Error::internal)?,
            resource: row.try_get(1)?,
            holder: Holder { kind: row.try_get(2)?, id: row.try_get(3)?, name: row.try_get(4)? },
            label: row.try_get(5)?,
            made_at: from_millis(row.try_get(6)?),
            starts_at: from_millis(row.try_get(7)?),
            ends_at: from_millis(row.try_get(8)?),
        })
    };
    query.bind(pool).fetch_all(act.connection()).await?.iter().map(booking).collect()
}

pub(super) async fn insert_booking(act: &mut Act, pool: &str, booking: &Booking) -> Result<()> {
    sqlx::query(
        "INSERT INTO lease_bookings (id, pool, resource, holder_kind, holder, holder_name, label, made_at, starts_at, \
         ends_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(booking.id.to_string())
    .bind(pool)
    .bind(&booking.resource)
    .bind(&booking.holder.kind)
    .bind(&booking.holder.id)
    .bind(&booking.holder.name)
    .bind(&booking.label)
    .bind(to_millis(booking.made_at))
    .bind(to_millis(booking.starts_at))
    .bind(to_millis(booking.ends_at))
    .execute(act.connection())
    .await?;
    Ok(())
}

/// Writes a booking's new times.
pub(super) async fn move_booking(act: &mut Act, booking: &Booking) -> Result<()> {
    let query = sqlx::query(
        "UPDATE lease_bookings SET starts_at = $2, ends_at = $3 WHERE id = $1 AND ended_at IS NULL",
    );
    let query = query.bind(booking.id.to_string()).bind(to_millis(booking.starts_at));
    query.bind(to_millis(booking.ends_at)).execute(act.connection()).await?;
    Ok(())
}

/// Ends a booking; whether it stood until now.
pub(super) async fn end_booking(
    act: &mut Act,
    id: BookingId,
    reason: &str,
    now: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE lease_bookings SET ended_at = $2, end_reason = $3 WHERE id = $1 AND ended_at IS NULL",
    )
    .bind(id.to_string())
    .bind(to_millis(now))
    .bind(reason)
    .execute(act.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether a booking stands.
pub(super) async fn is_booked(act: &mut Act, id: BookingId) -> Result<bool> {
    let found = sqlx::query("SELECT id FROM lease_bookings WHERE id = $1 AND ended_at IS NULL")
        .bind(id.to_string())
        .fetch_optional(act.connection())
        .await?;
    Ok(found.is_some())
}
