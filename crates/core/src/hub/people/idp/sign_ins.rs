//! Sign-ins of people in programs: what stands on somebody's page, and ending one.

use serde_json::{Value, json};

use super::super::store::programs::{self as table, SignInRow};
use crate::api::ProgramSignIn;
use crate::hub::access;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::event::Event;
use crate::hub::op::Op;
use crate::id::SignInId;

/// The programs into which somebody signed in: one's own, or for an administrator anybody's.
pub async fn list(op: &Op, hub: &Hub, who: &str) -> Result<Vec<ProgramSignIn>> {
    if !access::require_person(op).is_ok_and(|me| me.id.to_string() == who) {
        access::require(op, super::super::READ)?;
    }
    let mut reader = hub.store.read().await?;
    let person = super::super::find(&mut reader, who).await?;
    let rows = table::of_person(&mut reader, person.id).await?;
    Ok(rows.into_iter().map(view).collect())
}

/// Ends a sign-in: one's own, or for an administrator anybody's. What its program got is worth nothing here any more.
pub async fn end(op: &Op, hub: &Hub, id: &str) -> Result<()> {
    let me = access::require_person(op).map(|me| me.id);
    if me.is_err() {
        access::require(op, super::super::RESET)?;
    }
    let missing = || Error::not_found("sign-in", id);
    let parsed: SignInId = id.parse().map_err(|_| missing())?;
    let mut act = hub.store.begin().await?;
    let row = table::by_id(act.connection(), parsed).await?.ok_or_else(missing)?;
    if me.is_ok_and(|me| me != row.person) && access::require(op, super::super::RESET).is_err() {
        // Whose sign-ins there are is nobody else's business.
        return Err(missing());
    }
    table::delete(&mut act, row.id).await?;
    hub.record(&mut act, op, about("program.signed_out", &row, &row.program, json!({}))).await?;
    super::super::tell_after_commit(&mut act, hub, row.person);
    act.commit().await
}

fn view(row: SignInRow) -> ProgramSignIn {
    ProgramSignIn {
        id: row.id.to_string(),
        program: row.program,
        address: row.address,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
    }
}

pub(super) fn about(action: &'static str, row: &SignInRow, name: &str, detail: Value) -> Event {
    Event {
        action,
        object_kind: "program",
        object_id: row.id.to_string(),
        object_name: name.to_owned(),
        detail,
    }
}
