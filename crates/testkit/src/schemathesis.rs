//! A tester of APIs from the Python registry that knows nothing but a description: schemathesis makes requests from it,
//! good ones and bad ones, and compares the answers with what is described. Which hub it is let loose on is the tests'.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::Context as _;
use nave_core::hub::http::{RouteRow, Routes};
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixStream};
use tokio::process::Command;

use crate::hub::TestHub;
use crate::need;

/// The same requests in every run.
pub const SHORT: [&str; 5] =
    ["--phases", "coverage,fuzzing", "--max-examples", "8", "--generation-deterministic"];
/// Other ones in every run: a failure tells the seed.
pub const LONG: [&str; 4] = ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "100"];

/// One run of the tester against a hub.
#[derive(Debug)]
pub struct Tester {
    command: Command,
    folder: TempDir,
}

impl Tester {
    /// A tester that sends what the description allows and what it does not.
    pub fn new(url: &str, routes: &Routes, settings: &str, arguments: &[&str]) -> anyhow::Result<Self> {
        let python = need::python("schemathesis").context("schemathesis is not installed")?;
        let folder = tempfile::Builder::new().prefix("nave-schemathesis-").tempdir()?;
        let (file, description) = (folder.path().join("settings.toml"), folder.path().join("openapi.json"));
        std::fs::write(&file, settings)?;
        std::fs::write(&description, routes.document().to_json()?)?;
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
    pub fn only(mut self, routes: &Routes, wanted: impl Fn(&RouteRow) -> bool) -> anyhow::Result<Self> {
        let document = routes.document();
        for row in routes.rows().iter().filter(|row| wanted(row)) {
            let Some(item) = document.paths.paths.get(&row.path) else { continue };
            let operation = match row.method.as_str() {
                "GET" => item.get.as_ref(),
                "POST" => item.post.as_ref(),
                "PATCH" => item.patch.as_ref(),
                "PUT" => item.put.as_ref(),
                _ => item.delete.as_ref(),
            };
            let id = operation.and_then(|operation| operation.operation_id.as_ref());
            self.command.arg("--include-operation-id").arg(id.context("every operation has an id")?);
        }
        Ok(self)
    }

    /// Fails with all that the tester says if it finds anything; gives what it says else.
    pub async fn run(mut self) -> anyhow::Result<String> {
        let told = self.command.output().await?;
        let (out, err) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
        anyhow::ensure!(told.status.success(), "schemathesis ended with {}:\n{out}\n{err}", told.status);
        anyhow::ensure!(out.contains("No issues found"), "schemathesis tested nothing:\n{out}\n{err}");
        self.folder.close().context("removing the tester's folder")?;
        Ok(out.into_owned())
    }
}

/// The hub's own socket as an address of loopback: the tester speaks TCP only.
pub async fn socket_on_loopback(hub: &TestHub) -> anyhow::Result<SocketAddr> {
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
