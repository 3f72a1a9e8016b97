//! How a machine becomes a node: with a join token, which names the hub, or with an access key, which its
//! certificate has to fit.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use nave_link::access_key::AccessKey;
use nave_link::address::HubUrl;
use nave_link::certificate;
use nave_link::dial::{self, DialError};
use nave_link::handshake::{Credential, ExpectedHub, HandshakeError, NodeSide, Ready, RefusedCode};
use nave_link::key::{PublicKey, SecretKey};
use nave_link::protocol::NodeReport;
use nave_link::random::Random;
use nave_link::secret_file;
use nave_link::token::JoinToken;

use super::allow::AllowRule;
use super::folder::{FolderError, Membership, NodeFolder};

/// What lets this machine in.
#[derive(Clone, Debug)]
pub enum Invitation {
    /// A join token.
    Token(JoinToken),
    /// An access key.
    AccessKey(AccessKey),
}

/// What a machine brings when it joins.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// The data folder.
    pub data: PathBuf,
    /// Where the hub is.
    pub url: HubUrl,
    /// What lets this machine in.
    pub invitation: Invitation,
    /// The name it would like; the invitation may have fixed another.
    pub name: Option<String>,
    /// What others may open.
    pub allow: Vec<AllowRule>,
    /// Where to listen for direct streams.
    pub direct: Option<SocketAddr>,
    /// Labels for people.
    pub labels: BTreeMap<String, String>,
}

/// A machine that has joined.
#[derive(Debug)]
pub struct Joined {
    /// Its folder.
    pub folder: NodeFolder,
    /// What it now knows.
    pub membership: Membership,
}

/// Why a machine could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Its folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The hub cannot be reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The hub and this machine could not agree.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

/// Joins; `pending` hears when an operator has to approve first. A machine that is a member already keeps its key
/// and takes over what the request says.
pub async fn join(
    request: JoinRequest,
    random: &Random,
    pending: impl Fn(&str) + Send + Sync,
) -> Result<Joined, JoinError> {
    match &request.invitation {
        Invitation::Token(token) => {
            let folder = NodeFolder::create(&request.data, &token.hub)?;
            let expected = ExpectedHub::Digest(token.hub);
            let credential = Credential::Token(token.secret.clone());
            let mut key = folder.key(random)?;
            let tried = introduce(&request, &key, &expected, credential.clone(), &pending).await;
            let tried = match tried {
                Err(JoinError::Handshake(HandshakeError::Refused(refused)))
                    if refused.code == RefusedCode::Revoked =>
                {
                    // The hub invites this machine anew after it revoked it: it comes back with another key.
                    folder.retire_key()?;
                    key = folder.key(random)?;
                    introduce(&request, &key, &expected, credential, &pending).await
                }
                other => other,
            };
            let (_, ready) = tried?;
            settle(folder, request, ready)
        }
        Invitation::AccessKey(access_key) => {
            // The hub's key, and with it the folder's name, is only known once the hub has proved itself.
            let key = joining_key(&request.data, random)?;
            let credential = Credential::AccessKey(access_key.clone());
            let (hub, ready) =
                introduce(&request, &key, &ExpectedHub::Verified, credential, &pending).await?;
            let folder = NodeFolder::create(&request.data, &hub.digest())?;
            folder.adopt_key(&joining_path(&request.data))?;
            settle(folder, request, ready)
        }
    }
}

fn settle(folder: NodeFolder, request: JoinRequest, ready: Ready) -> Result<Joined, JoinError> {
    let membership = Membership {
        url: request.url,
        hub_keys: ready.hub_keys,
        name: ready.node.name,
        allow: request.allow,
        direct: request.direct,
        labels: request.labels,
    };
    folder.save(&membership)?;
    Ok(Joined { folder, membership })
}

async fn introduce(
    request: &JoinRequest,
    key: &SecretKey,
    expected: &ExpectedHub,
    credential: Credential,
    pending: &(impl Fn(&str) + Send + Sync),
) -> Result<(PublicKey, Ready), JoinError> {
    let tls = match &credential {
        Credential::Token(_) => certificate::by_key(),
        Credential::AccessKey(key) => certificate::by_access_key(key),
    };
    let (mut socket, exporter) = dial::link(&request.url, tls).await?;
    let report = NodeReport {
        software: format!("nave {}", env!("CARGO_PKG_VERSION")),
        allow: request.allow.iter().map(ToString::to_string).collect(),
        labels: request.labels.clone(),
        ..NodeReport::default()
    };
    let name = request.name.clone();
    let side = NodeSide { key, hub: expected, credential: Some(credential), name, report };
    let (hub, mut ready) = side.run(&mut socket, exporter, pending).await?;
    if !ready.hub_keys.contains(&hub) {
        ready.hub_keys.insert(0, hub);
    }
    // The node's own link follows; this one has done its work.
    let _ = socket.close(None).await;
    Ok((hub, ready))
}

/// Where the key of a machine that joins with an access key lies until it has joined, so that an attempt that waits
/// for approval can be repeated without asking for another.
fn joining_path(data: &std::path::Path) -> PathBuf {
    data.join("node").join("joining.key")
}

fn joining_key(data: &std::path::Path, random: &Random) -> Result<Arc<SecretKey>, FolderError> {
    let path = joining_path(data);
    secret_file::create_private_dir(&data.join("node"))?;
    if !path.exists() {
        secret_file::create(&path, SecretKey::generate(random).to_pem().as_bytes(), 0o600)?;
    }
    let pem = secret_file::read_private(&path, None)?;
    SecretKey::from_pem(&pem)
        .map(Arc::new)
        .map_err(|error| FolderError::Damaged { path, problem: error.to_string() })
}
