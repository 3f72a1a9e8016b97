//! A mail server that takes mail and shows it: aiosmtpd in a process of its own, with a certificate made for it. How it
//! treats a recipient stands in the address; `python/smtp_catcher.py` says how.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use nave_core::hub::config::Period;
use nave_core::hub::mail::{MailTable, MailTls};
use nave_link::address::Target;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde::Deserialize;
use tempfile::TempDir;

use crate::need::python;
use crate::wait::until;

/// What the server does: read where it is started.
const SCRIPT: &str = include_str!("../python/smtp_catcher.py");
/// Whom it lets in.
const USER: &str = "nave";
const PASSWORD: &str = "a-password-of-the-mail-server";

/// A mail that the server took.
#[derive(Clone, Debug, Deserialize)]
pub struct Caught {
    /// Whether it came through TLS.
    pub tls: bool,
    /// How the client introduced itself.
    pub hello: String,
    /// Whom it signed in as.
    pub user: Option<String>,
    /// The sender on the envelope.
    pub from: String,
    /// The recipients on the envelope.
    pub to: Vec<String>,
    /// The message, head and body.
    pub message: String,
}

/// A place for a mail server: its files and, from its first start on, its port.
#[derive(Debug)]
pub struct SmtpCatcher {
    folder: TempDir,
    tls: MailTls,
    port: u16,
    caught: Arc<Mutex<Vec<Caught>>>,
    server: Option<Child>,
}

#[derive(Deserialize)]
struct Ready {
    port: u16,
}

impl SmtpCatcher {
    /// A server that listens on an unused port of loopback. It wants a password.
    pub fn start(tls: MailTls) -> anyhow::Result<Self> {
        let mut catcher = Self::away(tls)?;
        catcher.launch()?;
        Ok(catcher)
    }

    /// A server that is not there yet; its port is, for whoever wants to send it mail.
    pub fn away(tls: MailTls) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("nave-smtp-").tempdir()?;
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        for (name, text) in [
            ("ca.pem", authority.pem()),
            ("certificate.pem", certificate.pem()),
            ("key.pem", key.serialize_pem()),
            ("password", format!("{PASSWORD}\n")),
            ("catcher.py", SCRIPT.to_owned()),
        ] {
            nave_link::secret_file::create(&folder.path().join(name), text.as_bytes(), 0o600)?;
        }
        Ok(Self { folder, tls, port, caught: Arc::default(), server: None })
    }

    /// Starts it, for the first time or again.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        let python = python("aiosmtpd").context("aiosmtpd is not installed: `cargo xtask test --install`")?;
        let tls = match self.tls {
            MailTls::Starttls => "starttls",
            MailTls::Implicit => "implicit",
            MailTls::None => "none",
        };
        let mut command = Command::new(python);
        command.arg(self.file("catcher.py")).args(["--tls", tls, "--port", &self.port.to_string()]);
        command.args(["--user", USER, "--password", PASSWORD]);
        command.arg("--certificate").arg(self.file("certificate.pem")).arg("--key").arg(self.file("key.pem"));
        let mut server =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut told = BufReader::new(server.stdout.take().context("standard output is piped")?);
        self.server = Some(server);
        let mut line = String::new();
        told.read_line(&mut line)?;
        let ready: Ready = serde_json::from_str(&line).context("the mail server did not start")?;
        self.port = ready.port;
        let caught = Arc::clone(&self.caught);
        std::thread::spawn(move || collect(told, &caught));
        Ok(())
    }

    /// Stops it, as a crash would.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // It may be gone already; then there is nothing left to do.
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// A configuration with which a hub sends mail here, as it should.
    pub fn table(&self) -> anyhow::Result<MailTable> {
        Ok(MailTable {
            server: Target::from(self.address()),
            tls: self.tls,
            ca: Some(self.file("ca.pem")),
            user: Some(USER.to_owned()),
            password_file: Some(self.file("password")),
            from: "Nave <nave@example.org>".parse().map_err(anyhow::Error::msg)?,
            timeout: Some(Period(crate::wait::PATIENCE)),
        })
    }

    /// What it took so far.
    pub fn caught(&self) -> Vec<Caught> {
        self.caught.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it took a mail for that recipient.
    pub async fn mail_to(&self, recipient: &str) -> anyhow::Result<Caught> {
        until(&format!("a mail to {recipient} arrives"), async || {
            self.caught().into_iter().find(|mail| mail.to.iter().any(|to| to == recipient))
        })
        .await
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for SmtpCatcher {
    fn drop(&mut self) {
        self.stop();
    }
}

fn collect(told: BufReader<ChildStdout>, caught: &Mutex<Vec<Caught>>) {
    for line in told.lines().map_while(Result::ok) {
        if let Ok(mail) = serde_json::from_str(&line) {
            caught.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
        }
    }
}
