//! What the layer asks of whoever uses it: whom to let in, what to do with what they say.

use std::net::IpAddr;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::request::Transport;
use super::socket::{Ack, Socket};

/// Lets sockets in and hears them.
///
/// The calls for one socket never overlap: [`connect`](Self::connect) once, and if that lets it in,
/// [`event`](Self::event) for each event in the order that they came, then [`gone`](Self::gone) once. No call is ever
/// cancelled. While a call takes its time, what the client says waits, first in a queue of the hub (as long as the longest
/// message), then with the client. Answers to [`Socket::request`] wait in the same line once that queue is full: who asks
/// a socket from within a call for that same socket must do so in a task of its own.
pub trait Application: Send + Sync + 'static {
    /// What it knows of a socket that it let in.
    type Session: Send + Sync + 'static;

    /// Decides about somebody who wants to join a namespace. Clients wait for it, and the connection is closed after
    /// [`Settings::decide_within`](super::Settings::decide_within). The socket can be used from here on: what it is
    /// given is sent after the client was told that it is let in, and never if it is not.
    fn connect(&self, asking: Asking) -> impl Future<Output = Verdict<Self::Session>> + Send;

    /// Something that a client says.
    fn event(&self, session: &Self::Session, event: Event) -> impl Future<Output = ()> + Send;

    /// A socket has ended. What it said before that has been heard, unless it was the application that ended it.
    fn gone(&self, session: Self::Session, why: Gone) -> impl Future<Output = ()> + Send;
}

/// Who wants to join.
#[derive(Debug)]
pub struct Asking {
    /// Its socket.
    pub socket: Socket,
    /// The address that it comes from.
    pub source: IpAddr,
    /// The path that it came by, as in [`Endpoint`](super::Endpoint).
    pub path: &'static str,
    /// The namespace, as in [`Endpoint`](super::Endpoint).
    pub namespace: &'static str,
    /// What it shows.
    pub auth: Map<String, Value>,
    /// How its packets travel at the moment.
    pub transport: Transport,
}

/// What is decided.
#[derive(Debug)]
pub enum Verdict<S> {
    /// It is let in.
    Accept(S),
    /// It is refused and told why (`CONNECT_ERROR`), which clients take as final.
    Refuse {
        /// For people.
        message: String,
        /// For programs.
        data: Option<Value>,
    },
    /// Its connection is closed without a word, so that it comes back after a while.
    Close,
}

/// Something that a client says.
#[derive(Debug)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// What it carries: the first of its arguments. JSON that nobody has looked into.
    pub payload: Option<Box<RawValue>>,
    /// Where an answer is wanted: dropped, it answers that there is none.
    pub ack: Option<Ack>,
}

/// Why a socket has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The client said that it leaves.
    Left,
    /// Its connection ended.
    Lost,
    /// It did not answer a ping.
    Silent,
    /// It asked for nothing for too long, or the application did not decide in time.
    Late,
    /// It sent what is no packet, or too much at once.
    Misbehaved,
    /// It did not read what it was sent.
    Slow,
    /// The application closed its connection.
    Closed,
    /// The application put it out of the namespace.
    Disconnected,
    /// The hub stops.
    Stopping,
}

impl Gone {
    /// Whether what it said before is still heard: not where the application has had enough of it.
    pub(super) fn is_heard_out(self) -> bool {
        !matches!(self, Self::Closed | Self::Disconnected)
    }
}
