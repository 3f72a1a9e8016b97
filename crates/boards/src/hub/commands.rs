//! Commands that exporters run for places: what came of them, and switching the power of a place.

mod store;

use std::sync::Arc;

use nave_core::hub::access;
use nave_core::hub::bus::Notice;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::leases::Holder;
use nave_core::hub::op::Op;
use nave_link::rpc::{CallError, code};
use serde_json::json;

use super::places::Place;
use super::{Boards, MANAGE, NAME, READ, REGISTER, RESERVE, maintenance, native};
use crate::api::{CommandRun, PowerCommand, clean};
use crate::link::PlacePower;

/// The longest holder's name that is kept, in characters.
const LONGEST_NAME: usize = 300;

/// Takes over what an exporter says of a command; one that `closes` its place takes it out of service.
pub(super) async fn record(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    place: &Place,
    run: CommandRun,
    closes: bool,
) -> Result<()> {
    access::require(op, REGISTER)?;
    let run = tidy(run);
    let mut act = hub.store.begin().await?;
    store::put(&mut act, &place.name, &run).await?;
    store::forget(&mut act, &place.name, op.clock.now() - hub.settings.keep_events).await?;
    act.commit().await?;
    if let (true, Some(problem)) = (closes, run.problem()) {
        maintenance::close_broken(op, hub, boards, place, problem).await?;
    }
    place.gate.set_running(None);
    hub.bus.publish(Notice { topic: NAME, key: place.name.clone() });
    Ok(())
}

/// The commands that ran for a place, the last one first.
pub(super) async fn of(op: &Op, hub: &Hub, place: &str) -> Result<Vec<CommandRun>> {
    access::require(op, READ)?;
    let mut reader = hub.store.read().await?;
    store::of(&mut reader, place).await
}

/// Switches the power of a place: whoever has it may, and whoever may manage places.
pub async fn power(
    op: &Op,
    hub: &Arc<Hub>,
    boards: &Boards,
    place: &str,
    command: PowerCommand,
) -> Result<CommandRun> {
    access::require_somebody(op)?;
    let lease = Boards::pool(hub)?.holder_of(place).map(|held| held.lease);
    if lease.as_ref().is_some_and(|lease| lease.holder.is(&Holder::of(op))) {
        access::require(op, RESERVE)?;
    } else if boards.places().by_name(place).is_some() {
        access::require(op, MANAGE)?;
    } else {
        access::require(op, READ)?;
    }
    let there = boards.places().by_name(place).ok_or_else(|| Error::not_found("place", place))?;
    let control = there.power.as_ref().filter(|control| control.commands.contains(&command));
    let control = control.ok_or_else(|| {
        let missing = if there.power.is_none() {
            "[power]".to_owned()
        } else {
            format!("`{}` in [power]", command.word())
        };
        Error::Conflict(format!(
            "the description of {place} has no {missing}: whoever exports it can say how that is done"
        ))
    })?;
    if command != PowerCommand::Status {
        let mut act = hub.store.begin().await?;
        let detail = json!({ "command": command.word(), "lease": lease.as_ref().map(|lease| lease.id) });
        hub.record(&mut act, op, maintenance::event("place.power", place, detail)).await?;
        act.commit().await?;
    }
    let asked = PlacePower {
        place: place.to_owned(),
        command,
        asker: op.actor.name(),
        lease: lease.map(native::told),
    };
    let switched = control.peer.call(&asked, control.within).await;
    switched.map(tidy).map_err(|error| match error {
        CallError::Refused(error) if error.code == code::REFUSED => Error::Conflict(clean(&error.message)),
        CallError::Refused(error) if error.code == code::UNKNOWN_METHOD => {
            Error::Conflict(format!("the exporter of {place} is older than this: bring it up to date"))
        }
        other => Error::Conflict(format!("the exporter of {place} did not say whether it was done: {other}")),
    })
}

/// What an exporter says must fit into a page and a database.
fn tidy(run: CommandRun) -> CommandRun {
    let line = |text: &str| text.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect::<String>();
    CommandRun {
        reservation: run.reservation.map(|id| line(&id)),
        holder: line(&run.holder),
        output: clean(&run.output),
        ..run
    }
}
