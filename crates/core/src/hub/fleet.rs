//! The seam between the core and the fleets: what a fleet brings, and what it hears.

use std::net::IpAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use nave_link::address::Target;

use super::access::Action;
use super::context::Hub;
use super::error::Result;
use super::http::Routes;
use super::job::Job;
use super::leases::PoolKind;
use super::op::{Client, Op};
use super::people::idp::Program;
use super::store::MigrationSet;
use super::tasks::TaskKind;
use crate::api::Check;
use crate::id::NodeId;

/// What happened to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeHappening {
    /// It is connected: its link stands, or a dialect says so.
    Joined(NodeId),
    /// It is connected no longer.
    Lost(NodeId),
    /// It is a member no longer.
    Revoked(NodeId),
}

/// A number that goes up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Its whole name.
    pub name: &'static str,
    /// For people.
    pub help: &'static str,
    /// The number now.
    pub value: usize,
}

/// A fleet: one way to put nodes to work.
pub trait Fleet: Send + Sync {
    /// Its name, which is also the prefix of its tables and actions.
    fn name(&self) -> &'static str;

    /// Its tables.
    fn migrations(&self) -> MigrationSet;

    /// Its tables of bulk data ([`Hub::bulk`]): what is written a lot and can be missed.
    fn bulk_migrations(&self) -> MigrationSet;

    /// Reads what it needs to know before anybody comes in.
    fn begin(&self, hub: Arc<Hub>) -> BoxFuture<'static, Result<()>>;

    /// What can be done in it.
    fn actions(&self) -> &'static [Action];

    /// The pools that it leases from.
    fn pools(&self) -> Vec<PoolKind>;

    /// The kinds of tasks that it puts.
    fn tasks(&self) -> Vec<TaskKind>;

    /// Its routes, added to those given.
    fn routes(&self, routes: Routes) -> Routes;

    /// Its work in the background.
    fn jobs(&self) -> Vec<Job>;

    /// What it counts, for `/metrics`.
    fn measures(&self, hub: &Hub) -> Vec<Measure>;

    /// Whether whoever is there may see what this fleet counts, without the rest.
    fn shows_measures_to(&self, source: IpAddr) -> bool;

    /// What an operator should know about its settings, for `nave status`.
    fn checks(&self) -> Vec<Check>;

    /// Whether what somebody holds in this fleet lets it open a target on a node. When that ends, the fleet has the streams
    /// to it looked at again ([`super::streams::Streams::recheck_to`]).
    fn lets_open(&self, hub: &Hub, op: &Op, node: NodeId, target: &Target) -> bool;

    /// The program into which people can sign in with their account here, if the configuration lets them.
    fn program(&self) -> Option<Program>;

    /// Who shows this secret as a bearer token, if it is one that the fleet gave out.
    fn knows(&self, secret: &str) -> Option<Client>;

    /// From where its program waits for the answer to a sign-in, by the state that it chose for it.
    fn waits_for(&self, state: &str) -> Option<IpAddr>;

    /// Whether what somebody holds in this fleet lets it have the bytes of a target on a node end in the hub itself, which
    /// then reads them on its behalf ([`super::streams::here`]). Whoever is behind the target must have allowed it by name.
    fn lets_end_here(&self, hub: &Hub, op: &Op, node: NodeId, target: &Target) -> bool;

    /// Hears what happened to a node; in order for each node. Must not wait for a node to come or to go.
    fn hear(&self, hub: Arc<Hub>, happening: NodeHappening) -> BoxFuture<'static, ()>;
}
