//! Sealing: what the hub must be able to read again, encrypted in the database under a key that is not there. What
//! only needs comparing is hashed instead, elsewhere.
//!
//! Envelope encryption: values are sealed with a data key (AES-256-GCM, random nonce), data keys lie in the database
//! wrapped under the master key, and the master key is a file. Rotating the master key rewraps the data keys and
//! touches no value.

mod cipher;
mod master;
mod store;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use nave_link::random::Random;
use nave_link::secret_file::SecretFileError;
use secrecy::SecretSlice;

use self::cipher::Key;
pub use self::master::MasterFile;
use self::master::MasterKeys;
use super::access::{self, Action, Roles};
use super::bus::Bus;
use super::error::{Error, Result};
use super::event::{self, Event};
use super::op::Op;
use super::store::Store;
use crate::clock::{Clock, to_millis};

/// Putting a new master key in the place of the old one.
pub const ROTATE: Action = Action::new("key.rotate_master", Roles::ADMINS);

/// How a sealed value begins: the version of its form, which is `s1.<data key id>.<base64url of nonce, ciphertext, tag>`.
const VERSION: &str = "s1";

/// Why sealed values cannot be read, or not be made.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The master key's file cannot be used.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The file holds something else.
    #[error(
        "{path} is not a master key file: line {line} is not 43 characters of base64url; put back the file from a backup"
    )]
    Format {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
    },
    /// The database was sealed by a key that is gone.
    #[error(
        "{path} is missing, but the database holds values sealed under master key {id}: put back the file from a backup"
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// Which key is wanted.
        id: String,
    },
    /// The file holds other keys than the database needs.
    #[error(
        "{path} does not hold master key {id}, under which the database is sealed: put back the right file from a backup"
    )]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Which key is wanted.
        id: String,
    },
    /// A value is not what was sealed, or belongs elsewhere.
    #[error("the sealed value of {what} was changed or belongs elsewhere")]
    Damaged {
        /// What the value is.
        what: String,
    },
    /// The database could not be asked.
    #[error("the data keys cannot be read: {0}")]
    Store(#[from] Error),
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Store(error) => error,
            error => Self::internal(error),
        }
    }
}

/// Seals and unseals. Cloning it is cheap.
#[derive(Clone)]
pub struct Sealer(Arc<Shared>);

struct Shared {
    store: Store,
    random: Random,
    keys: RwLock<DataKeys>,
    /// Also the lock that lets one rotation happen at a time.
    master: tokio::sync::Mutex<MasterKeys>,
}

struct DataKeys {
    current: String,
    by_id: HashMap<String, Key>,
}

impl Sealer {
    /// Loads the data keys; makes the master key and the first data key where neither exists. Finishes a rotation that
    /// was cut off.
    pub async fn open(
        store: &Store,
        file: MasterFile,
        random: &Random,
        clock: &Clock,
    ) -> Result<Self, SealError> {
        let rows = store::all(store).await?;
        let master = match MasterKeys::load(&file)? {
            Some(master) => master,
            None => match rows.first() {
                Some(row) => return Err(SealError::Missing { path: file.path, id: row.master_id.clone() }),
                None => MasterKeys::create(file, random)?,
            },
        };
        let mut by_id = HashMap::new();
        for row in &rows {
            by_id.insert(row.id.clone(), master.unwrap(row)?);
        }
        let current = match rows.last() {
            Some(newest) => newest.id.clone(),
            None => add_data_key(store, &master, &mut by_id, random, clock).await?,
        };
        let shared = Shared {
            store: store.clone(),
            random: random.clone(),
            keys: RwLock::new(DataKeys { current, by_id }),
            master: tokio::sync::Mutex::new(master),
        };
        let sealer = Self(Arc::new(shared));
        sealer.finish_rotation().await?;
        Ok(sealer)
    }

    /// Seals a secret. `what` names the place it is kept in, as `table/column/id`: it can be unsealed only as that.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness to give.
    pub fn seal(&self, what: &str, secret: &[u8]) -> String {
        let keys = self.0.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.by_id.get(&keys.current).expect("the current key is among the keys");
        let sealed = key.seal(&self.0.random, what, secret);
        format!("{VERSION}.{}.{sealed}", keys.current)
    }

