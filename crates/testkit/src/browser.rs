//! A browser of its own for one test: Chromium without a window, driven as a person would drive it, with an eye on what
//! it complains about. What pages are looked at is the tests'.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::digest;
use axum::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::ParsedCertificate;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::need::{axe, find_program};

/// Which colours the system prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// Nothing that leaves this machine, nothing kept, nothing that waits for a person.
const FLAGS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
];

/// A browser; it ends with this value.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    driver: Driver,
    _profile: TempDir,
}

/// The program between test and browser. It leads a process group, so that the browser ends with it.
#[derive(Debug)]
struct Driver {
    group: Pid,
    _child: Child,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // An error means that everything has ended already.
        let _ = killpg(self.group, Signal::SIGKILL);
    }
}

/// A command that only Chromium knows.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    /// Starts one. It takes any certificate, since a test's hub signs its own.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(&[]).await
    }

    /// Starts one to which a certificate, in a file, is as good as one that an authority vouches for: of a page with a
    /// certificate that it only puts up with, a browser keeps no files.
    pub async fn trusting(certificate: &Path) -> anyhow::Result<Self> {
        let certificate = CertificateDer::from_pem_file(certificate)?;
        let key = ParsedCertificate::try_from(&certificate)?.subject_public_key_info();
        let key = STANDARD.encode(digest::digest(&digest::SHA256, &key));
        Self::with(&[format!("--ignore-certificate-errors-spki-list={key}")]).await
    }

    async fn with(flags: &[String]) -> anyhow::Result<Self> {
        let profile = tempfile::Builder::new().prefix("nave-browser-").tempdir()?;
        let (driver, port) = Driver::start(profile.path()).await?;
        let program = find_program("chromium").context("there is no chromium on the path")?;
        let data = profile.path().join("profile");
        let flags: Vec<String> = FLAGS
            .iter()
            .map(ToString::to_string)
            .chain([format!("--user-data-dir={}", data.display())])
            .chain(flags.iter().cloned())
            .collect();
        let wanted = json!({
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:chromeOptions": { "binary": program, "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(wanted) = wanted else { bail!("capabilities are an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted)
            .connect(&format!("http://127.0.0.1:{port}/"))
            .await?;
        Ok(Self { client, driver, _profile: profile })
    }

    /// Gives it a cookie for an address.
    pub async fn cookie(&self, url: &str, cookie: &str) -> anyhow::Result<()> {
        let (name, value) = cookie.split_once('=').context("a cookie has a name and a value")?;
        let asked = json!({ "url": url, "name": name, "value": value, "secure": true, "httpOnly": true, "path": "/" });
        let set = self.devtools("Network.setCookie", &asked).await?;
        ensure!(set["success"] == true, "the browser does not take the cookie {name}");
        Ok(())
    }

    /// What drives it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A screen of that size, in pixels, on a system that prefers those colours.
    pub async fn screen(&self, width: u32, height: u32, colours: Colours) -> anyhow::Result<()> {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics).await?;
        let scheme = if colours == Colours::Dark { "dark" } else { "light" };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features })).await?;
        Ok(())
    }

    /// How high the page is that is open, in pixels.
    pub async fn height(&self) -> anyhow::Result<u32> {
        let height = self.client.execute("return document.documentElement.scrollHeight", vec![]).await?;
        Ok(u32::try_from(height.as_u64().context("a height is a number")?)?)
    }

    /// By how many pixels the page is wider than the screen.
    pub async fn overflow(&self) -> anyhow::Result<i64> {
        let script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        self.client.execute(script, vec![]).await?.as_i64().context("a width is a number")
    }

    /// Speaks the browser's own protocol.
    pub async fn devtools(&self, method: &str, params: &Value) -> anyhow::Result<Value> {
        let command = Own { path: "goog/cdp/execute", body: json!({ "cmd": method, "params": params }) };
        Ok(self.client.issue_cmd(command).await?)
    }

    /// A picture of what the screen shows.
    pub async fn picture(&self, to: &Path) -> anyhow::Result<()> {
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let taken = self.devtools("Page.captureScreenshot", &json!({ "format": "png" })).await?;
        let data = taken["data"].as_str().context("the browser took no picture")?;
        let png = STANDARD.decode(data)?;
        std::fs::write(to, png)?;
        Ok(())
    }

    /// What axe-core finds wrong with the page that is open, in words; nothing, if it is in order.
    pub async fn barriers(&self) -> anyhow::Result<Vec<String>> {
        let file = axe().context("axe-core is not installed")?;
        let script = std::fs::read_to_string(file)?;
        self.client.execute(&script, vec![]).await?;
        let found = self
            .client
            .execute_async(
                "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] }).then((r) => done(r.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${v.help}: ${n.html.slice(0, 200)}: ${n.failureSummary}`))), (e) => done([String(e)]));",
                vec![],
            )
            .await?;
        texts(&found)
    }

    /// What the browser complained about since this was last asked: refused by the page's policy, not found, thrown.
    pub async fn complaints(&self) -> anyhow::Result<Vec<String>> {
        let log = self.client.issue_cmd(Own { path: "se/log", body: json!({ "type": "browser" }) }).await?;
        let lines = log.as_array().context("the browser keeps a log")?;
        Ok(lines
            .iter()
            .filter(|line| line["level"] != "INFO" && line["level"] != "DEBUG")
            .map(|line| format!("{}: {}", line["level"].as_str().unwrap_or_default(), line["message"]))
            .collect())
    }

    /// Ends the browser in an orderly way.
    pub async fn close(self) -> anyhow::Result<()> {
        self.client.clone().close().await?;
        drop(self.driver);
        Ok(())
    }
}

impl Driver {
    async fn start(folder: &Path) -> anyhow::Result<(Self, u16)> {
        let program = find_program("chromedriver").context("there is no chromedriver on the path")?;
        let mut child = Command::new(program)
            .args(["--port=0", "--log-level=SEVERE"])
            .env("HOME", folder)
            .env("TMPDIR", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let id = child.id().context("chromedriver ended at once")?;
        let output = child.stdout.take().context("the output was asked for")?;
        let driver = Self { group: Pid::from_raw(i32::try_from(id)?), _child: child };
        let mut lines = BufReader::new(output).lines();
        while let Some(line) = lines.next_line().await? {
            // An earlier line names the port that was asked for, which is none.
            let port = line.split_once("successfully on port ").map(|(_, port)| port.trim_end_matches('.'));
            if let Some(port) = port.and_then(|port| port.parse().ok()) {
                // What it says later must not end it with a broken pipe.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Ok((driver, port));
            }
        }
        bail!("chromedriver told no port")
    }
}

fn texts(value: &Value) -> anyhow::Result<Vec<String>> {
    let list = value.as_array().context("a list of texts was expected")?;
    ensure!(list.iter().all(Value::is_string), "{value}");
    Ok(list.iter().filter_map(|text| text.as_str().map(ToOwned::to_owned)).collect())
}
