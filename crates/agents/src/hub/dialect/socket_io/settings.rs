//! What can be set, with the values that the original has where it has any.

use std::time::Duration;

/// A path that is served, and what can be joined there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The path, with its last slash.
    pub path: &'static str,
    /// The namespaces, each as clients write it.
    pub namespaces: &'static [&'static str],
}

/// The limits of a [`super::Server`]. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub endpoints: &'static [Endpoint],
    /// The longest message from a client, and the longest body of several; clients are told.
    pub longest_message: usize,
    /// As long as a client was not let in.
    pub longest_first_message: usize,
    /// How often a client is pinged.
    pub ping_every: Duration,
    /// How long after that it may stay silent.
    pub pong_within: Duration,
    /// From the WebSocket of an upgrade to its last word.
    pub upgrade_within: Duration,
    /// How long a connection may be in no namespace, and ask for none.
    pub join_within: Duration,
    /// How long the application may think about letting somebody in. Clients wait for as long as that.
    pub decide_within: Duration,
    /// How long a client may take to read what is written at once.
    pub write_within: Duration,
    /// How long the last words may take.
    pub goodbye: Duration,
    /// What may wait to be read by a client before more comes: the bytes, and the packets. A client with more is too slow, and
    /// its connection is closed. One packet may always be longer.
    pub backlog: (usize, usize),
    /// How many connections altogether.
    pub connections: usize,
    /// How many connections may wait to be let in, altogether and from one address (a network of 64 bits with IPv6).
    pub strangers: (usize, usize),
}

impl Settings {
    /// For messages of that length.
    pub fn new(endpoints: &'static [Endpoint], longest_message: usize) -> Self {
        Self {
            endpoints,
            longest_message,
            longest_first_message: longest_message.min(64 << 10),
            ping_every: Duration::from_secs(25),
            pong_within: Duration::from_secs(20),
            upgrade_within: Duration::from_secs(10),
            join_within: Duration::from_secs(10),
            decide_within: Duration::from_secs(45),
            write_within: Duration::from_secs(20),
            goodbye: Duration::from_secs(5),
            backlog: (8 << 20, 16 << 10),
            connections: 10_000,
            strangers: (2048, 512),
        }
    }
}
