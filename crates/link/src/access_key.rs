//! Access keys: `<fingerprint prefix>+<secret>`, shared out of band, by which a client that knows nothing else
//! checks the hub's certificate and is let in. The form is that of NAISYS's hub access keys.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::random::Random;

/// The shortest part of a fingerprint that names a certificate, in hex characters.
pub const MIN_PREFIX: usize = 16;
const FULL: usize = 64;
const MAX_SECRET: usize = 128;

/// SHA-256 over a certificate's DER.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a certificate in DER.
    pub fn of(der: &[u8]) -> Self {
        Self(digest::digest(&digest::SHA256, der).as_ref().try_into().expect("SHA-256 gives 32 bytes"))
    }

    /// The first 16 characters: what an access key begins with.
    pub fn prefix(&self) -> Prefix {
        Prefix(self.to_string()[..MIN_PREFIX].to_owned())
    }

    /// All 64 characters, for an access key where the network is hostile.
    pub fn full(&self) -> Prefix {
        Prefix(self.to_string())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The beginning of a fingerprint: 16 to 64 lower-case hex characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// Whether a fingerprint begins so.
    pub fn matches(&self, fingerprint: &Fingerprint) -> bool {
        fingerprint.to_string().starts_with(&self.0)
    }

    /// Whether it is the whole fingerprint.
    pub fn is_full(&self) -> bool {
        self.0.len() == FULL
    }
}

impl FromStr for Prefix {
    type Err = AccessKeyError;

    fn from_str(text: &str) -> Result<Self, AccessKeyError> {
        let hex: String = text.trim().chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
        let fits = (MIN_PREFIX..=FULL).contains(&hex.len());
        if !fits || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(AccessKeyError::Prefix(hex.len()));
        }
        Ok(Self(hex))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not an access key. None of the texts holds a part of the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessKeyError {
    /// There is no `+` in it.
    #[error(
        "the access key has no \"+\" in it: it should look like 3fa91c0d5e7b2a46+…; copy it whole from `nave key show`"
    )]
    Form,
    /// Hex in upper case: unchanged clients would not accept it either.
    #[error(
        "the access key is written in upper case: it must be in lower case, as `nave key show` prints it"
    )]
    UpperCase,
    /// The part before the `+` is too short, too long, or no hex.
    #[error(
        "the access key's first part must have 16 to 64 characters 0-9 and a-f (it has {0}): copy it whole from `nave key show`"
    )]
    Prefix(usize),
    /// The part after the `+` is too short.
    #[error(
        "the access key's part after the \"+\" is too short (truncated?): copy it whole from `nave key show`"
    )]
    TooShort,
    /// The part after the `+` is too long.
    #[error(
        "the access key's part after the \"+\" is too long (two keys in one line?): copy it whole from `nave key show`"
    )]
    TooLong,
    /// The part after the `+` holds a character that no key has.
    #[error(
        "the access key's part after the \"+\" holds a character that no key has: copy it whole from `nave key show`"
    )]
    Secret,
}

/// An access key, shared or of one node. It cannot be printed by accident.
#[derive(Clone)]
pub struct AccessKey {
    prefix: Prefix,
    secret: KeySecret,
}

/// What follows the `+`.
#[derive(Clone)]
pub enum KeySecret {
    /// The hub's shared secret: 16 lower-case hex characters.
    Shared(Zeroizing<String>),
    /// One node's own: the id of the key, and 256 random bits in base64url.
    PerNode {
        /// Which key.
        id: String,
        /// The secret.
        secret: Zeroizing<String>,
    },
}

impl AccessKey {
    /// The shared key of a hub: `secret` is 16 lower-case hex characters.
    pub fn shared(prefix: Prefix, secret: Zeroizing<String>) -> Self {
        Self { prefix, secret: KeySecret::Shared(secret) }
    }

