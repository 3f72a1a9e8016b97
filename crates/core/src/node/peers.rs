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
    "the hub names another key for {name} than the one that this machine knows.\n  known: {known}\n  named: {named}\nEither {name} was joined anew (ask its operator for `nave node show` there), or someone sits in between. If the new key is right, name it once: --peer-key {named}"
)]
pub struct PeerChanged {
    name: String,
    known: PublicKey,
    named: PublicKey,
}

/// Names and keys of known nodes, kept in `peers.json`.
#[derive(Debug)]
pub struct Peers {
    path: PathBuf,
    known: Mutex<BTreeMap<String, PublicKey>>,
}

impl Peers {
    /// Reads what is known.
    pub fn open(folder: &NodeFolder) -> Result<Self, FolderError> {
        let path = folder.path().join("peers.json");
        let known = match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|error| FolderError::Damaged { path: path.clone(), problem: error.to_string() })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(FolderError::Io { path, source }),
        };
        Ok(Self { path, known: Mutex::new(known) })
    }

    /// Checks the key that the hub names for a node, and remembers it at the first meeting. A node that was
    /// renamed keeps its key, and is remembered under both names.
    pub fn check(&self, name: &str, named: PublicKey) -> Result<(), PeerChanged> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(name) {
            Some(key) if *key == named => Ok(()),
            Some(key) => Err(PeerChanged { name: name.to_owned(), known: *key, named }),
            None => {
                known.insert(name.to_owned(), named);
                self.save(&known);
                Ok(())
            }
        }
    }

    /// Remembers a key that a person vouches for.
    pub fn vouch(&self, name: &str, key: PublicKey) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.insert(name.to_owned(), key) != Some(key) {
            self.save(&known);
        }
    }

    /// A failed write costs only the memory of this meeting, so it does not stop the stream.
    fn save(&self, known: &BTreeMap<String, PublicKey>) {
        let written = serde_json::to_vec_pretty(known).map_err(|error| error.to_string()).and_then(|text| {
            secret_file::replace(&self.path, &text, 0o600).map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            tracing::warn!(%error, "the key of a node that was met cannot be remembered");
        }
    }
}
