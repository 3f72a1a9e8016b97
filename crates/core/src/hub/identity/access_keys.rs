//! The hub's shared access key: a file with one line, and after a rotation a second one for as long as the old key is
//! let in.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use nave_link::access_key::{AccessKey, Fingerprint, KeySecret, Prefix};
use nave_link::random::Random;
use nave_link::secret_file;
use serde_json::{Value, json};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::IdentityError;
use crate::clock::{from_millis, to_millis};
use crate::hub::access::{self, Action, Roles};
use crate::hub::bus::Notice;
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};
use crate::hub::event::Event;
use crate::hub::op::Op;

/// Showing the shared access key.
pub const SHOW: Action = Action::new("key.show", Roles::ADMINS);
/// Replacing it.
pub const ROTATE: Action = Action::new("key.rotate", Roles::ADMINS);

const LONGEST_GRACE: Duration = Duration::from_hours(90 * 24);
const FILE: &str = "hub-access-key";
const PREVIOUS: &str = "hub-access-key.previous";

/// The shared access key.
#[derive(Debug)]
pub struct AccessKeys {
    folder: PathBuf,
    fingerprint: Fingerprint,
    secrets: RwLock<Secrets>,
}

struct Secrets {
    current: Zeroizing<String>,
    previous: Option<(Zeroizing<String>, OffsetDateTime)>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

impl AccessKeys {
    /// Loads the key from `cert/`, or makes it if it is not there. If the certificate was replaced, the secret is kept under
    /// the new certificate's prefix; the second result says so.
    pub fn load_or_make(
        folder: &Path,
        fingerprint: Fingerprint,
        random: &Random,
    ) -> Result<(Self, bool), IdentityError> {
        let path = folder.join(FILE);
        let mut renamed = false;
        let current = match secret_file::read_private(&path, None) {
            Ok(text) => {
                let key: AccessKey =
                    text.parse().map_err(|error| IdentityError::unusable(&path, format!("{error}")))?;
                let KeySecret::Shared(secret) = key.secret() else {
                    return Err(IdentityError::unusable(
                        path,
                        "it holds a key of one node, not the hub's: restore it from a backup",
                    ));
                };
                let secret = secret.clone();
                renamed = !key.prefix().matches(&fingerprint);
                if renamed {
                    secret_file::replace(&path, &line(&fingerprint, &secret), 0o600)?;
                }
                secret
            }
            Err(error) if error.is_missing() => {
                let secret = AccessKey::new_shared_secret(random);
                secret_file::create(&path, &line(&fingerprint, &secret), 0o600)?;
                secret
            }
            Err(error) => return Err(error.into()),
        };
        let previous = read_previous(&folder.join(PREVIOUS))?;
        let secrets = RwLock::new(Secrets { current, previous });
        Ok((Self { folder: folder.to_owned(), fingerprint, secrets }, renamed))
    }

    /// The fingerprint of the certificate that the key speaks of.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The first part of the key, which is no secret.
    pub fn prefix(&self) -> Prefix {
        self.fingerprint.prefix()
    }

    /// Where the key lies.
    pub fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Whether a presented key is the hub's, or was until a rotation whose grace has not ended.
    pub fn check(&self, presented: &AccessKey, now: OffsetDateTime) -> Result<()> {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        // Both are always compared, so that the time tells nothing.
        let current = presented.secret().is(&secrets.current);
        let previous = secrets
            .previous
            .as_ref()
            .is_some_and(|(secret, ends)| presented.secret().is(secret) && (now < *ends));
        let ours = presented.prefix().matches(&self.fingerprint);
        if (current | previous) & ours {
            return Ok(());
        }
        Err(Error::Unauthenticated(
            "the access key is wrong: `nave key show` on the hub's machine prints the right one".to_owned(),
        ))
    }

    /// When a secret ends that was found right before, of which only the hash is at hand: `None` for the present one.
    pub fn end_of(&self, secret_hash: &str, now: OffsetDateTime) -> Result<Option<OffsetDateTime>> {
        let is = |secret: &Zeroizing<String>| {
            let hash = KeySecret::Shared(secret.clone()).hash();
            bool::from(subtle::ConstantTimeEq::ct_eq(hash.as_bytes(), secret_hash.as_bytes()))
        };
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        match &secrets.previous {
            _ if is(&secrets.current) => Ok(None),
            Some((secret, ends)) if is(secret) && now < *ends => Ok(Some(*ends)),
            _ => Err(Error::Unauthenticated(
                "the access key was replaced: `nave key show` on the hub's machine prints the new one"
                    .to_owned(),
            )),
        }
    }

