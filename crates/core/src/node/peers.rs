//! The keys of nodes that this one has met: a hub that names another key for the same name is not believed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use nave_link::key::PublicKey;
use nave_link::secret_file;

use super::folder::{FolderError, NodeFolder};

/// The hub named a key that is not the one this node knows under that name.
#[derive(Debug, thiserror::Error)]
#[error(
    "the hub names another key for {name} than the one that this machine knows.\n  known: {known}\n  named: {named}\nEither {name} was joined anew (ask its operator for `nave node show` there), or someone sits in between. If the new key is right, accept it on the machine that refuses: nave node trust {name} {named}"
)]
pub struct PeerChanged {
    name: String,
    known: PublicKey,
    named: PublicKey,
}

/// Why a node's key was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PeerCheck {
    /// It is not the known one.
    #[error(transparent)]
    Changed(#[from] PeerChanged),
    /// What is known cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// Names and keys of known nodes, kept in `peers.json`. The file is read anew every time: a command beside the running
/// node may have written it.
#[derive(Debug)]
pub struct Peers {
    path: PathBuf,
    writing: Mutex<()>,
}

impl Peers {
    /// What the node in `folder` knows.
    pub fn open(folder: &NodeFolder) -> Result<Self, FolderError> {
        let peers = Self { path: folder.path().join("peers.json"), writing: Mutex::default() };
        peers.read().map(|_| peers)
    }

    /// Checks the key that the hub names for a node, and remembers it at the first meeting. A node that was
    /// renamed keeps its key, and is remembered under both names.
    pub fn check(&self, name: &str, named: PublicKey) -> Result<(), PeerCheck> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = self.read()?;
        match known.get(name) {
            Some(key) if *key == named => Ok(()),
            Some(key) => Err(PeerChanged { name: name.to_owned(), known: *key, named }.into()),
            None => {
                known.insert(name.to_owned(), named);
                // A failed write costs only the memory of this meeting, so it does not stop the stream.
                if let Err(error) = self.save(&known) {
                    tracing::warn!(%error, "the key of a node that was met cannot be remembered");
                }
                Ok(())
            }
        }
    }

    /// Remembers a key that a person vouches for.
    pub fn vouch(&self, name: &str, key: PublicKey) -> Result<(), FolderError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = self.read()?;
        if known.insert(name.to_owned(), key) == Some(key) { Ok(()) } else { self.save(&known) }
    }

    fn read(&self) -> Result<BTreeMap<String, PublicKey>, FolderError> {
        let path = self.path.clone();
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|error| FolderError::Damaged { path, problem: error.to_string() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(source) => Err(FolderError::Io { path, source }),
        }
    }

    fn save(&self, known: &BTreeMap<String, PublicKey>) -> Result<(), FolderError> {
        let text = serde_json::to_vec_pretty(known)
            .map_err(|error| FolderError::Damaged { path: self.path.clone(), problem: error.to_string() })?;
        Ok(secret_file::replace(&self.path, &text, 0o600)?)
    }
}