    /// A new shared secret.
    pub fn new_shared_secret(random: &Random) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(random.bytes::<8>()))
    }

    /// A new key of one node.
    pub fn new_per_node(fingerprint: &Fingerprint, id: &str, random: &Random) -> Self {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(random.bytes::<32>()));
        Self { prefix: fingerprint.full(), secret: KeySecret::PerNode { id: id.to_owned(), secret } }
    }

    /// Which certificates it fits.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// What follows the `+`.
    pub fn secret(&self) -> &KeySecret {
        &self.secret
    }

    /// The whole text. As good as the key itself: for whoever asked for it, and for the wire.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(match &self.secret {
            KeySecret::Shared(secret) => format!("{}+{}", self.prefix, secret.as_str()),
            KeySecret::PerNode { id, secret } => format!("{}+{id}.{}", self.prefix, secret.as_str()),
        })
    }

    /// The plain form of a node's own key, for programs that take 64 hex characters and know no fingerprint: its secret's
    /// bytes in lower-case hex. The shared key has none.
    pub fn plain(&self) -> Option<Zeroizing<String>> {
        let KeySecret::PerNode { secret, .. } = &self.secret else { return None };
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(secret.as_bytes()).ok()?);
        Some(Zeroizing::new(hex::encode(&*bytes)))
    }

    /// The hash, as [`KeySecret::hash`] has it, of the key that has this plain form; `None` if it is no such form.
    pub fn hash_of_plain(text: &str) -> Option<String> {
        let is_hex = |c: char| c.is_ascii_digit() || matches!(c, 'a'..='f');
        let bytes = Some(text).filter(|text| text.len() == FULL && text.chars().all(is_hex));
        let bytes = Zeroizing::new(hex::decode(bytes?).ok()?);
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*bytes));
        Some(KeySecret::PerNode { id: String::new(), secret }.hash())
    }
}

impl KeySecret {
    /// Compares in a time that does not tell how much of it was right.
    pub fn is(&self, other: &str) -> bool {
        let (Self::Shared(secret) | Self::PerNode { secret, .. }) = self;
        secret.as_bytes().ct_eq(other.as_bytes()).into()
    }

    /// SHA-256 in lower-case hex, for storing: a per-node secret has 256 random bits, so that a plain hash is as good as
    /// a slow one.
    pub fn hash(&self) -> String {
        let (Self::Shared(secret) | Self::PerNode { secret, .. }) = self;
        hex::encode(digest::digest(&digest::SHA256, secret.as_bytes()))
    }
}

impl FromStr for AccessKey {
    type Err = AccessKeyError;

    fn from_str(text: &str) -> Result<Self, AccessKeyError> {
        let (prefix, secret) = text.trim().split_once('+').ok_or(AccessKeyError::Form)?;
        let is_hex = |c: char| c.is_ascii_digit() || matches!(c, 'a'..='f');
        if !prefix.chars().all(is_hex) || !(MIN_PREFIX..=FULL).contains(&prefix.len()) {
            let upper = prefix.chars().any(|c| matches!(c, 'A'..='F'))
                && prefix.chars().all(|c| c.is_ascii_hexdigit());
            return Err(if upper {
                AccessKeyError::UpperCase
            } else {
                AccessKeyError::Prefix(prefix.chars().count())
            });
        }
        let prefix = Prefix(prefix.to_owned());
        if secret.len() > MAX_SECRET {
            return Err(AccessKeyError::TooLong);
        }
        let secret = match secret.split_once('.') {
            Some((id, secret)) => {
                let plain =
                    |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
                match (plain(id) && !id.is_empty() && plain(secret), secret.len()) {
                    (false, _) => return Err(AccessKeyError::Secret),
                    (true, ..=42) => return Err(AccessKeyError::TooShort),
                    (true, 44..) => return Err(AccessKeyError::TooLong),
                    _ => KeySecret::PerNode { id: id.to_owned(), secret: Zeroizing::new(secret.to_owned()) },
                }
            }
            None => match (secret.chars().all(is_hex), secret.len()) {
                (false, _) if secret.chars().all(|c| c.is_ascii_hexdigit()) => {
                    return Err(AccessKeyError::UpperCase);
                }
                (false, _) => return Err(AccessKeyError::Secret),
                (true, ..=15) => return Err(AccessKeyError::TooShort),
                (true, 17..) => return Err(AccessKeyError::TooLong),
                _ => KeySecret::Shared(Zeroizing::new(secret.to_owned())),
            },
        };
        Ok(Self { prefix, secret })
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessKey({}+..)", self.prefix)
    }
}

