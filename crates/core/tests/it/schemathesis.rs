//! The API as a tester sees it who knows nothing but its description: schemathesis makes requests from it, good ones
//! and bad ones, and compares the answers with what is described.

use std::process::Stdio;

use anyhow::Context as _;
use nave_core::api::Role;
use nave_core::hub::config::HubConfig;
use nave_core::hub::http::{Access, core_routes};
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::need;
use nave_testkit::node::TestNode;
use nave_testkit::person::TestPerson;
use nave_testkit::postgres::Postgres;
use tempfile::TempDir;
use tokio::process::Command;

/// One run of the tester against a hub.
struct Tester {
    command: Command,
    folder: TempDir,
}

impl Tester {
    /// A tester that sends what the description allows and what it does not, the same in every run.
    fn new(hub: &TestHub, config: &str) -> anyhow::Result<Self> {
        let python = need::python("schemathesis").context("schemathesis is not installed")?;
        let folder = tempfile::Builder::new().prefix("nave-schemathesis-").tempdir()?;
        let (settings, description) =
            (folder.path().join("settings.toml"), folder.path().join("openapi.json"));
        std::fs::write(&settings, config)?;
        std::fs::write(&description, core_routes().document().to_json()?)?;
        let mut command = Command::new(python.with_file_name("schemathesis"));
        command
            .arg("--config-file")
            .arg(&settings)
            .arg("run")
            .arg(&description)
            .args(["--url", &format!("https://{}", hub.address()), "--tls-verify", "false"])
            // Credentials are what a run gives; made-up ones lead to nothing but a pause for their address.
            .args(["--generation-with-security-parameters", "false"])
            .args(["--continue-on-failure", "--no-color", "--warnings", "off"])
            .current_dir(folder.path())
            .env("PYTHONWARNINGS", "ignore")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(Self { command, folder })
    }

    fn with(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Fails with all that the tester says if it finds anything.
    async fn run(mut self) -> anyhow::Result<()> {
        let told = self.command.output().await?;
        let (out, err) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
        anyhow::ensure!(told.status.success(), "schemathesis ended with {}:\n{out}\n{err}", told.status);
        anyhow::ensure!(out.contains("No issues found"), "schemathesis tested nothing:\n{out}\n{err}");
        self.folder.close().context("removing the tester's folder")
    }
}

/// A hub with somebody and something in it, and the headers by which its administrator's browser asks.
async fn hub_with_things(config: HubConfig) -> anyhow::Result<(TestHub, TestPerson, [String; 2])> {
    let hub = TestHub::with(TestHubSetup { config, ..TestHubSetup::default() }).await?;
    let ada = TestPerson::first_admin(&hub).await?;
    TestPerson::invite(&hub, "Grace", &[(Role::Viewer, "*")]).await?;
    TestNode::join(&hub, "lab", &[], &[]).await?;
    let headers = [format!("Cookie: {}", ada.cookie()), "Sec-Fetch-Site: same-origin".to_owned()];
    Ok((hub, ada, headers))
}

/// Every check but those that belong to other runs: who may do what is the business of the authorization table's test.
const EXCEPT: &str = "ignored_auth,object_level_authorization";

/// A description cannot say that only an invitation for one node may name it.
const SETTINGS: &str = r#"
[[operations]]
include-operation-id = "invites_invite"
checks.positive_data_acceptance.enabled = false
"#;

async fn finds_nothing(config: HubConfig, arguments: &[&str]) -> anyhow::Result<()> {
    let (hub, ada, [cookie, site]) = hub_with_things(config).await?;
    let tester = Tester::new(&hub, SETTINGS)?.with(&["--checks", "all", "--exclude-checks", EXCEPT]);
    tester.with(&["--header", &cookie, "--header", &site]).with(arguments).run().await?;
    // Otherwise the later half of the run would have tested nothing but refusals.
    ada.op(&hub).await.context("the tester ended its own session")?;
    Ok(())
}

#[tokio::test]
async fn schemathesis_finds_no_answer_outside_the_description() -> anyhow::Result<()> {
    if !need("schemathesis") {
        return Ok(());
    }
    let bounds = ["--phases", "coverage,fuzzing", "--max-examples", "8", "--generation-deterministic"];
    finds_nothing(HubConfig::default(), &bounds).await
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
    let (routes, document) = (core_routes(), core_routes().document());
    let open = routes.rows().iter().filter(|row| row.access == Access::Open);
    let mut tester = Tester::new(&hub, settings)?.with(&[
        "--checks",
        "negative_data_rejection,positive_data_acceptance,response_schema_conformance",
        "--phases",
        "coverage,fuzzing",
        "--max-examples",
        "2",
        "--generation-deterministic",
    ]);
    for row in open {
        let item = document.paths.paths.get(&row.path);
        let operation = item.and_then(|item| {
            if row.method == http::Method::GET { item.get.as_ref() } else { item.post.as_ref() }
        });
        if let Some(id) = operation.and_then(|operation| operation.operation_id.as_deref()) {
            tester = tester.with(&["--exclude-operation-id", id]);
        }
    }
    tester.run().await
}

/// A seed of its own in every run: a failure tells which.
const LONG: [&str; 4] = ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "100"];

#[tokio::test]
#[ignore = "takes minutes"]
async fn schemathesis_finds_nothing_in_long_runs() -> anyhow::Result<()> {
    if !need("schemathesis") {
        return Ok(());
    }
    finds_nothing(HubConfig::default(), &LONG).await
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn schemathesis_finds_nothing_in_long_runs_on_postgres() -> anyhow::Result<()> {
    if !need("schemathesis") || !need("postgres") {
        return Ok(());
    }
    let database = Some(Postgres::shared()?.database()?);
    finds_nothing(HubConfig { database, ..HubConfig::default() }, &LONG).await
}
