//! How a command speaks with a hub: through its socket on the hub's own machine, else as the person who signed
//! in here, or as this machine's node; in an agent's shell, as that agent.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use nave_core::api::ErrorBody;
use nave_core::hub::running::SOCKET;
use nave_core::node::{FolderError, Membership, NodeFolder, person_folder};
use nave_link::address::HubUrl;
use nave_link::certificate;
use nave_link::dial::{self, ApiConnection, Known};
use nave_link::key::PublicKey;
use nave_link::random::Random;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// A hub to ask.
pub enum HubClient {
    /// On this machine, through its socket.
    Local(PathBuf),
    /// Elsewhere, as the person who signed in, or as this machine's node.
    Remote(Box<Known>),
    /// As an agent, from its shell.
    Agent(Box<AgentShell>),
}

/// What an agent's shell knows of the hub.
pub struct AgentShell {
    url: HubUrl,
    /// The hub's key; without it, the hub's certificate must be one that this machine trusts.
    hub: Option<PublicKey>,
    key: SecretString,
}

impl AgentShell {
    /// As the environment, and no file, has it (`NAVE_AGENT_KEY`, `NAVE_HUB_KEY`), if this is an agent's shell.
    fn find(url: Option<&HubUrl>) -> anyhow::Result<Option<Self>> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(key) = set("NAVE_AGENT_KEY") else { return Ok(None) };
        let url = url.context("NAVE_AGENT_KEY is set, but not NAVE_HUB: it says where the hub is")?;
        let hub = set("NAVE_HUB_KEY").map(|hub| {
            hub.parse::<PublicKey>().map_err(|_| anyhow::anyhow!("NAVE_HUB_KEY is no key of a hub"))
        });
        Ok(Some(Self { url: url.clone(), hub: hub.transpose()?, key: key.into() }))
    }
}

impl HubClient {
    /// The hub as an agent's own key reaches it, if this is an agent's shell.
    pub fn of_agent(url: Option<&HubUrl>) -> anyhow::Result<Option<Self>> {
        Ok(AgentShell::find(url)?.map(|shell| Self::Agent(Box::new(shell))))
    }

    /// The hub of this data folder if it runs here, else the hub that this machine joined.
    pub async fn find(data: &Path, url: Option<&HubUrl>) -> anyhow::Result<Self> {
        if let Some(agent) = Self::of_agent(url)? {
            return Ok(agent);
        }
        let socket = data.join(SOCKET);
        if url.is_none() {
            match UnixStream::connect(&socket).await {
                Ok(_) => return Ok(Self::Local(socket)),
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => bail!(
                    "{}: only root and the owner of the data folder may command this hub: use sudo",
                    socket.display()
                ),
                Err(_) => {}
            }
        }
        let person = NodeFolder::find(&person_folder(data), url);
        let folder = match person {
            Err(FolderError::NotJoined(_)) => NodeFolder::find(data, url),
            found => found,
        }
        .map_err(|error| match error {
            FolderError::NotJoined(_) => anyhow::anyhow!(
                "no hub runs on {} (start one with `nave hub`), nobody has signed in here (`nave login URL`), and {error}",
                data.display()
            ),
            other => other.into(),
        })?;
        let membership = folder.membership()?.context("the machine left its hub meanwhile")?;
        Self::of(&folder, membership)
    }

    /// The hub that a folder belongs to, asked with the folder's key.
    pub fn of(folder: &NodeFolder, membership: Membership) -> anyhow::Result<Self> {
        let hub = *membership.hub_keys.first().context("the node's folder names no key of its hub")?;
        let key = folder.key(&Random::system())?;
        Ok(Self::Remote(Box::new(Known { url: membership.url, hub, key, tls: certificate::by_key() })))
    }

    /// Reads something.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let body = self.send(Method::GET, path, Bytes::new()).await?;
        serde_json::from_slice(&body).with_context(|| format!("the hub's answer to {path} cannot be read"))
    }

    /// Does something and reads what came of it.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, input: &impl Serialize) -> anyhow::Result<T> {
        let body = self.send(Method::POST, path, serde_json::to_vec(input)?.into()).await?;
        serde_json::from_slice(&body).with_context(|| format!("the hub's answer to {path} cannot be read"))
    }

    /// As [`HubClient::post`], by another method.
    pub async fn send_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        input: &impl Serialize,
    ) -> anyhow::Result<T> {
        let body = self.send(method, path, serde_json::to_vec(input)?.into()).await?;
        serde_json::from_slice(&body).with_context(|| format!("the hub's answer to {path} cannot be read"))
    }

    /// Does something that answers nothing.
    pub async fn act(&self, method: Method, path: &str, input: &impl Serialize) -> anyhow::Result<()> {
        self.send(method, path, serde_json::to_vec(input)?.into()).await.map(drop)
    }

    /// Sends bytes as they are, and reads what came of it.
    pub async fn post_bytes<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> anyhow::Result<T> {
        let body = self.send_as("application/octet-stream", Method::POST, path, body.into()).await?;
        serde_json::from_slice(&body).with_context(|| format!("the hub's answer to {path} cannot be read"))
    }

    /// Reads bytes as they are.
    pub async fn get_bytes(&self, path: &str) -> anyhow::Result<Bytes> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        self.send_as("application/json", method, path, body).await
    }

    async fn send_as(&self, kind: &str, method: Method, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "hub")
            .header(http::header::CONTENT_TYPE, kind)
            .body(Full::new(body))?;
        let response = match self {
            Self::Local(socket) => {
                let io = UnixStream::connect(socket)
                    .await
                    .with_context(|| format!("{}: the hub does not answer", socket.display()))?;
                let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
                tokio::spawn(driver);
                sender.send_request(request).await.context("the hub does not answer")?
            }
            Self::Remote(known) => {
                let mut connection: ApiConnection = dial::api(known).await?;
                connection.send(request).await?
            }
            Self::Agent(shell) => {
                let key = shell.key.expose_secret();
                let mut connection =
                    dial::api_by_token(&shell.url, shell.hub, key, &Random::system()).await?;
                connection.send(request).await?
            }
        };
        if matches!(self, Self::Agent(_)) && response.status() == StatusCode::UNAUTHORIZED {
            bail!(
                "the hub knows no agent by the key in NAVE_AGENT_KEY: it has another one since, or is gone; when it is started anew, its shell has the key that counts"
            );
        }
        read(response).await
    }
}

async fn read(response: http::Response<Incoming>) -> anyhow::Result<Bytes> {
    let status = response.status();
    let request =
        response.headers().get("nave-request-id").and_then(|id| id.to_str().ok()).map(ToOwned::to_owned);
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await
        .map_err(std::io::Error::other)
        .context("the hub's answer did not arrive whole")?
        .to_bytes();
    if status.is_success() {
        return Ok(body);
    }
    match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(error) if status == StatusCode::INTERNAL_SERVER_ERROR => {
            bail!("{} (request {})", error.error.message, request.unwrap_or_default())
        }
        Ok(error) => bail!("{}", error.error.message),
        Err(_) => bail!("the hub answered {status}"),
    }
}

/// A text as one segment of a path.
pub fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
