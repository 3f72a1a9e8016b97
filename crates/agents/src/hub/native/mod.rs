//! Nave's own ways to the fleet: the API for people and programs.

mod agents;
mod files;
mod link;
mod mails;
mod money;
mod settings;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use http::StatusCode;
use nave_core::hub::context::Hub;
use nave_core::hub::error::Result;
use nave_core::hub::http::{Access, Routes};

pub(super) use self::link::Links;
use super::{Agents, RUN};

type Shared = State<Arc<Hub>>;
type Fleet = Extension<Agents>;
type Done = Result<StatusCode>;

/// Declares them.
pub(super) fn routes(agents: &Agents, routes: Routes) -> Routes {
    let declared =
        settings::routes(money::routes(files::routes(mails::routes(agents::routes(Routes::default())))));
    let fleet = agents.clone();
    let routes = routes.merge(declared.with(Extension(agents.clone())));
    routes.get(crate::link::PATH, Access::Action(RUN), move |hub, op, connection, request| {
        link::open(fleet.clone(), hub, op, connection, request)
    })
}