    fn reveal(&self, full: bool) -> Zeroizing<String> {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let prefix = if full { self.fingerprint.full() } else { self.fingerprint.prefix() };
        AccessKey::shared(prefix, secrets.current.clone()).reveal()
    }

    fn replace(
        &self,
        secret: Zeroizing<String>,
        grace_ends: Option<OffsetDateTime>,
    ) -> Result<Secrets, IdentityError> {
        self.put(Secrets { previous: grace_ends.map(|ends| (self.current(), ends)), current: secret })
    }

    fn current(&self) -> Zeroizing<String> {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner).current.clone()
    }

    /// Writes these secrets and returns those before them.
    fn put(&self, new: Secrets) -> Result<Secrets, IdentityError> {
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        let path = self.folder.join(PREVIOUS);
        let text = match &new.previous {
            Some((secret, ends)) => Zeroizing::new(format!("{} {}\n", to_millis(*ends), secret.as_str())),
            None => Zeroizing::new("0 -\n".to_owned()),
        };
        secret_file::replace(&path, text.as_bytes(), 0o600)?;
        secret_file::replace(&self.path(), &line(&self.fingerprint, &new.current), 0o600)?;
        Ok(std::mem::replace(&mut *secrets, new))
    }
}

/// The shared access key; with `full`, after the whole fingerprint of the hub's certificate and not only its beginning.
/// Whoever has seen it has it, which is worth a line in the audit log.
pub async fn show(op: &Op, hub: &Hub, full: bool) -> Result<Zeroizing<String>> {
    access::require(op, SHOW)?;
    let mut act = hub.store.begin().await?;
    hub.record(&mut act, op, about("key.shown", Value::Null)).await?;
    act.commit().await?;
    Ok(hub.access_keys.reveal(full))
}

/// When a grace ends that begins now; no longer one is let through than a key should live beside its successor.
pub fn grace_end(now: OffsetDateTime, grace: Duration) -> Result<OffsetDateTime> {
    if grace > LONGEST_GRACE {
        return Err(Error::invalid("grace", "must be at most 90 days"));
    }
    Ok(now + grace)
}

/// Makes a new secret under the same prefix. The old one is let in until `grace` has passed; live connections stay.
pub async fn rotate(op: &Op, hub: &Hub, grace: Duration) -> Result<Zeroizing<String>> {
    access::require(op, ROTATE)?;
    let ends = if grace.is_zero() { None } else { Some(grace_end(op.clock.now(), grace)?) };
    let mut act = hub.store.begin().await?;
    hub.record(&mut act, op, about("key.rotated", json!({ "grace_seconds": grace.as_secs() }))).await?;
    let before =
        hub.access_keys.replace(AccessKey::new_shared_secret(&hub.random), ends).map_err(Error::internal)?;
    if let Err(error) = act.commit().await {
        // No key changes without its line in the audit log.
        hub.access_keys.put(before).map_err(Error::internal)?;
        return Err(error);
    }
    hub.bus.publish(Notice { topic: "key", key: "access-key".to_owned() });
    Ok(hub.access_keys.reveal(false))
}

fn about(action: &'static str, detail: Value) -> Event {
    Event {
        action,
        object_kind: "key",
        object_id: "access-key".to_owned(),
        object_name: "the shared access key".to_owned(),
        detail,
    }
}

fn line(fingerprint: &Fingerprint, secret: &Zeroizing<String>) -> Zeroizing<Vec<u8>> {
    let key = AccessKey::shared(fingerprint.prefix(), secret.clone());
    Zeroizing::new(format!("{}\n", key.reveal().as_str()).into_bytes())
}

fn read_previous(path: &Path) -> Result<Option<(Zeroizing<String>, OffsetDateTime)>, IdentityError> {
    let text = match secret_file::read_private(path, None) {
        Ok(text) => text,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let (ends, secret) = text.trim().split_once(' ').ok_or_else(|| {
        IdentityError::unusable(
            path,
            "it is damaged: remove it; keys from before the last rotation then end at once",
        )
    })?;
    let ends = ends.parse().map(from_millis).map_err(|_| {
        IdentityError::unusable(
            path,
            "it is damaged: remove it; keys from before the last rotation then end at once",
        )
    })?;
    Ok(Some((Zeroizing::new(secret.to_owned()), ends)))
}
