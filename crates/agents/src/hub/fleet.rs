//! What the core asks of a fleet: tables, routes, jobs, measures, checks.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

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
use nave_core::id::NodeId;
use nave_link::address::Target;

use super::{
    Agents, MANAGE, NAME, READ, RUN, budgets, directory, dispatch, files, mail, native, pages, runs, settings,
};

impl Fleet for Agents {
    fn name(&self) -> &'static str {
        NAME
    }

    fn migrations(&self) -> MigrationSet {
        mail::MIGRATIONS
    }

    fn begin(&self, hub: Arc<Hub>) -> BoxFuture<'static, Result<()>> {
        let agents = self.clone();
        async move {
            let op = hub.op("agents.begin");
            *agents.directory().write() = directory::store::all(&mut hub.store.read().await?).await?;
            settings::begin(&op, &hub).await?;
            files::begin(&op, &hub, &agents).await?;
            mail::begin(&op, &hub, &agents).await?;
            runs::begin(&op, &hub, &agents).await?;
            budgets::review(&op, &hub, &agents).await?;
            pages::listen(&hub, &agents);
            Ok(())
        }
        .boxed()
    }

    fn pools(&self) -> Vec<PoolKind> {
        Vec::new()
    }

    fn actions(&self) -> &'static [Action] {
        &[READ, RUN, MANAGE]
    }

    fn routes(&self, routes: Routes) -> Routes {
        native::routes(self, routes)
    }

    fn jobs(&self) -> Vec<Job> {
        let (wakes, reviews) = (self.clone(), self.clone());
        vec![
            Job::new("agents.wake", Duration::from_secs(10), Some(dispatch::WAKE), move |hub| {
                let agents = wakes.clone();
                async move {
                    let count = dispatch::wake(&hub.op("agents.wake"), &hub, &agents).await?;
                    Ok(format!("{count} agents were woken"))
                }
            }),
            Job::new("agents.budgets", Duration::from_secs(10), None, move |hub| {
                let agents = reviews.clone();
                async move {
                    let count = budgets::review(&hub.op("agents.budgets"), &hub, &agents).await?;
                    Ok(format!("{count} budgets changed"))
                }
            }),
        ]
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
