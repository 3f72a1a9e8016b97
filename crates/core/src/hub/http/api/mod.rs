//! `/nave/v1`: the native API, one file a noun. Each handler reads its input, calls one service and answers; what it
//! says about itself is its part of the API's description.

mod access_requests;
mod devices;
mod events;
mod grants;
mod hub;
mod identity;
mod invites;
mod keys;
mod mails;
mod nodes;
mod people;
mod sessions;
mod streams;
mod tasks;
mod tokens;

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use super::routes::{Access, Routes};
use crate::hub::access::Action;
use crate::hub::context::Hub;
use crate::hub::error::Result;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .noun("hub", "What the hub is and how it is.", hub::routes)
        .noun("identity", "The hub proves its key to whoever does not know it yet.", identity::routes)
        .noun("nodes", "Machines that joined, or were invited to.", nodes::routes)
        .noun("invites", "How nodes come in.", invites::routes)
        .noun("grants", "Who may open what, where.", grants::routes)
        .noun("streams", "Byte pipes between two nodes.", streams::routes)
        .noun("tasks", "Durable pieces of work for nodes.", tasks::routes)
        .noun("events", "The audit log: who did what, to what, from where, when.", events::routes)
        .noun("keys", "Access keys, for clients that know no other way; and the master key.", keys::routes)
        .noun("mails", "What the hub mailed, and what became of it.", mails::routes)
        .noun("people", "Accounts, with roles in scopes.", people::routes)
        .noun("sessions", "Who is signed in in which browser.", sessions::routes)
        .noun("tokens", "API tokens: by them programs act for a person.", tokens::routes)
        .noun("devices", "Command lines that act for a person.", devices::routes)
        .noun("access-requests", "Who asks to be let in.", access_requests::routes)
}

type Shared = State<Arc<Hub>>;
/// What is answered to an act that has nothing to tell.
type Done = Result<StatusCode>;

const NOTHING_MORE: StatusCode = StatusCode::NO_CONTENT;

const fn action(action: Action) -> Access {
    Access::Action(action)
}
