//! The seam between the core and the fleets: what a fleet brings, and what it hears.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::access::Action;
use super::context::Hub;
use super::http::Routes;
use super::job::Job;
use super::store::MigrationSet;
use crate::id::NodeId;

/// What happened to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeHappening {
    /// Its link stands.
    Joined(NodeId),
    /// Its link ended.
    Lost(NodeId),
    /// It is a member no longer.
    Revoked(NodeId),
}

/// A fleet: one way to put nodes to work.
pub trait Fleet: Send + Sync {
    /// Its name, which is also the prefix of its tables and actions.
    fn name(&self) -> &'static str;

    /// Its tables.
    fn migrations(&self) -> MigrationSet;

    /// What can be done in it.
    fn actions(&self) -> &'static [Action];

    /// Its routes, added to those given.
    fn routes(&self, routes: Routes) -> Routes;

    /// Its work in the background.
    fn jobs(&self) -> Vec<Job>;

    /// Hears what happened to a node; in order for each node.
    fn hear(&self, hub: Arc<Hub>, happening: NodeHappening) -> BoxFuture<'static, ()>;
}
