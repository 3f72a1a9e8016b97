//! A real provider of sign-in (the npm package oidc-provider) on loopback over HTTPS, and a browser that signs in there.
//! Needs `oidc`.

mod browser;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use nave_core::hub::people::oidc::OidcTable;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

pub use self::browser::{Browser, Page};

const SCRIPT: &str = include_str!("../node/oidc-provider.mjs");

/// A running provider. It ends with this value.
pub struct OidcProvider {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _process: Child,
    folder: TempDir,
    port: u16,
}

impl OidcProvider {
    /// Starts one that has the client `nave`, whose sign-ins come back to `redirect_uri`, and the account `ada`.
    pub async fn start(redirect_uri: &str) -> anyhow::Result<Self> {
        let packages = crate::need::node_packages().context("cargo's build folder cannot be found")?;
        let mut process = Command::new("node")
            .args(["--no-warnings", "--input-type=module", "--eval", SCRIPT])
            // The script's imports are looked for from here.
            .current_dir(packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("node could not be started")?;
        let input = process.stdin.take().context("standard input is piped")?;
        let output = BufReader::new(process.stdout.take().context("standard output is piped")?).lines();
        let folder = tempfile::Builder::new().prefix("nave-oidc-").tempdir()?;
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        std::fs::write(folder.path().join("ca.pem"), certified.cert.pem())?;
        let mut provider = Self { input, output, _process: process, folder, port: 0 };
        provider
            .change(json!({
                "tls": { "cert": certified.cert.pem(), "key": certified.signing_key.serialize_pem() },
                "clients": [client(redirect_uri)],
                "accounts": { "ada": ada() },
            }))
            .await?;
        Ok(provider)
    }

    /// Changes what it is made of: see the script for what there is.
    pub async fn change(&mut self, change: Value) -> anyhow::Result<()> {
        self.input.write_all(format!("{change}\n").as_bytes()).await?;
        let answer = self.output.next_line().await?.context("the provider has ended")?;
        let answer: Value = serde_json::from_str(&answer)?;
        self.port = answer["port"].as_u64().and_then(|port| port.try_into().ok()).context("a port")?;
        Ok(())
    }

    /// Its address.
    pub fn issuer(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The certificate that its own is to be checked with, in PEM.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A folder of its own, for files that belong to a test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a hub's configuration says about it, with more keys in TOML.
    pub fn table(&self, more: &str) -> anyhow::Result<OidcTable> {
        let ca = self.ca();
        let text =
            format!("issuer = {:?}\nclient_id = \"nave\"\nca = \"{}\"\n{more}", self.issuer(), ca.display());
        Ok(toml::from_str(&text)?)
    }

    /// A browser that trusts it.
    pub fn browser(&self) -> anyhow::Result<Browser> {
        Browser::trusting(&std::fs::read(self.ca())?)
    }
}

/// A public client whose sign-ins come back to `redirect_uri`, and sign-outs to the root of the same host.
pub fn client(redirect_uri: &str) -> Value {
    let root: Vec<&str> = redirect_uri.splitn(4, '/').collect();
    json!({
        "client_id": "nave",
        "token_endpoint_auth_method": "none",
        "redirect_uris": [redirect_uri],
        "post_logout_redirect_uris": [format!("{}/", root[..3].join("/"))],
    })
}

/// What the provider knows of Ada.
pub fn ada() -> Value {
    json!({
        "email": "ada@example.org",
        "email_verified": true,
        "name": "Ada L.",
        "given_name": "Ada",
        "family_name": "Lovelace",
        "preferred_username": "ada",
        "groups": ["hub-admins", "lab"],
        "realm": { "roles": ["staff"] },
    })
}
