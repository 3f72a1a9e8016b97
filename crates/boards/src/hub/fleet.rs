//! What the core asks of a fleet: routes, pools, measures, checks.

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
use nave_core::hub::leases::{Holder, PoolKind};
use nave_core::hub::op::{Client, Op};
use nave_core::hub::people::idp::Program;
use nave_core::hub::store::MigrationSet;
use nave_core::hub::tasks::TaskKind;
use nave_core::id::NodeId;
use nave_link::address::Target;

use super::dialect::not_my_board::{self, Auth, PROGRAM};
use super::places::Place;
use super::{Boards, MANAGE, NAME, READ, REGISTER, RESERVE, maintenance, native};

impl Boards {
    /// Whether people and machines of this hub sign in to not-my-board.
    fn lets_people_in(&self) -> bool {
        self.config().not_my_board.enabled && self.0.auth.as_ref().is_some_and(Auth::lets_people_in)
    }
}

impl Fleet for Boards {
    fn name(&self) -> &'static str {
        NAME
    }

    fn migrations(&self) -> MigrationSet {
        maintenance::MIGRATIONS
    }

    fn bulk_migrations(&self) -> MigrationSet {
        MigrationSet::none(NAME)
    }

    fn begin(&self, hub: Arc<Hub>) -> BoxFuture<'static, Result<()>> {
        let boards = self.clone();
        async move { maintenance::begin(&hub.op("boards.begin"), &hub, &boards).await }.boxed()
    }

    fn pools(&self) -> Vec<PoolKind> {
        let (grace, patience) = (self.config().grace.0, self.config().several_patience.0);
        vec![PoolKind { name: NAME, noun: "place", take: RESERVE, manage: MANAGE, grace, patience }]
    }

    fn actions(&self) -> &'static [Action] {
        &[READ, REGISTER, RESERVE, MANAGE]
    }

    fn tasks(&self) -> Vec<TaskKind> {
        Vec::new()
    }

    fn routes(&self, routes: Routes) -> Routes {
        native::routes(self, not_my_board::routes(self, routes))
    }

    fn jobs(&self) -> Vec<Job> {
        if !self.lets_people_in() {
            return Vec::new();
        }
        let boards = self.clone();
        // Whatever is told of a person, at once; what is told of nothing, within the minute.
        vec![Job::new("boards.look_again", Duration::from_mins(1), Some("person"), move |_| {
            let boards = boards.clone();
            async move {
                let count = boards.0.sessions.look_again().await?;
                Ok(format!("{count} connections of not-my-board"))
            }
        })]
    }

    fn measures(&self, hub: &Hub) -> Vec<Measure> {
        let Ok(pool) = Self::pool(hub) else { return Vec::new() };
        let held = pool.held();
        let reserved =
            held.iter().filter(|held| self.places().by_name(&held.lease.resource).is_some()).count();
        let measure = |name, help, value| Measure { name, help, value };
        // not-my-board's own names and words: dashboards look for them.
        vec![
            measure("not_my_board_places_registered", "Number of registered places", self.places().count()),
            measure("not_my_board_places_reserved", "Number of reserved places", reserved),
            measure(
                "not_my_board_reservation_queue_length",
                "Number of pending reservation requests",
                pool.queue_length(),
            ),
        ]
    }

    fn shows_measures_to(&self, source: IpAddr) -> bool {
        let config = &self.config().not_my_board;
        config.enabled && config.is_open_to(source)
    }

    fn checks(&self) -> Vec<Check> {
        let config = &self.config().not_my_board;
        if !config.enabled {
            return Vec::new();
        }
        let networks: Vec<String> = config.open_to.iter().map(ToString::to_string).collect();
        let (verdict, message) = if config.is_open_to_everyone() {
            let advice = "everybody who reaches the hub can reserve places: name your own networks in boards.not_my_board.open_to";
            (Verdict::Warn, format!("open to {}: {advice}", networks.join(", ")))
        } else {
            let sign_in = self.0.auth.as_ref().map(Auth::told);
            let open = (!networks.is_empty()).then(|| format!("open to {}", networks.join(", ")));
            let doors: Vec<String> = open.into_iter().chain(sign_in).collect();
            (Verdict::Pass, format!("{} places; {}", self.places().count(), doors.join("; ")))
        };
        vec![Check { name: "not-my-board".to_owned(), verdict, message }]
    }

    /// Whoever has a place may open what it offers.
    fn lets_open(&self, hub: &Hub, op: &Op, node: NodeId, target: &Target) -> bool {
        self.holds(hub, op, node, |place| place.offers(target))
    }

    /// Whoever has a place may use in the browser what its exporter lets end in the hub.
    fn lets_end_here(&self, hub: &Hub, op: &Op, node: NodeId, target: &Target) -> bool {
        self.holds(hub, op, node, |place| place.offers_terminal(target))
    }

    fn hear(&self, _: Arc<Hub>, happening: NodeHappening) -> BoxFuture<'static, ()> {
        if !matches!(happening, NodeHappening::Revoked(_)) {
            return std::future::ready(()).boxed();
        }
        let boards = self.clone();
        async move {
            if let Err(error) = boards.0.sessions.look_again().await {
                tracing::warn!(%error, "clients of not-my-board are not looked at again yet");
            }
        }
        .boxed()
    }

    fn program(&self) -> Option<Program> {
        self.lets_people_in().then_some(PROGRAM)
    }

    fn knows(&self, _: &str) -> Option<Client> {
        None
    }

    fn waits_for(&self, state: &str) -> Option<IpAddr> {
        self.0.logins.source(state)
    }
}

impl Boards {
    /// Whether somebody has a place of a node that is as wanted.
    fn holds(&self, hub: &Hub, op: &Op, node: NodeId, is_wanted: impl Fn(&Place) -> bool) -> bool {
        let Ok(pool) = Self::pool(hub) else { return false };
        let holder = Holder::of(op);
        self.places().all().iter().any(|place| {
            place.reach.node.as_ref().is_some_and(|(id, _)| *id == node)
                && is_wanted(place)
                && pool.holder_of(&place.name).is_some_and(|held| held.lease.holder.is(&holder))
        })
    }
}
