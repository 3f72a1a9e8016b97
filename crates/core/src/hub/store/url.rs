//! Where the database is: a file in the data folder, or a PostgreSQL server over TCP or a Unix socket.

use std::fmt;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::{ExposeSecret as _, SecretString};

use crate::hub::error::{Error, Result};

/// The engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

/// Where the database is. It does not print a password.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// SQLite, in this file.
    Sqlite(PathBuf),
    /// PostgreSQL: `postgres://USER:PASSWORD@HOST:PORT/NAME`, or `postgres:///NAME?host=/run/postgresql`.
    Postgres(SecretString),
}

impl DatabaseUrl {
    /// The default: a file in the data folder.
    pub fn in_folder(folder: &Path) -> Self {
        Self::Sqlite(folder.join("hub.sqlite"))
    }

    /// Which engine it is.
    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// Makes the file with its mode before SQLite would make it with another.
    pub(super) fn prepare(&self) -> Result<()> {
        let Self::Sqlite(path) = self else { return Ok(()) };
        let open = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        open.map(drop).map_err(|source| Error::Unavailable {
            what: "the database",
            source: format!("{}: {source}", path.display()).into(),
        })
    }

    /// What the database library is given.
    pub(super) fn connect_text(&self) -> String {
        match self {
            Self::Sqlite(path) => {
                // The library decodes percent signs, so that any path must be encoded first.
                let mut url = "sqlite://".to_owned();
                for byte in path.as_os_str().as_encoded_bytes() {
                    match byte {
                        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                            url.push(char::from(*byte));
                        }
                        _ => url.push_str(&format!("%{byte:02X}")),
                    }
                }
                url
            }
            Self::Postgres(url) => url.expose_secret().to_owned(),
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            return Ok(Self::Sqlite(path.into()));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(SecretString::from(text.to_owned())));
        }
        Err(Error::invalid("database", "it must begin with postgres:// (or sqlite:///PATH)"))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => {
                let url = url.expose_secret();
                match (url.split_once("://"), url.rsplit_once('@')) {
                    (Some((scheme, _)), Some((_, rest))) => write!(f, "{scheme}://…@{rest}"),
                    _ => f.write_str(url.split('?').next().unwrap_or_default()),
                }
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}
