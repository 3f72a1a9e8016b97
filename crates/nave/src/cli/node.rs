//! `nave node …`: this machine as a node, and the hub's nodes.

use std::net::SocketAddr;

use clap::Subcommand;
use nave_core::hub::config::Period;
use nave_core::node::AllowRule;
use nave_link::key::PublicKey;

#[derive(Debug, Subcommand)]
pub enum Node {
    /// Make an access key for one node (or a new one, if it has one)
    Add {
        /// The node's name
        name: String,
        /// A role of the node (repeatable)
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// Let its earlier keys in for this long
        #[arg(long, value_name = "PERIOD", default_value = "0s")]
        grace: Period,
        /// Print the key as 64 hex characters, for programs that know no fingerprint
        #[arg(long)]
        plain: bool,
    },
    /// List the nodes
    List {
        /// Those that are gone or only invited too
        #[arg(long)]
        all: bool,
    },
    /// Show one node; on the node's own machine, without a name, the node itself
    Show {
        /// The node's name
        name: Option<String>,
    },
    /// Let a node in that waits
    Approve {
        /// The node's name
        name: String,
    },
    /// Rename a node
    Rename {
        /// The node's name
        name: String,
        /// Its new name
        new: String,
    },
    /// Give a node all its roles anew
    Roles {
        /// The node's name
        name: String,
        /// Its roles from now on
        roles: Vec<String>,
    },
    /// Label a node; without labels, take them off
    Label {
        /// The node's name
        name: String,
        /// Its labels from now on
        #[arg(value_name = "KEY=VALUE")]
        labels: Vec<String>,
    },
    /// Give a node a right, or take it
    Grant {
        /// The node's name
        name: String,
        /// What it may do: open
        action: String,
        /// Where: NODE, NODE:[HOST:]PORT, or * for everything
        scope: String,
        /// Take the right instead of giving it
        #[arg(long)]
        remove: bool,
    },
    /// Let another machine use a name under the shared access key
    ///
    /// Under that key a name belongs to the address that used it first. The next that comes with the name has it.
    Release {
        /// The node's name, or what its program calls it
        name: String,
    },
    /// End a node's membership: its connection and its streams end at once
    Revoke {
        /// The node's name
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Accept another key for a node that this machine has met before
    Trust {
        /// The other node's name
        name: String,
        /// Its key, as `nave node show` prints it on that node
        // One key in 64 begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        key: PublicKey,
    },
    /// Run this machine's node again
    Run {
        /// Let others open this service from now on, instead of what was allowed before (repeatable)
        #[arg(long, value_name = "HOST:PORT")]
        allow: Vec<AllowRule>,
        /// Also listen here for streams that do not pass the hub, from now on
        #[arg(long, value_name = "ADDR:PORT")]
        direct: Option<SocketAddr>,
    },
}
