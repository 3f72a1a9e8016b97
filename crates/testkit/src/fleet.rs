//! A fleet that only counts: it proves the seam between the core and the fleets.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::api::{Check, NodeRole};
use nave_core::hub::access::{self, Action, NodeRoles, Roles};
use nave_core::hub::context::Hub;
use nave_core::hub::error::Result;
use nave_core::hub::fleet::{Fleet, Measure, NodeHappening};
use nave_core::hub::http::{Access, Routes};
use nave_core::hub::job::Job;
use nave_core::hub::leases::PoolKind;
use nave_core::hub::op::{Client, Op};
use nave_core::hub::people::idp::Program;
use nave_core::hub::store::{Migration, MigrationSet};
use nave_core::hub::tasks::{BackOff, TaskKind};
use nave_core::id::NodeId;
use nave_link::address::Target;

/// Reading the count.
pub const COUNT: Action = Action::new("testfleet.count", Roles::ANY);
/// Taking one of its things.
pub const TAKE: Action = Action::new("testfleet.take", Roles::OPERATORS);
/// Taking it away from others.
pub const MANAGE: Action = Action::new("testfleet.manage", Roles::ADMINS);

/// Doing its work.
pub const DO: Action = Action::new("testfleet.do", Roles::ADMINS).and_nodes(NodeRoles::of(&[NodeRole::Host]));
/// Its kind of task: three attempts of five minutes, with pauses of ten seconds and more, kept for a day.
pub const WORK: &str = "testfleet.work";

/// Counts what happens to nodes, in its own table.
#[derive(Debug, Default)]
pub struct TestFleet {
    /// What it heard, in order.
    pub heard: Arc<Mutex<Vec<NodeHappening>>>,
    /// How long its leases outlive connections.
    pub grace: Duration,
}

mod store {
    //! The fleet's tables.

    use nave_core::hub::error::Result;
    use nave_core::hub::store::{Act, Reader};

    pub(super) async fn add(act: &mut Act) -> Result<()> {
        let sql = "INSERT INTO testfleet_count (id, heard) VALUES (1, 1) \
             ON CONFLICT (id) DO UPDATE SET heard = testfleet_count.heard + 1";
        sqlx::query(sql).execute(act.connection()).await?;
        Ok(())
    }

    pub(super) async fn add_line(act: &mut Act, number: i64, line: &str) -> Result<()> {
        let insert = sqlx::query("INSERT INTO testfleet_lines (number, line) VALUES ($1, $2)");
        insert.bind(number).bind(line).execute(act.connection()).await?;
        Ok(())
    }

    pub(super) async fn lines(reader: &mut Reader) -> Result<i64> {
        Ok(sqlx::query_scalar("SELECT COUNT(*) FROM testfleet_lines").fetch_one(&mut **reader).await?)
    }

    pub(super) async fn read(reader: &mut Reader) -> Result<i64> {
        Ok(sqlx::query_scalar("SELECT COALESCE(MAX(heard), 0) FROM testfleet_count")
            .fetch_one(&mut **reader)
            .await?)
    }
}

const TABLE: &str = "CREATE TABLE testfleet_count (id BIGINT PRIMARY KEY, heard BIGINT NOT NULL);";

const LINES: &str = "CREATE TABLE testfleet_lines (number BIGINT PRIMARY KEY, line TEXT NOT NULL);";

impl TestFleet {
    /// Keeps a line in the bulk data.
    pub async fn write_line(hub: &Hub, number: i64, line: &str) -> Result<()> {
        let mut act = hub.bulk.begin().await?;
        store::add_line(&mut act, number, line).await?;
        act.commit().await
    }

    /// How many lines there are in the bulk data.
    pub async fn lines(hub: &Hub) -> Result<i64> {
        store::lines(&mut hub.bulk.read().await?).await
    }
}

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

    fn bulk_migrations(&self) -> MigrationSet {
        MigrationSet {
            name: "testfleet",
            tables: &["testfleet_lines"],
            migrations: &[Migration { version: 1, name: "lines", sqlite: LINES, postgres: LINES }],
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
        &[COUNT, TAKE, MANAGE, DO]
    }

    fn tasks(&self) -> Vec<TaskKind> {
        vec![TaskKind {
            name: WORK,
            put: TAKE,
            take: DO,
            time_limit: Duration::from_mins(5),
            attempts: 3,
            back_off: BackOff { first: Duration::from_secs(10), longest: Duration::from_mins(1) },
            keep: Duration::from_hours(24),
        }]
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

    fn knows(&self, _: &str) -> Option<Client> {
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