impl Serialize for AccessKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.reveal())
    }
}

impl<'de> Deserialize<'de> for AccessKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "3fa91c0d5e7b2a46+9c1e07d2b8f35a64";

    fn error(text: &str) -> AccessKeyError {
        text.parse::<AccessKey>().unwrap_err()
    }

    #[test]
    fn a_key_survives_its_text_and_hides_its_secret() {
        let key: AccessKey = format!("{KEY}\n").parse().unwrap();
        assert_eq!(key.reveal().as_str(), KEY);
        assert!(key.secret().is("9c1e07d2b8f35a64"));
        assert!(!key.secret().is("9c1e07d2b8f35a65"));
        assert_eq!(format!("{key:?}"), "AccessKey(3fa91c0d5e7b2a46+..)");

        let own = AccessKey::new_per_node(&Fingerprint::of(b"certificate"), "k1", &Random::seeded(1));
        assert!(own.prefix().is_full());
        let again: AccessKey = own.reveal().parse().unwrap();
        assert_eq!(again.secret().hash(), own.secret().hash());
        let plain = own.plain().unwrap();
        assert_eq!((plain.len(), key.plain().is_none()), (64, true));
        assert_eq!(AccessKey::hash_of_plain(&plain), Some(own.secret().hash()));
        for wrong in [&plain[1..], &plain.to_uppercase(), "", &format!("{}g", &plain[1..])] {
            assert_eq!(AccessKey::hash_of_plain(wrong), None);
        }
    }

    #[test]
    fn each_mistake_has_its_own_words() {
        assert_eq!(error(""), AccessKeyError::Form);
        assert_eq!(error("3fa91c0d5e7b2a469c1e07d2b8f35a64"), AccessKeyError::Form);
        assert_eq!(error(&KEY.to_uppercase()), AccessKeyError::UpperCase);
        assert_eq!(error("3fa91c0d5e7b2a46+9C1E07D2B8F35A64"), AccessKeyError::UpperCase);
        assert_eq!(error("3fa91c0d+9c1e07d2b8f35a64"), AccessKeyError::Prefix(8));
        assert_eq!(error(&format!("{}+9c1e07d2b8f35a64", "a".repeat(65))), AccessKeyError::Prefix(65));
        assert_eq!(error(&KEY[..KEY.len() - 1]), AccessKeyError::TooShort);
        assert_eq!(error(&format!("{KEY}0")), AccessKeyError::TooLong);
        assert_eq!(error(&format!("{KEY}{KEY}")), AccessKeyError::Secret);
        assert_eq!(error("3fa91c0d5e7b2a46+k1.short"), AccessKeyError::TooShort);
        assert_eq!(error(&format!("3fa91c0d5e7b2a46+.{}", "A".repeat(43))), AccessKeyError::Secret);
    }

    #[test]
    fn a_prefix_fits_its_certificate_only() {
        let (ours, other) = (Fingerprint::of(b"ours"), Fingerprint::of(b"other"));
        assert!(ours.prefix().matches(&ours) && ours.full().matches(&ours));
        assert!(!ours.prefix().matches(&other));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_survives(text in "[0-9a-fA-F+.]{0,150}|\\PC{0,60}") {
            if let Ok(key) = text.parse::<AccessKey>() {
                let again = key.reveal();
                prop_assert_eq!(again.as_str(), text.trim());
            }
        }
    }
}
