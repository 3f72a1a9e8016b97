//! What the core asks of a fleet: tables, routes, jobs, measures, checks.

use std::net::IpAddr;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::api::{Check, Verdict};
use nave_core::hub::access::Action;
use nave_core::hub::context::Hub;
use nave_core::hub::error::Result;
use nave_core::hub::fleet::{Fleet, Measure, NodeHappening};
use nave_core::hub::http::Routes;
use nave_core::hub::job::Job;
use nave_core::hub::leases::PoolKind;
use nave_core::hub::op::Op;
use nave_core::hub::people::idp::Program;
use nave_core::hub::store::MigrationSet;
use nave_core::hub::tasks::TaskKind;
use nave_core::id::NodeId;
use nave_link::address::Target;

use super::{Agents, MANAGE, NAME, READ, RUN};

impl Fleet for Agents {
    fn name(&self) -> &'static str {
        NAME
    }

    fn migrations(&self) -> MigrationSet {
        MigrationSet { name: NAME, tables: &[], migrations: &[] }
    }

    fn bulk_migrations(&self) -> MigrationSet {
        MigrationSet::none(NAME)
    }

    fn begin(&self, _: Arc<Hub>) -> BoxFuture<'static, Result<()>> {
        std::future::ready(Ok(())).boxed()
    }

    fn pools(&self) -> Vec<PoolKind> {
        Vec::new()
    }

    fn actions(&self) -> &'static [Action] {
        &[READ, RUN, MANAGE]
    }

    fn tasks(&self) -> Vec<TaskKind> {
        Vec::new()
    }

    fn routes(&self, routes: Routes) -> Routes {
        routes
    }

    fn jobs(&self) -> Vec<Job> {
        Vec::new()
    }

    fn measures(&self, _: &Hub) -> Vec<Measure> {
        Vec::new()
    }

    fn shows_measures_to(&self, _: IpAddr) -> bool {
        false
    }

    fn checks(&self) -> Vec<Check> {
        let config = &self.config().naisys;
        if !config.enabled {
            return Vec::new();
        }
        let message = "a key is the gate of NAISYS's runners".to_owned();
        vec![Check { name: "naisys".to_owned(), verdict: Verdict::Pass, message }]
    }

    fn lets_open(&self, _: &Hub, _: &Op, _: NodeId, _: &Target) -> bool {
        false
    }

    fn program(&self) -> Option<Program> {
        None
    }

    fn waits_for(&self, _: &str) -> Option<IpAddr> {
        None
    }

    fn lets_end_here(&self, _: &Hub, _: &Op, _: NodeId, _: &Target) -> bool {
        false
    }

    fn hear(&self, _: Arc<Hub>, _: NodeHappening) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}
