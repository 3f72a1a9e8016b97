//! What hub, nodes and the command line agree on: the shapes of `/nave/v1`, one file a noun. Times are RFC 3339 in UTC.

mod access_requests;
mod devices;
mod error;
mod events;
mod grants;
mod hub;
mod invites;
mod keys;
mod mails;
mod nodes;
mod people;
mod sessions;
mod streams;
mod tasks;
mod tokens;

pub use access_requests::*;
pub use devices::*;
pub use error::*;
pub use events::*;
pub use grants::*;
pub use hub::*;
pub use invites::*;
pub use keys::*;
pub use mails::*;
pub use nodes::*;
pub use people::*;
pub use sessions::*;
pub use streams::*;
pub use tasks::*;
pub use tokens::*;
