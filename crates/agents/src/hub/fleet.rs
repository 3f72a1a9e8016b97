//! What the core asks of a fleet: tables, routes, jobs, measures, checks.

use std::collections::BTreeSet;
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
use nave_core::hub::nodes;
use nave_core::hub::op::{Client, Op};
use nave_core::hub::people::idp::Program;
use nave_core::hub::store::MigrationSet;
use nave_core::hub::tasks::TaskKind;
use nave_core::id::NodeId;
use nave_link::address::Target;

use super::{
    Agents, MANAGE, NAME, OWN, READ, RUN, budgets, directory, files, hosts, keys, mail, native, pages,
    roster, runs, settings, wake,
};

impl Fleet for Agents {
    fn name(&self) -> &'static str {
        NAME
    }

    fn migrations(&self) -> MigrationSet {
        mail::MIGRATIONS
    }

    fn bulk_migrations(&self) -> MigrationSet {
        runs::LOGS
    }

    fn begin(&self, hub: Arc<Hub>) -> BoxFuture<'static, Result<()>> {
        let agents = self.clone();
        async move {
            settings::begin(&hub.op("agents.begin"), &hub).await?;
            read_all(&hub, &agents).await?;
            agents.live().listen(Arc::new(agents.links().clone()));
            if agents.config().naisys.enabled {
                agents.naisys().begin(&hub);
            }
            pages::listen(&hub, &agents);
            Ok(())
        }
        .boxed()
    }

    fn pools(&self) -> Vec<PoolKind> {
        Vec::new()
    }

    fn actions(&self) -> &'static [Action] {
        &[READ, RUN, MANAGE, OWN]
    }

    fn tasks(&self) -> Vec<TaskKind> {
        vec![wake::KIND]
    }

    fn routes(&self, routes: Routes) -> Routes {
        let routes = native::routes(self, routes);
        if self.config().naisys.enabled { self.naisys().routes(routes) } else { routes }
    }

    fn jobs(&self) -> Vec<Job> {
        let (wakes, reviews, heard, indexed) = (self.clone(), self.clone(), self.clone(), self.clone());
        vec![
            Job::new("agents.wake", Duration::from_secs(10), Some(wake::TOPIC), move |hub| {
                let agents = wakes.clone();
                async move {
                    let count = wake::wake(&hub.op("agents.wake"), &hub, &agents).await?;
                    Ok(format!("{count} agents were woken"))
                }
            }),
            Job::new("agents.heard_of", Duration::from_mins(1), None, move |hub| {
                let agents = heard.clone();
                async move {
                    let count = hosts::note_heard_of(&hub.op("agents.heard_of"), &hub, &agents).await?;
                    Ok(format!("{count} agents run"))
                }
            }),
            Job::new("agents.mail_index", Duration::from_secs(1), None, move |hub| {
                let agents = indexed.clone();
                async move {
                    let op = hub.op("agents.mail_index");
                    let count = mail::take_up(&op, &hub, &agents, mail::AT_ONCE).await?;
                    Ok(format!("{count} mails were taken up into the index of words"))
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
        let mut checks = Vec::new();
        if self.config().naisys.enabled {
            let message = format!("{} runners are connected; a key is their gate", self.naisys().count());
            checks.push(Check { name: "naisys".to_owned(), verdict: Verdict::Pass, message });
        }
        if self.word_index().is_behind() {
            let message = "the index of mails' words is being made: until that is done, searching does not find all of them. There is nothing to do";
            let (name, message) = ("mail index".to_owned(), message.to_owned());
            checks.push(Check { name, verdict: Verdict::Warn, message });
        }
        checks
    }

    fn lets_open(&self, _: &Hub, _: &Op, _: NodeId, _: &Target) -> bool {
        false
    }

    fn program(&self) -> Option<Program> {
        None
    }

    fn knows(&self, secret: &str) -> Option<Client> {
        keys::client(self, secret)
    }

    fn waits_for(&self, _: &str) -> Option<IpAddr> {
        None
    }

    fn lets_end_here(&self, _: &Hub, _: &Op, _: NodeId, _: &Target) -> bool {
        false
    }

    fn hear(&self, hub: Arc<Hub>, happening: NodeHappening) -> BoxFuture<'static, ()> {
        let NodeHappening::Revoked(node) = happening else { return std::future::ready(()).boxed() };
        let agents = self.clone();
        async move {
            if let Err(error) = roster::renew_keys(&hub.op("agents.revoked"), &hub, &agents, node).await {
                tracing::error!(%error, "agents keep the keys that a revoked host knows, until the hub is started anew");
            }
        }
        .boxed()
    }
}

/// Reads what the database has.
pub(super) async fn read_all(hub: &Arc<Hub>, agents: &Agents) -> Result<()> {
    let op = hub.op("agents.begin");
    let rows = directory::store::all(&mut hub.store.read().await?).await?;
    let nodes: BTreeSet<NodeId> = rows.hosts().filter_map(|host| host.node).collect();
    *agents.directory().write() = rows;
    for node in nodes {
        // Revoked, and the hub ended before the keys that it knows were others.
        if !nodes::still_member(hub, node).await? {
            roster::renew_keys(&op, hub, agents, node).await?;
        }
    }
    files::begin(&op, hub, agents).await?;
    mail::begin(&op, hub, agents).await?;
    runs::begin(&op, hub, agents).await?;
    budgets::review(&op, hub, agents).await?;
    Ok(())
}
