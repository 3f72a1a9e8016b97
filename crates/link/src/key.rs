//! Long-lived Ed25519 keys: the names by which hub and nodes know each other, whatever certificate carries
//! the connection.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::random::Random;

/// DER of a `SubjectPublicKeyInfo` for Ed25519 up to the key itself (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// DER of a PKCS#8 version 1 private key for Ed25519 up to the seed (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// Why a key could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 key: {0}")]
pub struct KeyError(&'static str);

/// The private half. It cannot be printed.
pub struct SecretKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
}

impl SecretKey {
    /// A new key.
    pub fn generate(random: &Random) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(seed.as_mut());
        Self::from_seed(seed)
    }

    fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).expect("any 32 bytes are a seed");
        Self { seed, pair }
    }

    /// Reads what [`SecretKey::to_pem`] wrote: PKCS#8 in PEM (RFC 8410).
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let body = text
            .trim()
            .strip_prefix(PEM_BEGIN)
            .and_then(|rest| rest.strip_suffix(PEM_END))
            .ok_or(KeyError("the file does not hold one PEM block of type PRIVATE KEY"))?;
        let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
        let der =
            Zeroizing::new(STANDARD.decode(body.as_str()).map_err(|_| KeyError("its base64 is damaged"))?);
        let seed = der
            .strip_prefix(&PKCS8_PREFIX)
            .and_then(|seed| <[u8; 32]>::try_from(seed).ok())
            .ok_or(KeyError("it holds some other kind of key"))?;
        Ok(Self::from_seed(Zeroizing::new(seed)))
    }

    /// PKCS#8 in PEM (RFC 8410), as OpenSSL reads it.
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", STANDARD.encode(self.to_pkcs8().as_slice())))
    }

    /// PKCS#8 in DER, for TLS libraries.
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([PKCS8_PREFIX.as_slice(), self.seed.as_slice()].concat())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.pair.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes"))
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.pair.sign(message).as_ref().try_into().expect("an Ed25519 signature has 64 bytes"))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// The public half: 32 bytes, written as 43 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The raw key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// SHA-256 of the raw key: how a join token names the hub.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest(
            digest::digest(&digest::SHA256, &self.0).as_ref().try_into().expect("SHA-256 gives 32 bytes"),
        )
    }

    /// DER of the `SubjectPublicKeyInfo`: the "raw public key" of RFC 7250.
    pub fn to_spki(&self) -> Vec<u8> {
        [SPKI_PREFIX.as_slice(), self.0.as_slice()].concat()
    }

    /// The reverse of [`PublicKey::to_spki`].
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let raw = der.strip_prefix(&SPKI_PREFIX).ok_or(KeyError("it holds some other kind of key"))?;
        raw.try_into().map(Self).map_err(|_| KeyError("it has the wrong length"))
    }

    /// Whether the owner of this key signed the message.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, &signature.0).is_ok()
    }
}

/// SHA-256 of a public key: 32 bytes, written as 43 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest([u8; 32]);

/// An Ed25519 signature: 64 bytes, written as 86 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

macro_rules! base64url {
    ($name:ident, $length:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                let mut raw = [0; $length];
                match URL_SAFE_NO_PAD.decode_slice(text, &mut raw) {
                    Ok($length) => Ok(Self(raw)),
                    _ => Err(KeyError(concat!("it is not base64url of ", stringify!($length), " bytes"))),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

base64url!(PublicKey, 32);
base64url!(KeyDigest, 32);
base64url!(Signature, 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_its_text() {
        let key = SecretKey::generate(&Random::seeded(1));
        let again = SecretKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(key.public().to_string().parse(), Ok(key.public()));
        assert_eq!(PublicKey::from_spki(&key.public().to_spki()), Ok(key.public()));
    }

    #[test]
    fn signatures_hold_for_one_message_and_one_key() {
        let random = Random::seeded(2);
        let (ours, other) = (SecretKey::generate(&random), SecretKey::generate(&random));
        let signature = ours.sign(b"message");
        assert!(ours.public().verify(b"message", &signature));
        assert!(!ours.public().verify(b"massage", &signature));
        assert!(!other.public().verify(b"message", &signature));
    }

    #[test]
    fn damaged_files_say_what_is_wrong() {
        let pem = SecretKey::generate(&Random::seeded(3)).to_pem();
        assert!(SecretKey::from_pem("").is_err());
        assert!(SecretKey::from_pem(&pem[..60]).is_err());
        assert!(SecretKey::from_pem(&pem.replace("MC4", "MC5")).is_err());
        assert!("short".parse::<PublicKey>().is_err());
    }

    #[test]
    fn a_secret_key_prints_only_its_public_half() {
        let key = SecretKey::generate(&Random::seeded(4));
        assert_eq!(format!("{key:?}"), format!("SecretKey(of {})", key.public()));
    }
}
