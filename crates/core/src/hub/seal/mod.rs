//! Sealing: what the hub must be able to read again is kept encrypted in the database. Values are sealed under data
//! keys, which lie in the database sealed under the master key, which lies in a file (or a systemd credential). So a
//! new master key rewraps a few data keys and touches no value.

mod master;
mod store;

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nave_link::random::Random;
use serde_json::json;
use zeroize::Zeroizing;

use master::MasterKeys;

use super::access::{self, Action};
use super::context::Hub;
use super::error::{Error, Result};
use super::event::Event;
use super::identity::IdentityError;
use super::op::Op;
use super::store::Act;

/// Replacing the master key.
pub const ROTATE: Action = Action("key.rotate_master");

/// With what a sealed value begins: the version of its form.
const VERSION: &str = "s1";

/// Seals and opens values.
pub struct Sealer {
    path: PathBuf,
    random: Random,
    masters: RwLock<MasterKeys>,
}

impl Sealer {
    /// Loads the master key from `credentials` (systemd's folder) or the data folder, where it is made if it is not there.
    pub fn load_or_make(
        folder: &Path,
        credentials: Option<&Path>,
        random: &Random,
    ) -> Result<Self, IdentityError> {
        let handed_over = credentials.map(|folder| folder.join("master.key")).filter(|path| path.exists());
        let path = handed_over.unwrap_or_else(|| folder.join("master.key"));
        let masters = MasterKeys::load_or_make(&path, credentials, random)?;
        Ok(Self { path, random: random.clone(), masters: RwLock::new(masters) })
    }

    /// Seals a value. `what` says what it is (table, column and row, say), and must be the same when it is opened: a sealed
    /// value cannot be moved elsewhere.
    pub async fn seal(
        &self,
        act: &mut Act,
        what: &str,
        value: &[u8],
        now: time::OffsetDateTime,
    ) -> Result<String> {
        let (id, key) = match store::newest(act.connection()).await? {
            Some(wrapped) => (wrapped.id.clone(), self.unwrap(&wrapped)?),
            None => {
                let key = Zeroizing::new(self.random.bytes::<32>());
                let id = hex::encode(self.random.bytes::<6>());
                let wrapped = self.wrap(&id, &key);
                store::insert(act, &wrapped, now).await?;
                (id, key)
            }
        };
        Ok(format!("{VERSION}.{id}.{}", encrypt(&key, what, value, &self.random)))
    }

    /// Opens a sealed value.
    pub async fn open(
        &self,
        reader: &mut sqlx::AnyConnection,
        what: &str,
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let broken =
            || Error::internal(format!("the sealed value of {what} is damaged, or sealed under a lost key"));
        let mut parts = sealed.splitn(3, '.');
        let (Some(VERSION), Some(id), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(broken());
        };
        let wrapped = store::by_id(reader, id).await?.ok_or_else(broken)?;
        let key = self.unwrap(&wrapped)?;
        decrypt(&key, what, text).ok_or_else(broken)
    }

    fn wrap(&self, id: &str, key: &[u8; 32]) -> WrappedKey {
        let masters = self.masters.read().unwrap_or_else(PoisonError::into_inner);
        let (master_id, master) = masters.current();
        let sealed = encrypt(master, &format!("data key {id}"), key, &self.random);
        WrappedKey { id: id.to_owned(), master_id: master_id.to_owned(), sealed }
    }

    fn unwrap(&self, wrapped: &WrappedKey) -> Result<Zeroizing<[u8; 32]>> {
        let masters = self.masters.read().unwrap_or_else(PoisonError::into_inner);
        let key = masters
            .by_id(&wrapped.master_id)
            .and_then(|master| decrypt(master, &format!("data key {}", wrapped.id), &wrapped.sealed))
            .and_then(|key| <[u8; 32]>::try_from(key.as_slice()).ok());
        key.map(Zeroizing::new).ok_or_else(|| {
            Error::internal(format!(
                "the master key {} in {} does not open what the database holds: restore the file from a backup",
                wrapped.master_id,
                self.path.display()
            ))
        })
    }
}

/// Makes a new master key and rewraps every data key under it. A crash at any moment leaves a file that opens the
/// database: it holds both keys until the rewrap is committed.
pub async fn rotate_master(op: &Op, hub: &Hub) -> Result<usize> {
    access::require(op, ROTATE)?;
    let sealer = &hub.sealer;
    let mut act = hub.store.begin().await?;
    let wrapped = store::all(act.connection()).await?;
    let keys: Vec<_> = wrapped.iter().map(|wrapped| sealer.unwrap(wrapped)).collect::<Result<_>>()?;
    let new = {
        let mut masters = sealer.masters.write().unwrap_or_else(PoisonError::into_inner);
        masters.put_first(&sealer.random);
        masters.save(&sealer.path).map_err(Error::internal)?;
        masters.current().0.to_owned()
    };
    for (wrapped, key) in wrapped.iter().zip(&keys) {
        store::update(&mut act, &sealer.wrap(&wrapped.id, key)).await?;
    }
    let event = Event {
        action: "key.master_rotated",
        object_kind: "key",
        object_id: "master-key".to_owned(),
        object_name: "the master key".to_owned(),
        detail: json!({ "master": new, "data_keys": wrapped.len() }),
    };
    hub.record(&mut act, op, event).await?;
    act.commit().await?;
    let mut masters = sealer.masters.write().unwrap_or_else(PoisonError::into_inner);
    masters.keep_only_first();
    masters.save(&sealer.path).map_err(Error::internal)?;
    Ok(wrapped.len())
}

/// A data key as the database has it.
#[derive(Clone, Debug)]
struct WrappedKey {
    id: String,
    master_id: String,
    sealed: String,
}

/// AES-256-GCM: nonce and ciphertext in base64url. A data key seals far fewer than 2^32 values, so that random nonces are
/// safe (NIST SP 800-38D, section 8.3).
fn encrypt(key: &[u8; 32], what: &str, value: &[u8], random: &Random) -> String {
    let nonce: [u8; NONCE_LEN] = random.bytes();
    let mut text = value.to_vec();
    aead(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(what.as_bytes()), &mut text)
        .expect("a value in memory is shorter than the cipher's limit");
    URL_SAFE_NO_PAD.encode([nonce.as_slice(), &text].concat())
}

fn decrypt(key: &[u8; 32], what: &str, text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
    let nonce: [u8; NONCE_LEN] = bytes.get(..NONCE_LEN)?.try_into().ok()?;
    let sealed = &mut bytes[NONCE_LEN..];
    let value = aead(key)
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(what.as_bytes()), sealed)
        .ok()?;
    Some(Zeroizing::new(value.to_vec()))
}

fn aead(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("the key has the cipher's length"))
}
