//! The API as a tester sees it who knows nothing but its description: schemathesis makes requests from it, good ones
//! and bad ones, and compares the answers with what is described.

use anyhow::Context as _;
use nave_core::api::Role;
use nave_core::hub::config::HubConfig;
use nave_core::hub::http::{Access, core_routes};
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::need;
use nave_testkit::node::TestNode;
use nave_testkit::person::TestPerson;
use nave_testkit::postgres::Postgres;
use nave_testkit::schemathesis::{LONG, SHORT, Tester, socket_on_loopback};

/// What is not the business of these runs, who may do what, is that of the authorization table's test. And a description
/// cannot say everything: that only an invitation for one node may name it; what a host is; that a node which a grant
/// names must be there; that the hub's own socket has no TLS to prove a key on.
const SETTINGS: &str = r#"
[checks]
ignored_auth.enabled = false
object_level_authorization.enabled = false

[[operations]]
include-operation-id-regex = "^(invites_invite|grants_.+)$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "409"]
checks.ensure_resource_availability.enabled = false

[[operations]]
include-operation-id = "identity_prove"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400"]
"#;

/// A hub with somebody and something in it.
async fn hub_with_things(config: HubConfig) -> anyhow::Result<(TestHub, TestPerson)> {
    let hub = TestHub::with(TestHubSetup { config, ..TestHubSetup::default() }).await?;
    let ada = TestPerson::first_admin(&hub).await?;
    TestPerson::invite(&hub, "Grace", &[(Role::Viewer, "*")]).await?;
    TestNode::join(&hub, "lab", &[], &[]).await?;
    Ok((hub, ada))
}

/// The hub's operator may do everything, and has neither a session nor an account that the tester could end.
async fn operator_finds_nothing(config: HubConfig, arguments: &[&str]) -> anyhow::Result<()> {
    let (hub, _) = hub_with_things(config).await?;
    let url = format!("http://{}", socket_on_loopback(&hub).await?);
    Tester::new(&url, &core_routes(), SETTINGS, arguments)?.run().await.map(drop)
}

#[tokio::test]
async fn schemathesis_finds_no_answer_outside_the_description() -> anyhow::Result<()> {
    if !need("schemathesis") {
        return Ok(());
    }
    operator_finds_nothing(HubConfig::default(), &SHORT).await
}

#[tokio::test]
async fn schemathesis_finds_nothing_as_a_person() -> anyhow::Result<()> {
    if !need("schemathesis") {
        return Ok(());
    }
    let (hub, ada) = hub_with_things(HubConfig::default()).await?;
    let cookie = format!("Cookie: {}", ada.cookie());
    let headers = ["--header", &cookie, "--header", "Sec-Fetch-Site: same-origin"];
    let arguments = [headers.as_slice(), &SHORT].concat();
    let routes = core_routes();
    let tester = Tester::new(&format!("https://{}", hub.address()), &routes, SETTINGS, &arguments)?;
    let own = |access| matches!(access, Access::SignedIn | Access::Known | Access::Open);
    tester.only(&routes, |row| own(row.access))?.run().await?;
    // Otherwise it would have tested nothing but refusals.
    ada.op(&hub).await.context("the tester ended its own session")?;
    Ok(())
}

#[tokio::test]
async fn schemathesis_is_refused_everything_without_credentials() -> anyhow::Result<()> {
    if !need("schemathesis") {
        return Ok(());
    }
    let hub = TestHub::start().await?;
    let settings = "[checks]\n\
        negative_data_rejection.expected-statuses = [401]\n\
        positive_data_acceptance.expected-statuses = [401]\n";
    let checks = "negative_data_rejection,positive_data_acceptance,response_schema_conformance";
    let bounds = ["--phases", "fuzzing", "--max-examples", "8", "--generation-deterministic"];
    let arguments = [["--checks", checks].as_slice(), &bounds].concat();
    let routes = core_routes();
    let tester = Tester::new(&format!("https://{}", hub.address()), &routes, settings, &arguments)?;
    tester.only(&routes, |row| !matches!(row.access, Access::Open))?.run().await.map(drop)
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn schemathesis_finds_nothing_in_long_runs() -> anyhow::Result<()> {
    if !need("schemathesis") {
        return Ok(());
    }
    operator_finds_nothing(HubConfig::default(), &LONG).await
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn schemathesis_finds_nothing_in_long_runs_on_postgres() -> anyhow::Result<()> {
    if !need("schemathesis") || !need("postgres") {
        return Ok(());
    }
    let database = Some(Postgres::shared()?.database()?);
    operator_finds_nothing(HubConfig { database, ..HubConfig::default() }, &LONG).await
}
