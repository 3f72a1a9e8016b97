//! Streams: byte pipes between two nodes, or from a node to the hub itself.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The way that a stream's bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum StreamPath {
    /// Its ends have not met yet.
    Opening,
    /// Through the hub.
    Relayed,
    /// From node to node.
    Direct,
    /// To the hub itself, which can read them.
    Hub,
}

impl std::fmt::Display for StreamPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Opening => "opening",
            Self::Relayed => "relayed",
            Self::Direct => "direct",
            Self::Hub => "hub",
        })
    }
}

/// One stream under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct Stream {
    /// Its id.
    #[cfg_attr(feature = "hub", schema(format = "uuid"))]
    pub id: String,
    /// The node that opened it; of one that ends in the hub, the person on whose behalf it does.
    pub from: String,
    /// The node it leads to.
    pub to: String,
    /// The service there.
    pub target: String,
    /// The way that its bytes go.
    pub path: StreamPath,
    /// Bytes from the opener.
    pub sent: u64,
    /// Bytes to the opener.
    pub received: u64,
    /// When it was opened.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}
