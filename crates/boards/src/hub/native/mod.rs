//! Nave's own ways to the farm: the API for people and programs, and the link of Nave's exporters.

mod http;
mod link;

use nave_core::hub::http::{Access, Routes};

pub(super) use self::link::told;
use super::{Boards, READ};

/// Declares them.
pub(super) fn routes(boards: &Boards, routes: Routes) -> Routes {
    let fleet = boards.clone();
    http::routes(boards, routes).get(
        crate::link::PATH,
        Access::Action(READ),
        move |hub, op, connection, request| link::open(fleet.clone(), hub, op, connection, request),
    )
}
