//! A fleet that only counts: it proves the seam between the core and the fleets.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::api::Check;
use nave_core::hub::access::{self, Action, Roles};
use nave_core::hub::context::Hub;
use nave_core::hub::error::Result;
use nave_core::hub::fleet::{Fleet, Measure, NodeHappening};
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::job::Job;
use nave_core::hub::leases::PoolKind;
use nave_core::hub::op::Op;
use nave_core::hub::people::idp::Program;
use nave_core::hub::store::{Migration, MigrationSet};
use nave_core::id::NodeId;
use nave_link::address::Target;

/// Reading the count.
pub const COUNT: Action = Action::new("testfleet.count", Roles::ANY);
/// Taking one of its things.
pub const TAKE: Action = Action::new("testfleet.take", Roles::OPERATORS);
/// Taking it away from others.
pub const MANAGE: Action = Action::new("testfleet.manage", Roles::ADMINS);

/// Counts what happens to nodes, in its own table.
#[derive(Debug, Default)]
pub struct TestFleet {
    /// What it heard, in order.
    pub heard: Arc<Mutex<Vec<NodeHappening>>>,
    /// How long its leases outlive connections.
    pub grace: Duration,
}

mod store {
    //! The fleet's table.

    use nave_core::hub::error::Result;
    use nave_core::hub::store::{Act, Reader};

    pub(super) async fn add(act: &mut Act) -> Result<()> {
        sqlx::query("UPDATE testfleet_count SET heard = heard + 1").execute(act.connection()).await?;
        Ok(())
    }

    pub(super) async fn read(reader: &mut Reader) -> Result<i64> {
        Ok(sqlx::query_scalar("SELECT heard FROM testfleet_count").fetch_one(&mut **reader).await?)
    }
}

const TABLE: &str = "CREATE TABLE testfleet_count (id BIGINT PRIMARY KEY, heard BIGINT NOT NULL);
INSERT INTO testfleet_count (id, heard) VALUES (1, 0);";

impl Fleet for TestFleet {
    fn name(&self) -> &'static str {
        "testfleet"
    }

    fn migrations(&self) -> MigrationSet {
        MigrationSet {
            name: "testfleet",
            tables: &["testfleet_count"],
            migrations: &[Migration { version: 1, name: "count", sqlite: TABLE, postgres: TABLE }],
        }
    }

    fn pools(&self) -> Vec<PoolKind> {
        vec![PoolKind {
            name: "testfleet",
            noun: "thing",
            take: TAKE,
            manage: MANAGE,
            grace: self.grace,
            patience: Duration::from_hours(1),
        }]
    }

    fn begin(&self, _: Arc<Hub>) -> BoxFuture<'static, Result<()>> {
        std::future::ready(Ok(())).boxed()
    }

    fn actions(&self) -> &'static [Action] {
        &[COUNT, TAKE, MANAGE]
    }

    fn routes(&self, routes: Routes) -> Routes {
        routes.get("/nave/v1/testfleet/count", Access::Action(COUNT), count)
    }

    fn jobs(&self) -> Vec<Job> {
        vec![Job::new("testfleet.look", Duration::from_hours(1), Some("node"), |hub| async move {
            Ok(format!("{} nodes connected", hub.presence.count()))
        })]
    }

    fn measures(&self, hub: &Hub) -> Vec<Measure> {
        let held = hub.leases.pool("testfleet").map_or(0, |pool| pool.held().len());
        vec![Measure { name: "testfleet_held", help: "Things that somebody has", value: held }]
    }

    fn shows_measures_to(&self, _: IpAddr) -> bool {
        false
    }

    fn checks(&self) -> Vec<Check> {
        Vec::new()
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

    fn hear(&self, hub: Arc<Hub>, happening: NodeHappening) -> BoxFuture<'static, ()> {
        let heard = Arc::clone(&self.heard);
        async move {
            let written = async {
                let mut act = hub.store.begin().await?;
                store::add(&mut act).await?;
                act.commit().await
            };
            if written.await.is_ok() {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(happening);
            }
        }
        .boxed()
    }
}

async fn count(op: Op, State(hub): State<Arc<Hub>>) -> Result<Json<i64>> {
    access::require(&op, COUNT)?;
    let mut reader = hub.store.read().await?;
    store::read(&mut reader).await.map(Json)
}
