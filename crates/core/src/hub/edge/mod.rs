//! The hub's doors: listeners that turn sockets into requests on one router, within limits. What a request means,
//! and where certificates come from, is not known here.
//!
//! A connection passes, in this order: the caps of [`Limits`], the PROXY header where its source is a listed
//! balancer's, the TLS handshake with its listener's identity, and then HTTP/1.1 or HTTP/2 as agreed by ALPN. Its
//! requests carry the extensions [`Connection`] (or [`LocalPeer`], on the hub's own socket) and
//! [`crate::id::RequestId`].

mod activity;
mod connection;
mod first_bytes;
mod gate;
mod http;
mod identities;
mod inherited;
mod io;
mod limits;
mod listener;
pub mod local;
mod plain;
pub mod proxy;
mod quiet;
mod server;
mod shutdown;
#[cfg(test)]
mod tests;

pub use connection::{Connection, ConnectionId, LocalPeer, TlsVersion};
pub use first_bytes::{FirstBytes, classify};
pub use http::REQUEST_ID;
pub use identities::Identities;
pub use inherited::Inherited;
pub use io::{HubIo, upgraded};
pub use ipnet::IpNet;
pub use limits::Limits;
pub use listener::{Address, AddressError, BindError, Bound, ListenerConfig, bind};
pub use server::{Server, UnknownIdentity};
pub use shutdown::Shutdown;
