//! not-my-board 0.13: its exporters, agents and command lines as they are. What they send and expect was recorded from
//! version 0.13.0; texts are part of it, since people read them on the other side.

mod address;
mod auth;
mod description;
mod import;
mod logins;
mod methods;
mod python;
mod routes;
mod session;

pub(in crate::hub) use self::auth::{Auth, PROGRAM};
pub use self::auth::{AuthTable, IssuerTable, Permission, Role};
pub use self::import::{Fate, Imported, Note, import};
pub(in crate::hub) use self::logins::Logins;
pub use self::methods::METHODS;
pub(in crate::hub) use self::routes::routes;
pub(in crate::hub) use self::session::Sessions;

use crate::not_my_board::message::{Incoming, Params};

/// Whether a message is a request, and one of its arguments the description of a place. Read as in a conversation, for who
/// tries what no message may break.
pub fn is_registration(message: &[u8]) -> bool {
    match Incoming::parse(message) {
        Incoming::Request { params: Params::List(list), .. } => {
            list.iter().any(|value| description::read(value).is_ok())
        }
        Incoming::Request { params: Params::Map(map), .. } => {
            map.values().any(|value| description::read(value).is_ok())
        }
        Incoming::Invalid(_) | Incoming::Answer { .. } | Incoming::Ignored(_) => false,
    }
}
