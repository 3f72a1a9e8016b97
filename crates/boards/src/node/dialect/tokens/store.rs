//! The file in which signing in leaves tokens: `{"<hub's address>": {"id": …, "refresh": …}}`. not-my-board's own programs
//! read and write it too, so it is locked as they lock it, and written where it is.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nave_core::clock::Clock;
use nix::fcntl::{Flock, FlockArg};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{TokenError, provider};
use crate::node::dialect::connection::HubClient;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// What signing in left.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The ID token.
    pub id: SecretString,
    /// What a new one is fetched with; empty where the provider gave none.
    pub refresh: SecretString,
}

/// The tokens as the file has them.
#[derive(Serialize, Deserialize)]
struct AtRest {
    id: String,
    refresh: String,
}

/// The file.
#[derive(Clone, Debug)]
pub struct TokenStore(PathBuf);

/// The file, locked for this process.
pub(crate) struct Locked {
    path: PathBuf,
    file: Flock<File>,
    hubs: BTreeMap<String, AtRest>,
}

impl TokenStore {
    /// The file at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Makes sure that it can be written, and that it is there.
    ///
    /// # Errors
    ///
    /// When it cannot.
    pub fn prepare(&self) -> Result<(), TokenError> {
        let path = &self.0;
        let folder = path.parent().unwrap_or(Path::new("."));
        let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
        let opened = made.and_then(|()| {
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
        });
        opened.map(drop).map_err(|source| TokenError::Store { path: path.clone(), source })
    }

    /// Opens and locks it; `None` when there is none.
    pub(crate) async fn lock(&self) -> Result<Option<Locked>, TokenError> {
        let path = self.0.clone();
        // Another process may hold it for as long as a provider takes to answer.
        let locked = tokio::task::spawn_blocking(move || lock(&path)).await;
        locked.unwrap_or_else(|panic| {
            Err(TokenError::NoStore { path: self.0.clone(), problem: panic.to_string() })
        })
    }
}

fn lock(path: &Path) -> Result<Option<Locked>, TokenError> {
    let failed = |source: io::Error| TokenError::Store { path: path.to_owned(), source };
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| failed(error.into()))?;
    let mut text = Zeroizing::new(String::new());
    (&*file).take(LARGEST).read_to_string(&mut text).map_err(failed)?;
    let hubs = if text.is_empty() {
        BTreeMap::new()
    } else {
        let problem = |error: serde_json::Error| {
            // Not the error itself: it may quote a token.
            format!("at line {}, column {}", error.line(), error.column())
        };
        serde_json::from_str(&text)
            .map_err(|error| TokenError::NoStore { path: path.to_owned(), problem: problem(error) })?
    };
    Ok(Some(Locked { path: path.to_owned(), file, hubs }))
}

impl Locked {
    /// The tokens for a hub.
    pub(crate) fn tokens(&self, hub: &str) -> Option<Tokens> {
        let at_rest = self.hubs.get(hub)?;
        Some(Tokens { id: at_rest.id.as_str().into(), refresh: at_rest.refresh.as_str().into() })
    }

    /// Keeps tokens for a hub.
    pub(crate) fn save(&mut self, hub: &str, tokens: &Tokens) -> Result<(), TokenError> {
        let secret = |secret: &SecretString| secret.expose_secret().to_owned();
        let at_rest = AtRest { id: secret(&tokens.id), refresh: secret(&tokens.refresh) };
        self.hubs.insert(hub.to_owned(), at_rest);
        let text = Zeroizing::new(
            serde_json::to_string(&self.hubs).map_err(io::Error::other).map_err(self.failed())?,
        );
        let write = || {
            let mut file = &*self.file;
            file.rewind()?;
            file.set_len(0)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(self.failed())
    }

    fn failed(&self) -> impl Fn(io::Error) -> TokenError + use<> {
        let path = self.path.clone();
        move |source| TokenError::Store { path: path.clone(), source }
    }
}

/// Tokens that signing in left, fetched anew when they have ended.
pub struct StoredTokens {
    hub: HubClient,
    store: TokenStore,
    clock: Clock,
}

impl StoredTokens {
    pub(super) fn new(hub: HubClient, store: TokenStore, clock: Clock) -> Self {
        Self { hub, store, clock }
    }

    pub(super) async fn id_token(&self) -> Result<SecretString, TokenError> {
        let login =
            |why: Option<String>| TokenError::LoginRequired { hub: self.hub.address().to_owned(), why };
        let mut locked = self.store.lock().await?.ok_or_else(|| login(None))?;
        let tokens = locked.tokens(self.hub.address()).ok_or_else(|| login(None))?;
        if provider::is_fresh(&tokens.id, &self.clock) {
            return Ok(tokens.id);
        }
        // Others wait meanwhile: a provider may take one refresh token once only.
        let fresh = provider::refresh(&tokens, self.hub.http())
            .await
            .map_err(|error| if error.is_final() { login(Some(error.to_string())) } else { error.into() })?;
        locked.save(self.hub.address(), &fresh)?;
        Ok(fresh.id)
    }
}
