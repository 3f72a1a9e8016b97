//! Streams: byte pipes between two nodes.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// One stream under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stream {
    /// Its id.
    pub id: String,
    /// The node that opened it.
    pub from: String,
    /// The node it leads to.
    pub to: String,
    /// The service there.
    pub target: String,
    /// `opening`, `relayed` or `direct`.
    pub path: String,
    /// Bytes from the opener.
    pub sent: u64,
    /// Bytes to the opener.
    pub received: u64,
    /// When it was opened.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}
