//! Socket.IO 5 over Engine.IO 4, as a server for an application: connections by polling and WebSocket, namespaces, events, and
//! answers in both directions. What the events mean is the application's. Not served: binary packets, the recovery of a
//! connection's state, WebTransport, and requests from other origins of a browser.
//!
//! A [`Server`] is made of an [`Application`] and [`Settings`], and gives its routes to the hub's. Every socket that wants to
//! join is brought to [`Application::connect`]; who is let in is spoken to by its [`Socket`].

mod application;
mod connection;
mod engine;
mod namespaces;
mod packet;
mod polling;
mod request;
mod server;
mod settings;
mod socket;
mod strangers;
mod websocket;

pub use application::{Application, Asking, Event, Gone, Verdict};
pub use request::Transport;
pub use server::{Counts, Server};
pub use settings::{Endpoint, Settings};
pub use socket::{Ack, Lost, Prepared, Socket};

/// Whether bytes are a packet, of either layer, from a client.
pub fn is_packet(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match engine::FromClient::parse(text) {
        Ok(engine::FromClient::Message(message)) => packet::Packet::parse(message).is_ok(),
        parsed => parsed.is_ok(),
    }
}
