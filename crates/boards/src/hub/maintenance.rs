//! Places that are out of service: nobody is given them until somebody says that they may be used again.

mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::event::Event;
use nave_core::hub::op::Op;
use serde_json::json;

use super::places::Place;
use super::{Boards, MANAGE, REGISTER};
use crate::api::{Maintenance, SetMaintenance};

pub(super) use self::store::MIGRATIONS;

/// Why which place is out of service.
#[derive(Debug, Default)]
pub(super) struct OutOfService(Mutex<BTreeMap<String, Maintenance>>);

impl OutOfService {
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Maintenance>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a place is out of service, if it is.
    pub(super) fn of(&self, place: &str) -> Option<Maintenance> {
        self.known().get(place).cloned()
    }
}

/// Takes over what the database says.
pub(super) async fn begin(op: &Op, hub: &Arc<Hub>, boards: &Boards) -> Result<()> {
    access::require(op, MANAGE)?;
    let mut reader = hub.store.read().await?;
    let known = store::all(&mut reader).await?;
    for place in known.keys() {
        Boards::pool(hub)?.set_closed(op, hub, place, true)?;
    }
    *boards.maintenance().known() = known;
    Ok(())
}

/// Takes a place out of service. Whoever has it keeps it.
pub async fn close(op: &Op, hub: &Arc<Hub>, boards: &Boards, place: &str, why: SetMaintenance) -> Result<()> {
    access::require(op, MANAGE)?;
    let reason = why.reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > 500 || reason.contains(char::is_control) {
        return Err(Error::invalid(
            "reason",
            "must be one line of 1 to 500 characters: those who want the place read it",
        ));
    }
    if boards.places().by_name(place).is_none() && Boards::pool(hub)?.holder_of(place).is_none() {
        return Err(Error::not_found("place", place));
    }
    take_out(op, hub, boards, place, reason).await?;
    Boards::pool(hub)?.set_closed(op, hub, place, true)
}

/// Takes a place out of service on behalf of its own exporter, which could not make it ready. What somebody said before
/// stays.
pub(super) async fn close_broken(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    place: &Place,
    problem: String,
) -> Result<()> {
    access::require(op, REGISTER)?;
    if boards.maintenance().of(&place.name).is_some() {
        return Ok(());
    }
    take_out(op, hub, boards, &place.name, problem).await?;
    // Whoever offers a place may not say who gets it; that nobody does follows from what it said.
    Boards::pool(hub)?.set_closed(&hub.op("boards.not_ready"), hub, &place.name, true)
}

async fn take_out(op: &Op, hub: &Arc<Hub>, boards: &Boards, place: &str, reason: String) -> Result<()> {
    let maintenance = Maintenance { reason, by: op.actor.name(), since: op.clock.now() };
    let mut act = hub.store.begin().await?;
    store::put(&mut act, place, &maintenance).await?;
    hub.record(&mut act, op, event("place.closed", place, json!({ "reason": maintenance.reason }))).await?;
    act.commit().await?;
    boards.maintenance().known().insert(place.to_owned(), maintenance);
    Ok(())
}

/// Puts a place into service again; whoever waits first has it then.
pub async fn open(op: &Op, hub: &Arc<Hub>, boards: &Boards, place: &str) -> Result<()> {
    access::require(op, MANAGE)?;
    let mut act = hub.store.begin().await?;
    if !store::delete(&mut act, place).await? {
        return Err(Error::Conflict(format!("{place} is not out of service")));
    }
    hub.record(&mut act, op, event("place.opened", place, serde_json::Value::Null)).await?;
    act.commit().await?;
    boards.maintenance().known().remove(place);
    Boards::pool(hub)?.set_closed(op, hub, place, false)
}

pub(super) fn event(action: &'static str, place: &str, detail: serde_json::Value) -> Event {
    Event { action, object_kind: "place", object_id: place.to_owned(), object_name: place.to_owned(), detail }
}
