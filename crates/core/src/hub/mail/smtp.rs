//! Hands one message to a mail server: connecting, TLS, signing in, the dialogue; and what went wrong, in words. When to
//! try again is decided elsewhere.

use std::error::Error as _;
use std::io;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use lettre::Message;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::config::MailTls;
use super::letter;
use super::server::{MailServer, Opened};
use super::wire::{self, Io, Wire};

/// How long each address of a server may take to answer at all.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may take over its goodbye.
const GOODBYE: Duration = Duration::from_secs(3);
/// The longest reason that is kept, in characters.
const LONGEST_REASON: usize = 400;
const NO_ANSWER: &str = "what it said is no answer of a mail server";

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What happened and, where it can be told, what to do: one line for the operator.
    pub words: String,
    /// Whose trouble it is.
    pub kind: TroubleKind,
}

/// Whose trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// The server's, or that of the way to it: it would meet every mail.
    Server,
    /// This mail's; it may go better later.
    Later,
    /// This mail's; the server will not take it.
    Never,
}

impl Trouble {
    fn server(words: impl Into<String>) -> Self {
        Self { words: words.into(), kind: TroubleKind::Server }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        match cause {
            Some(rustls::Error::InvalidCertificate(problem)) => Self::server(format!(
                "its certificate is not good ({problem}): if a private authority signed it, name that in mail.ca"
            )),
            _ => Self::server(error.to_string()),
        }
    }
}

/// A message that the server took.
pub struct Taken(AsyncSmtpConnection);

impl Taken {
    /// Takes leave of the server; nothing depends on it.
    pub async fn quit(mut self) {
        let goodbye = AssertUnwindSafe(self.0.quit()).catch_unwind();
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }
}

/// Hands over a message, in the time that the server has for it.
pub(super) async fn deliver(
    server: &MailServer,
    hello: &ClientId,
    message: &Message,
) -> Result<Taken, Trouble> {
    let patience = server.patience();
    let attempt = connect_and_send(server, hello, message);
    let outcome = match tokio::time::timeout(patience, attempt).await {
        Ok(outcome) => outcome,
        Err(_) => {
            Err(Trouble::server(format!("it did not take the mail within {} s", patience.as_secs_f32())))
        }
    };
    outcome.map_err(|trouble| {
        let words = letter::short(&format!("{}: {}", server.address(), trouble.words), LONGEST_REASON);
        Trouble { words, ..trouble }
    })
}

async fn connect_and_send(
    server: &MailServer,
    hello: &ClientId,
    message: &Message,
) -> Result<Taken, Trouble> {
    let files = server.clone();
    let opened = tokio::task::spawn_blocking(move || files.open()).await;
    let opened = opened.map_err(|error| Trouble::server(error.to_string()))?;
    let (tls, credentials): Opened = opened.map_err(|error| Trouble::server(error.to_string()))?;
    let tls = TlsConnector::from(tls);
    let name = ServerName::try_from(server.address().host().to_owned());
    let name = name.map_err(|error| Trouble::server(error.to_string()))?;
    let tcp = connect(server).await?;
    match server.tls() {
        MailTls::None => hand_over(Wire::new(tcp), hello, credentials, message).await,
        MailTls::Implicit => {
            let io = tls.connect(name, tcp).await?;
            hand_over(Wire::new(io), hello, credentials, message).await
        }
        MailTls::Starttls => {
            let tcp = wire::agree_on_tls(tcp, hello).await?;
            let io = tls.connect(name, tcp).await?;
            hand_over(Wire::turned(io), hello, credentials, message).await
        }
    }
}

/// The first of the server's addresses that answers.
async fn connect(server: &MailServer) -> io::Result<TcpStream> {
    let (host, port) = (server.address().host(), server.address().port());
    let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        if server.tls() == MailTls::None && !address.ip().is_loopback() {
            last = io::Error::other(format!("{address} is not this machine, and mail.tls is \"none\""));
            continue;
        }
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// The dialogue, on a connection that is as safe as it will be.
pub async fn hand_over<T: Io>(
    io: Wire<T>,
    hello: &ClientId,
    credentials: Option<Credentials>,
    message: &Message,
) -> Result<Taken, Trouble> {
    // lettre trips over some answers that no server should give: that ends this attempt and nothing else.
    let dialogue = AssertUnwindSafe(sign_in_and_send(io, hello, credentials, message)).catch_unwind();
    dialogue.await.unwrap_or_else(|_| Err(Trouble::server(NO_ANSWER)))
}

async fn sign_in_and_send<T: Io>(
    io: Wire<T>,
    hello: &ClientId,
    credentials: Option<Credentials>,
    message: &Message,
) -> Result<Taken, Trouble> {
    let connected = AsyncSmtpConnection::connect_with_transport(Box::new(io), hello).await;
    let mut connection = connected.map_err(|error| Trouble::server(words(&error)))?;
    if let Some(credentials) = credentials {
        connection.auth(DEFAULT_MECHANISMS, &credentials).await.map_err(|error| {
            let words = words(&error);
            Trouble::server(format!(
                "it did not let the hub sign in: {words}: check mail.user and mail.password_file"
            ))
        })?;
    }
    match connection.send(message.envelope(), &message.formatted()).await {
        Ok(_) => Ok(Taken(connection)),
        Err(error) => {
            // The client's own errors tell of what the server cannot carry, such as an address in other letters.
            let never = error.is_permanent() || error.is_client();
            let kind = if never { TroubleKind::Never } else { TroubleKind::Later };
            Err(Trouble { words: words(&error), kind })
        }
    }
}

fn words(error: &smtp::Error) -> String {
    let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    match error.status() {
        Some(code) => format!("it answered {code} {reason}"),
        None if error.is_response() => format!("{NO_ANSWER} ({reason})"),
        None => reason,
    }
}
