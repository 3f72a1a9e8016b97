//! A node's folder, `node/<hub id>/` below the data folder: its key, what it knows of its hub, and what its
//! operator allows.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_link::address::HubUrl;
use nave_link::key::{KeyDigest, PublicKey, SecretKey};
use nave_link::random::Random;
use nave_link::secret_file::{self, SecretFileError};
use serde::{Deserialize, Serialize};

use super::allow::AllowRule;

const KEY: &str = "node.key";
const MEMBERSHIP: &str = "node.json";
const SOCKET: &str = "node.sock";
const LOCK: &str = "node.lock";

/// Why a node's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file with a secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// A file is damaged.
    #[error(
        "{path} is damaged ({problem}): restore it from a backup, or remove the folder it lies in and join again"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// This machine has joined no hub.
    #[error(
        "this machine has joined no hub (there is nothing in {0}): ask the hub's operator for a `nave join` line"
    )]
    NotJoined(PathBuf),
    /// This machine has joined several hubs.
    #[error("this machine has joined several hubs: say which one with --hub:\n{0}")]
    Several(String),
}

/// What a node knows of its hub and of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Membership {
    /// Where the hub is.
    pub url: HubUrl,
    /// The keys by which the hub may prove itself.
    pub hub_keys: Vec<PublicKey>,
    /// What the hub calls this node.
    pub name: String,
    /// What the operator lets others open.
    #[serde(default)]
    pub allow: Vec<AllowRule>,
    /// Where to listen for streams that do not pass the hub; nowhere unless the operator says so.
    #[serde(default)]
    pub direct: Option<SocketAddr>,
    /// Labels that the operator gave this machine.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// One node's folder: this machine as a member of one hub.
#[derive(Clone, Debug)]
pub struct NodeFolder {
    path: PathBuf,
}

impl NodeFolder {
    /// The folder for a hub, made (mode 0700) if it is not there.
    pub fn create(data: &Path, hub: &KeyDigest) -> Result<Self, FolderError> {
        let path = data.join("node").join(hub.to_string());
        secret_file::create_private_dir(&path)?;
        Ok(Self { path })
    }

    /// The folder of the only hub that this machine has joined, or of the one at `url`.
    pub fn find(data: &Path, url: Option<&HubUrl>) -> Result<Self, FolderError> {
        let nodes = data.join("node");
        let entries = match fs::read_dir(&nodes) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(FolderError::NotJoined(nodes));
            }
            Err(source) => return Err(FolderError::Io { path: nodes, source }),
        };
        let mut found = Vec::new();
        for entry in entries {
            let folder = Self {
                path: entry.map_err(|source| FolderError::Io { path: nodes.clone(), source })?.path(),
            };
            if let Some(membership) = folder.membership()?
                && url.is_none_or(|url| *url == membership.url)
            {
                found.push((folder, membership.url));
            }
        }
        match found.len() {
            0 => Err(FolderError::NotJoined(nodes)),
            1 => Ok(found.remove(0).0),
            _ => Err(FolderError::Several(
                found.iter().map(|(_, url)| format!("  --hub {url}")).collect::<Vec<_>>().join("\n"),
            )),
        }
    }

    /// The node's key, made if it is not there yet.
    pub fn key(&self, random: &Random) -> Result<Arc<SecretKey>, FolderError> {
        let path = self.path.join(KEY);
        if !path.exists() {
            secret_file::create(&path, SecretKey::generate(random).to_pem().as_bytes(), 0o600)?;
        }
        let pem = secret_file::read_private(&path, None)?;
        SecretKey::from_pem(&pem)
            .map(Arc::new)
            .map_err(|error| FolderError::Damaged { path, problem: error.to_string() })
    }

    /// Takes over a key that was made before the folder could be named.
    pub fn adopt_key(&self, from: &Path) -> Result<(), FolderError> {
        let path = self.path.join(KEY);
        fs::rename(from, &path).map_err(|source| FolderError::Io { path, source })
    }

    /// Puts the key away, so that the next one is new: the hub revoked the old one.
    pub fn retire_key(&self) -> Result<(), FolderError> {
        let path = self.path.join(KEY);
        fs::rename(&path, self.path.join("node.key.revoked"))
            .map_err(|source| FolderError::Io { path, source })
    }

    /// What the node knows of its hub; `None` before it has joined.
    pub fn membership(&self) -> Result<Option<Membership>, FolderError> {
        let path = self.path.join(MEMBERSHIP);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(source) => return Err(FolderError::Io { path, source }),
        };
        let damaged = |error: serde_json::Error| FolderError::Damaged { path, problem: error.to_string() };
        serde_json::from_str(&text).map(Some).map_err(damaged)
    }

    /// Writes what the node knows of its hub.
    pub fn save(&self, membership: &Membership) -> Result<(), FolderError> {
        let path = self.path.join(MEMBERSHIP);
        let text = serde_json::to_vec_pretty(membership)
            .map_err(|error| FolderError::Damaged { path: path.clone(), problem: error.to_string() })?;
        Ok(secret_file::replace(&path, &text, 0o600)?)
    }

    /// Forgets the hub, with the key by which it knew this machine.
    pub fn forget(&self) -> Result<(), FolderError> {
        fs::remove_dir_all(&self.path).map_err(|source| FolderError::Io { path: self.path.clone(), source })
    }

    /// Where the running node listens for commands on the same machine.
    pub fn socket(&self) -> PathBuf {
        self.path.join(SOCKET)
    }

    /// Held by the process that keeps the node's link.
    pub fn lock(&self) -> PathBuf {
        self.path.join(LOCK)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
