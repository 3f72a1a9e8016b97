//! How long and how much a peer may ask of the hub's doors. What a single route allows is the route's own business.

use std::time::Duration;

/// The limits of all listeners together. Every one of them is a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the accepted connection to the end of its TLS handshake, the PROXY header included.
    pub handshake: Duration,
    /// From the first byte of a request's header (for a connection's first request: from the end of the
    /// handshake) to its last.
    pub header: Duration,
    /// Between two requests of one connection. Connections that were upgraded are exempt.
    pub idle: Duration,
    /// Between two pieces of a request's body, over HTTP/1.1 (over HTTP/2 the peer must answer pings instead).
    pub body_stall: Duration,
    /// How long a connection without a request in flight may take to close once it is asked to, or, in a hub that
    /// stops, to send its first request.
    pub drain: Duration,
    /// Open connections of one IPv4 address, or of one IPv6 network of 64 bits.
    pub connections_per_address: usize,
    /// Open connections altogether.
    pub connections: usize,
    /// Octets of a request's header, its first line included.
    pub header_size: usize,
    /// Octets of a request's body that an extractor reads into memory; a route may set its own with
    /// [`axum::extract::DefaultBodyLimit`].
    pub body_size: usize,
    /// Requests at a time on one HTTP/2 connection.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body_stall: Duration::from_secs(30),
            drain: Duration::from_secs(2),
            connections_per_address: 1024,
            connections: 10_000,
            header_size: 32 * 1024,
            body_size: 2 * 1024 * 1024,
            streams: 128,
        }
    }
}
