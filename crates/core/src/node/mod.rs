//! The node's half: its folder, its link to the hub, the streams that begin and end on it. It needs neither a
//! database nor a web server.

mod allow;
mod attach;
mod dialer;
mod folder;
mod forward;
mod join;
mod login;
mod offers;
mod peers;
mod runtime;
mod socket;

pub use allow::AllowRule;
pub use attach::{Attached, attach};
pub use dialer::{Dialer, ForwardError, OpenStream};
pub use folder::{FolderError, Membership, NodeFolder};
pub use forward::Forward;
pub use join::{Invitation, JoinError, JoinRequest, Joined, join};
pub use login::{Login, LoginError, person_folder};
pub use offers::Lent;
pub use peers::Peers;
pub use runtime::{Happening, NodeRuntime, RunError};
