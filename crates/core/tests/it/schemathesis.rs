//! The API as a tester sees it who knows nothing but its description: schemathesis makes requests from it, good ones
//! and bad ones, and compares the answers with what is described.

use std::net::SocketAddr;
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
use tokio::net::{TcpListener, UnixStream};
use tokio::process::Command;

/// One run of the tester against a hub.
struct Tester {
    command: Command,
    folder: TempDir,
}

impl Tester {
    /// A tester that sends what the description allows and what it does not.
    fn new(url: &str, settings: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let python = need::python("schemathesis").context("schemathesis is not installed")?;
        let folder = tempfile::Builder::new().prefix("nave-schemathesis-").tempdir()?;
        let (file, description) = (folder.path().join("settings.toml"), folder.path().join("openapi.json"));
        std::fs::write(&file, settings)?;
        std::fs::write(&description, core_routes().document().to_json()?)?;
        let mut command = Command::new(python.with_file_name("schemathesis"));
        command
            .arg("--config-file")
            .arg(&file)
            .arg("run")
            .arg(&description)
            .args(["--url", url, "--tls-verify", "false"])
            // Credentials are what a run gives; made-up ones lead to nothing but a pause for their address.
            .args(["--generation-with-security-parameters", "false"])
            // The hub may close a connection that it has answered on without reading all of a body that it refused.
            .args(["--request-retries", "3"])
            .args(["--continue-on-failure", "--no-color", "--warnings", "off"])
            .args(arguments)
            .current_dir(folder.path())
            .env("PYTHONWARNINGS", "ignore")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(Self { command, folder })
    }

    /// Tests only the operations that `wanted` lets pass.
    fn only(mut self, wanted: impl Fn(Access) -> bool) -> Self {
        let (routes, document) = (core_routes(), core_routes().document());
        for row in routes.rows().iter().filter(|row| wanted(row.access)) {
            let Some(item) = document.paths.paths.get(&row.path) else { continue };
            let operation = match row.method.as_str() {
                "GET" => item.get.as_ref(),
                "POST" => item.post.as_ref(),
                "PATCH" => item.patch.as_ref(),
                _ => item.delete.as_ref(),
            };
            let id = operation.and_then(|operation| operation.operation_id.as_ref());
            self.command.arg("--include-operation-id").arg(id.expect("every operation has an id"));
        }
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

/// The same requests in every run.
const SHORT: [&str; 5] =
    ["--phases", "coverage,fuzzing", "--max-examples", "8", "--generation-deterministic"];
/// Other ones in every run: a failure tells the seed.
const LONG: [&str; 4] = ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "100"];

/// A hub with somebody and something in it.
async fn hub_with_things(config: HubConfig) -> anyhow::Result<(TestHub, TestPerson)> {
    let hub = TestHub::with(TestHubSetup { config, ..TestHubSetup::default() }).await?;
    let ada = TestPerson::first_admin(&hub).await?;
    TestPerson::invite(&hub, "Grace", &[(Role::Viewer, "*")]).await?;
    TestNode::join(&hub, "lab", &[], &[]).await?;
    Ok((hub, ada))
}

/// The hub's own socket as an address of loopback: the tester speaks TCP only.
async fn socket_on_loopback(hub: &TestHub) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, socket) = (listener.local_addr()?, hub.socket());
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut unix = UnixStream::connect(socket).await?;
                tokio::io::copy_bidirectional(&mut tcp, &mut unix).await
            });
        }
    });
    Ok(address)
}

/// The hub's operator may do everything, and has neither a session nor an account that the tester could end.
async fn operator_finds_nothing(config: HubConfig, arguments: &[&str]) -> anyhow::Result<()> {
    let (hub, _) = hub_with_things(config).await?;
    let url = format!("http://{}", socket_on_loopback(&hub).await?);
    Tester::new(&url, SETTINGS, arguments)?.run().await
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
    let tester = Tester::new(&format!("https://{}", hub.address()), SETTINGS, &arguments)?;
    tester.only(|access| matches!(access, Access::SignedIn | Access::Known | Access::Open)).run().await?;
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
    let tester = Tester::new(&format!("https://{}", hub.address()), settings, &arguments)?;
    tester.only(|access| !matches!(access, Access::Open)).run().await
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
