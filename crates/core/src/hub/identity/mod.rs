//! Who the hub is: its data folder, its key, its certificates and its shared access key. All of it is made at the
//! first start, loaded at every later one, and never replaced silently.

mod access_keys;
pub mod ca;
mod folder;
mod key;
mod self_signed;
mod tls;

pub use access_keys::{AccessKeys, ROTATE, SHOW, grace_end, rotate, show};
pub use folder::DataFolder;
pub use key::load_or_make as hub_key;
pub use self_signed::{KeyKind, load_or_make as self_signed};
pub use tls::TlsIdentity;

use std::path::PathBuf;

use nave_link::secret_file::SecretFileError;

/// Why the hub's identity cannot be used. Every text names the file and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file with a secret.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The system refused something else.
    #[error("{path}: {source}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {problem}")]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
}

impl IdentityError {
    fn unusable(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self::Unusable { path: path.into(), problem: problem.into() }
    }
}
