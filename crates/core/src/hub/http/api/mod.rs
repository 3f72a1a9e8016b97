//! `/nave/v1`: the native API, one file a noun. Each handler reads its input, calls one service and answers.

mod access_requests;
mod devices;
mod events;
mod grants;
mod hub;
mod identity;
mod invites;
mod keys;
mod nodes;
mod people;
mod sessions;
mod streams;
mod tokens;

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use super::routes::{Access, Routes};
use crate::hub::access::Action;
use crate::hub::context::Hub;
use crate::hub::error::Result;

pub(super) fn routes(routes: Routes) -> Routes {
    [
        hub::routes,
        identity::routes,
        nodes::routes,
        invites::routes,
        grants::routes,
        streams::routes,
        events::routes,
        keys::routes,
        people::routes,
        sessions::routes,
        devices::routes,
        tokens::routes,
        access_requests::routes,
    ]
    .into_iter()
    .fold(routes, |routes, noun| noun(routes))
}

type Shared = State<Arc<Hub>>;
/// What is answered to an act that has nothing to tell.
type Done = Result<StatusCode>;

const NOTHING_MORE: StatusCode = StatusCode::NO_CONTENT;

const fn action(action: Action) -> Access {
    Access::Action(action)
}
