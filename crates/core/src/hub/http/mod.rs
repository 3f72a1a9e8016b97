//! The native HTTP API and how any route is declared: with who may use it. What the routes do is the services'.

mod answer;
mod api;
pub mod cookie;
mod extract;
mod guard;
mod health;
mod input;
mod openapi;
mod provider;
mod routes;
mod upgrades;

pub use answer::{LatePage, failure, status_of};
pub(crate) use answer::{count, method_not_allowed, name_request, not_found};
pub use input::{Input, Path, Query};
pub use openapi::{Document, Operation, operation};
pub use routes::{Access, RouteRow, Routes};

use super::store::{Migration, MigrationSet};

/// The core's own routes.
pub fn core_routes() -> Routes {
    super::metrics::routes(provider::routes(upgrades::routes(api::routes(health::routes(Routes::default())))))
}

/// The core's own tables.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    name: "core",
    tables: &[
        "people",
        "person_roles",
        "recovery_codes",
        "person_links",
        "sessions",
        "api_tokens",
        "access_requests",
        "person_identities",
        "nodes",
        "node_roles",
        "invites",
        "grants",
        "node_keys",
        "access_key_names",
        "device_requests",
        "events",
        "data_keys",
        "mails",
        "lease_pools",
        "leases",
        "signing_keys",
        "program_sign_ins",
        "program_secrets",
        "lease_bookings",
        "tasks",
    ],
    migrations: &[
        Migration {
            version: 1,
            name: "ground floor",
            sqlite: include_str!("../../../migrations/sqlite/0001_ground_floor.sql"),
            postgres: include_str!("../../../migrations/postgres/0001_ground_floor.sql"),
        },
        on_both(2, "people", include_str!("../../../migrations/both/0002_people.sql")),
        on_both(3, "mail", include_str!("../../../migrations/both/0003_mail.sql")),
        on_both(4, "leases", include_str!("../../../migrations/both/0004_leases.sql")),
        on_both(5, "events by action", include_str!("../../../migrations/both/0005_events_by_action.sql")),
        on_both(
            6,
            "leases on their own",
            include_str!("../../../migrations/both/0006_leases_on_their_own.sql"),
        ),
        on_both(7, "programs", include_str!("../../../migrations/both/0007_programs.sql")),
        on_both(8, "leases asked at", include_str!("../../../migrations/both/0008_leases_asked_at.sql")),
        on_both(9, "bookings", include_str!("../../../migrations/both/0009_bookings.sql")),
        on_both(10, "access key names", include_str!("../../../migrations/both/0010_access_key_names.sql")),
        on_both(11, "tasks", include_str!("../../../migrations/both/0011_tasks.sql")),
    ],
};

/// A step whose text both engines take.
const fn on_both(version: u32, name: &'static str, sql: &'static str) -> Migration {
    Migration { version, name, sqlite: sql, postgres: sql }
}
