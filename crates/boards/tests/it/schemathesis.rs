//! The fleet's operations as a tester sees them who knows nothing but their description, on a small farm: with places to
//! have, to book and to take out of service, so that more than refusals is tried.

use std::time::Duration;

use anyhow::ensure;
use nave_boards::api::{BookRequest, ReserveRequest};
use nave_boards::hub::{Boards, bookings, wish};
use nave_core::api::EventFilter;
use nave_core::hub::event;
use nave_core::hub::fleet::Fleet as _;
use nave_core::hub::http::{Access, Routes};
use nave_testkit::hub::TestHub;
use nave_testkit::need;
use nave_testkit::schemathesis::{LONG, SHORT, Tester, socket_on_loopback};
use tokio_util::sync::DropGuard;

use crate::client::{OPEN, farm_and_fleet};
use crate::pages::exporter;

/// Who may do what is the business of the authorization table's test. And a description cannot say everything: which
/// times lie ahead, and which names of somebody's reservations are taken.
const SETTINGS: &str = r#"
[checks]
ignored_auth.enabled = false
object_level_authorization.enabled = false

[[operations]]
include-operation-id = "bookings_book"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "409"]

[[operations]]
include-operation-id = "bookings_change"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "409"]
"#;

/// What the description gives as examples is there: a place, and a booking.
async fn small_farm() -> anyhow::Result<(TestHub, Boards, Vec<DropGuard>)> {
    let (hub, boards) = farm_and_fleet(OPEN).await?;
    let mut exporters = Vec::new();
    for name in ["bench-1", "bench-2", "0"] {
        exporters.push(exporter(&hub, name).await?);
    }
    let operator = hub.operator();
    let wish =
        ReserveRequest { places: vec!["bench-1".to_owned()], seconds: 3600, ..ReserveRequest::default() };
    wish::reserve(&operator, hub.hub(), &boards, wish).await?;
    let booking = BookRequest {
        places: vec!["bench-2".to_owned()],
        parts: Vec::new(),
        name: "kernel-tests".to_owned(),
        starts_at: hub.hub().clock.now() + Duration::from_hours(24),
        seconds: 3600,
    };
    bookings::book(&operator, hub.hub(), &boards, booking).await?;
    Ok((hub, boards, exporters))
}

async fn operator_finds_nothing(arguments: &[&str]) -> anyhow::Result<()> {
    let (hub, boards, _exporters) = small_farm().await?;
    let url = format!("http://{}", socket_on_loopback(&hub).await?);
    let routes = boards.routes(Routes::default());
    let told = Tester::new(&url, &routes, SETTINGS, arguments)?.run().await?;
    ensure!(told.contains("No issues found"), "{told}");
    // Otherwise it would have tested nothing but refusals. It books nothing: no time that it makes up lies within a year.
    for (action, made_here) in
        [("lease.granted", 1), ("lease.ended", 0), ("place.closed", 0), ("place.opened", 0)]
    {
        let filter = EventFilter { action: Some(action.to_owned()), ..EventFilter::default() };
        let events = event::list(&hub.operator(), &hub.hub().store, &filter).await?;
        ensure!(events.len() > made_here, "nothing came of {action}: {events:?}\n{told}");
    }
    Ok(())
}

#[tokio::test]
async fn schemathesis_finds_no_answer_outside_the_description() -> anyhow::Result<()> {
    if !need("schemathesis") {
        return Ok(());
    }
    operator_finds_nothing(&SHORT).await
}

#[tokio::test]
async fn schemathesis_is_refused_everything_without_credentials() -> anyhow::Result<()> {
    if !need("schemathesis") {
        return Ok(());
    }
    let (hub, boards, _exporters) = small_farm().await?;
    let settings = "[checks]\n\
        negative_data_rejection.expected-statuses = [401]\n\
        positive_data_acceptance.expected-statuses = [401]\n";
    let checks = "negative_data_rejection,positive_data_acceptance,response_schema_conformance";
    let bounds = ["--phases", "fuzzing", "--max-examples", "8", "--generation-deterministic"];
    let arguments = [["--checks", checks].as_slice(), &bounds].concat();
    let routes = boards.routes(Routes::default());
    ensure!(
        routes
            .rows()
            .iter()
            .all(|row| !matches!(row.access, Access::Open) || !row.path.starts_with("/nave/"))
    );
    let tester = Tester::new(&format!("https://{}", hub.address()), &routes, settings, &arguments)?;
    tester.run().await.map(drop)
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn schemathesis_finds_nothing_in_long_runs() -> anyhow::Result<()> {
    if !need("schemathesis") {
        return Ok(());
    }
    operator_finds_nothing(&LONG).await
}
