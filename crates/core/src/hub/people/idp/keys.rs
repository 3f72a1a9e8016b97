//! The keys that ID tokens are signed with: RSA, made when one is first needed, sealed in the database, and replaced by
//! themselves. A key that signs no more is published until everything that it signed has ended.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::super::config::LONGEST_ID_TOKEN;
use super::super::store::signing_keys::{self as table, SigningKeyRow};
use crate::hub::context::Hub;
use crate::hub::error::{Error, Result};

/// For how long a key signs.
const SIGNS: Duration = Duration::from_hours(30 * 24);
/// For how long it is published from when it was made: clocks differ, so for a little longer than its last token is good.
const PUBLISHED: Duration = Duration::from_hours(31 * 24).saturating_add(LONGEST_ID_TOKEN);

/// Keys made before then are of no use any more.
pub(super) fn oldest(now: OffsetDateTime) -> OffsetDateTime {
    now - PUBLISHED
}

/// One key.
pub(super) struct SigningKey {
    id: String,
    pair: KeyPair,
    created_at: OffsetDateTime,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

/// The keys as far as they were read, the newest first.
#[derive(Debug, Default)]
pub struct SigningKeys(Mutex<Vec<Arc<SigningKey>>>);

impl SigningKeys {
    /// The key that signs now.
    pub(super) async fn current(&self, hub: &Hub) -> Result<Arc<SigningKey>> {
        Ok(Arc::clone(&self.all(hub).await?[0]))
    }

    /// All that are published, as a JSON Web Key Set (RFC 7517, section 5).
    pub(super) async fn published(&self, hub: &Hub) -> Result<Value> {
        let keys: Vec<Value> = self.all(hub).await?.iter().map(|key| key.public()).collect();
        Ok(json!({ "keys": keys }))
    }

    /// All that are published, of which the first signs; makes one if none may sign any more.
    async fn all(&self, hub: &Hub) -> Result<Vec<Arc<SigningKey>>> {
        let mut known = self.0.lock().await;
        let now = hub.clock.now();
        // Another hub on this database may have made one, or forgotten some.
        let rows = table::all(&mut *hub.store.read().await?).await?;
        let mut keys = Vec::with_capacity(rows.len() + 1);
        for row in rows.into_iter().filter(|row| row.created_at > oldest(now)) {
            let same = known.iter().find(|key| key.id == row.id).map(Arc::clone);
            keys.push(match same {
                Some(key) => key,
                None => Arc::new(SigningKey::read(hub, row).await?),
            });
        }
        if keys.first().is_none_or(|key| key.created_at + SIGNS <= now) {
            keys.insert(0, Arc::new(SigningKey::make(hub, now).await?));
        }
        known.clone_from(&keys);
        Ok(keys)
    }
}

/// Where a key is kept, for the seal.
fn place(id: &str) -> String {
    format!("signing_keys/private_key/{id}")
}

impl SigningKey {
    async fn make(hub: &Hub, now: OffsetDateTime) -> Result<Self> {
        // Looking for primes takes a good part of a second.
        let made = tokio::task::spawn_blocking(|| KeyPair::generate(KeySize::Rsa2048)).await;
        let pair = made.map_err(Error::internal)?.map_err(|_| Error::internal("no RSA key could be made"))?;
        let der: Pkcs8V1Der<'_> =
            pair.as_der().map_err(|_| Error::internal("an RSA key could not be written"))?;
        let id = hex::encode(hub.random.bytes::<8>());
        let private_key = hub.sealer.seal(&place(&id), der.as_ref());
        let mut act = hub.store.begin().await?;
        table::insert(&mut act, &SigningKeyRow { id: id.clone(), private_key, created_at: now }).await?;
        act.commit().await?;
        tracing::info!(key = id, "a new key signs ID tokens from now on");
        Ok(Self { id, pair, created_at: now })
    }

    async fn read(hub: &Hub, row: SigningKeyRow) -> Result<Self> {
        let der = hub.sealer.unseal(&place(&row.id), &row.private_key).await?;
        let pair = KeyPair::from_pkcs8(der.expose_secret())
            .map_err(|error| Error::internal(format!("signing key {}: {error}", row.id)))?;
        Ok(Self { id: row.id, pair, created_at: row.created_at })
    }

    fn public(&self) -> Value {
        let key = self.pair.public_key();
        let text = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
        json!({
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.id,
            "n": text(key.modulus().big_endian_without_leading_zero()),
            "e": text(key.exponent().big_endian_without_leading_zero()),
        })
    }

    /// Signs claims, as a JSON Web Token (RFC 7519) in its compact form.
    pub(super) fn sign(&self, claims: &Value) -> Result<String> {
        let header = json!({ "alg": "RS256", "kid": self.id, "typ": "JWT" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| Error::internal("an ID token could not be signed"))?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