    /// Reads what [`Sealer::seal`] made for the same place.
    pub async fn unseal(&self, what: &str, sealed: &str) -> Result<SecretSlice<u8>, SealError> {
        let damaged = || SealError::Damaged { what: what.to_owned() };
        let mut parts = sealed.splitn(3, '.');
        let (Some(VERSION), Some(id), Some(sealed)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(damaged());
        };
        if let Some(key) = self.0.keys.read().unwrap_or_else(PoisonError::into_inner).by_id.get(id) {
            return key.unseal(what, sealed).ok_or_else(damaged);
        }
        // Another hub on this database may have made the key.
        let row = store::one(&self.0.store, id).await?.ok_or_else(damaged)?;
        let key = self.0.master.lock().await.unwrap(&row)?;
        let secret = key.unseal(what, sealed).ok_or_else(damaged);
        self.0.keys.write().unwrap_or_else(PoisonError::into_inner).by_id.insert(row.id, key);
        secret
    }

    /// Puts a new master key in the place of the old one. A crash at any moment leaves a file and a database that open:
    /// the file holds both keys until the data keys are rewrapped.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for anyone but the hub's operator, [`Error::Conflict`] if the file is a systemd
    /// credential, which only its owner can change.
    pub async fn rotate_master(&self, op: &Op, bus: &Arc<dyn Bus>) -> Result<()> {
        access::require(op, ROTATE)?;
        let mut master = self.0.master.lock().await;
        if master.file().read_only {
            return Err(Error::Conflict(format!(
                "the master key is the credential {}: put a new key on a line above the old one and restart the hub, then remove the old line",
                master.file().path.display()
            )));
        }
        master.add(&self.0.random)?;
        self.rewrap(&mut master, Some((op, bus))).await?;
        Ok(())
    }

    async fn finish_rotation(&self) -> Result<(), SealError> {
        let mut master = self.0.master.lock().await;
        let stale = store::all(&self.0.store).await?.iter().any(|row| row.master_id != master.newest_id());
        if stale || master.holds_old_keys() {
            self.rewrap(&mut master, None).await?;
        }
        Ok(())
    }

    /// Wraps every data key under the newest master key, then forgets the older ones.
    async fn rewrap(
        &self,
        master: &mut MasterKeys,
        record: Option<(&Op, &Arc<dyn Bus>)>,
    ) -> Result<(), SealError> {
        let mut act = self.0.store.begin().await?;
        for row in store::all_in(act.connection()).await? {
            let wrapped = master.wrap(&self.0.random, &row.id, &master.unwrap(&row)?);
            store::rewrap(act.connection(), &row.id, master.newest_id(), &wrapped).await?;
        }
        if let Some((op, bus)) = record {
            let event = Event {
                action: "key.master_rotated",
                object_kind: "key",
                object_id: master.newest_id().to_owned(),
                object_name: "the master key".to_owned(),
                detail: serde_json::json!({}),
            };
            event::record(&mut act, op, bus, event).await?;
        }
        act.commit().await?;
        if master.file().read_only {
            tracing::info!(
                path = %master.file().path.display(),
                "everything is sealed under the first key of this credential; the other lines can go"
            );
            return Ok(());
        }
        master.forget_old_keys()
    }
}

async fn add_data_key(
    store: &Store,
    master: &MasterKeys,
    by_id: &mut HashMap<String, Key>,
    random: &Random,
    clock: &Clock,
) -> Result<String, SealError> {
    let id = hex::encode(random.bytes::<8>());
    let key = Key::generate(random);
    let row = store::DataKey {
        id: id.clone(),
        master_id: master.newest_id().to_owned(),
        wrapped: master.wrap(random, &id, &key),
    };
    let mut act = store.begin().await?;
    store::insert(act.connection(), &row, to_millis(clock.now())).await?;
    act.commit().await?;
    by_id.insert(id.clone(), key);
    Ok(id)
}

impl MasterFile {
    /// The file of a data folder, or the credential that systemd handed over in its place.
    pub fn find(folder: &Path, credentials: Option<&Path>) -> Self {
        match credentials.map(|folder| folder.join(master::NAME)).filter(|path| path.exists()) {
            Some(path) => Self { path, read_only: true },
            None => Self { path: folder.join(master::NAME), read_only: false },
        }
    }
}
