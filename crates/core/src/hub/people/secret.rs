//! The secrets that stand for somebody: in a cookie, in a link, in a header. The hub keeps only their hashes.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nave_link::random::Random;
use zeroize::Zeroizing;

/// 256 random bits; as text 43 characters of base64url. It cannot be printed by accident.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

/// A text that is no secret of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a secret that a hub made: copy it whole")]
pub struct NotASecret;

impl Secret {
    /// A new one.
    pub fn generate(random: &Random) -> Self {
        Self(Zeroizing::new(random.bytes()))
    }

    /// SHA-256 in lower-case hex: what the hub keeps. So many random bits need no slow hash.
    pub fn hash(&self) -> String {
        hex::encode(digest::digest(&digest::SHA256, self.0.as_ref()))
    }

    /// The text itself, for whoever it was made for.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_ref()))
    }

    /// Another secret that only the holder of this one and the hub can know: 32 hex digits.
    pub fn derive(&self, purpose: &str) -> Zeroizing<String> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_ref());
        Zeroizing::new(hex::encode(&hmac::sign(&key, purpose.as_bytes()).as_ref()[..16]))
    }

    /// Whether a text is what [`Secret::derive`] makes, compared in constant time.
    pub fn derives(&self, purpose: &str, text: &str) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.derive(purpose).as_bytes(), text.as_bytes()).into()
    }
}

impl FromStr for Secret {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, NotASecret> {
        let mut raw = Zeroizing::new([0; 32]);
        match URL_SAFE_NO_PAD.decode_slice(text, raw.as_mut()) {
            Ok(32) => Ok(Self(raw)),
            _ => Err(NotASecret),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_survives_its_text_and_prints_nothing() {
        let secret = Secret::generate(&Random::seeded(1));
        let again: Secret = secret.reveal().parse().unwrap();
        assert_eq!(again.hash(), secret.hash());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        for bad in ["", "x", &"A".repeat(42), &"A".repeat(44), &"!".repeat(43)] {
            assert!(bad.parse::<Secret>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_derived_depends_on_secret_and_purpose() {
        let (a, b) = (Secret::generate(&Random::seeded(1)), Secret::generate(&Random::seeded(2)));
        assert!(a.derives("form", &a.derive("form")));
        assert!(!a.derives("form", &a.derive("other")) && !a.derives("form", &b.derive("form")));
        assert!(!a.derives("form", ""));
    }
}
