//! The master key's file: one key a line, 43 characters of base64url each, the newest first. More than one only while
//! a rotation is under way. What is wrapped under them is not kept here.

use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nave_link::random::Random;
use nave_link::secret_file;
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::SealError;
use super::cipher::Key;
use super::store::DataKey;

/// Name of the file, in the data folder or among systemd's credentials.
pub(super) const NAME: &str = "master.key";
/// More lines than any rotation leaves.
const MAX_KEYS: usize = 16;

/// Where the master key is.
#[derive(Clone, Debug)]
pub struct MasterFile {
    /// Its path.
    pub path: PathBuf,
    /// It is a credential that the hub cannot replace, and that systemd guards in the place of its mode.
    pub read_only: bool,
}

/// The master keys, newest first; never empty.
pub(super) struct MasterKeys {
    file: MasterFile,
    keys: Vec<(String, Key)>,
}

impl MasterKeys {
    /// Reads the file; `None` if there is none.
    pub(super) fn load(file: &MasterFile) -> Result<Option<Self>, SealError> {
        let credentials = file.path.parent().filter(|_| file.read_only);
        let text = match secret_file::read_private(&file.path, credentials) {
            Ok(text) => text,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let format = |line| SealError::Format { path: file.path.clone(), line };
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let mut raw = Zeroizing::new([0; 32]);
            match URL_SAFE_NO_PAD.decode_slice(line.trim(), raw.as_mut()) {
                Ok(32) if index < MAX_KEYS => keys.push(named(Key::new(raw))),
                _ => return Err(format(index + 1)),
            }
        }
        if keys.is_empty() {
            return Err(format(1));
        }
        Ok(Some(Self { file: file.clone(), keys }))
    }

    /// Makes the first key and its file.
    pub(super) fn create(file: MasterFile, random: &Random) -> Result<Self, SealError> {
        let new = Self { file, keys: vec![named(Key::generate(random))] };
        secret_file::create(&new.file.path, new.text().as_bytes(), 0o600)?;
        Ok(new)
    }

    /// Puts a new key before the others, in the file too.
    pub(super) fn add(&mut self, random: &Random) -> Result<(), SealError> {
        self.keys.insert(0, named(Key::generate(random)));
        let written = self.write();
        if written.is_err() {
            self.keys.remove(0);
        }
        written
    }

    /// Keeps only the newest, in the file too.
    pub(super) fn forget_old_keys(&mut self) -> Result<(), SealError> {
        self.keys.truncate(1);
        self.write()
    }

    fn write(&self) -> Result<(), SealError> {
        Ok(secret_file::replace(&self.file.path, self.text().as_bytes(), 0o600)?)
    }

    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.keys.len() * 44));
        for (_, key) in &self.keys {
            URL_SAFE_NO_PAD.encode_string(key.raw(), &mut text);
            text.push('\n');
        }
        text
    }

    pub(super) fn file(&self) -> &MasterFile {
        &self.file
    }

    pub(super) fn newest_id(&self) -> &str {
        &self.keys[0].0
    }

    pub(super) fn holds_old_keys(&self) -> bool {
        self.keys.len() > 1
    }

    /// A data key under the newest master key.
    pub(super) fn wrap(&self, random: &Random, id: &str, data_key: &Key) -> String {
        self.keys[0].1.seal(random, &place(id), data_key.raw())
    }

    /// The reverse, under whichever master key it was wrapped.
    pub(super) fn unwrap(&self, row: &DataKey) -> Result<Key, SealError> {
        let (_, master) = self
            .keys
            .iter()
            .find(|(id, _)| *id == row.master_id)
            .ok_or_else(|| SealError::Wrong { path: self.file.path.clone(), id: row.master_id.clone() })?;
        let damaged = || SealError::Damaged { what: place(&row.id) };
        let raw = master.unseal(&place(&row.id), &row.wrapped).ok_or_else(damaged)?;
        let raw: [u8; 32] = raw.expose_secret().try_into().map_err(|_| damaged())?;
        Ok(Key::new(Zeroizing::new(raw)))
    }
}

fn place(id: &str) -> String {
    format!("data_keys/wrapped/{id}")
}

/// A key's id is the start of a hash of it: it names the key and tells nothing about it.
fn named(key: Key) -> (String, Key) {
    let mut labelled = Zeroizing::new([0; 48]);
    labelled[..16].copy_from_slice(b"nave-master-id/1");
    labelled[16..].copy_from_slice(key.raw());
    (hex::encode(&digest(&SHA256, labelled.as_ref()).as_ref()[..8]), key)
}
