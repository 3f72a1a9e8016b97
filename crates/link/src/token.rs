//! The join token: `nave1.<hub>.<secret>`, pasted once, which names the hub's key and carries a one-time secret.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::key::{KeyDigest, PublicKey};
use crate::random::Random;

const PREFIX: &str = "nave1";
const MAX_LENGTH: usize = 256;

/// Why a text is not a join token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not begin as tokens do.
    #[error(
        "this is not a join token: it should begin with \"nave1.\"; copy the whole line that `nave invite` printed"
    )]
    Prefix,
    /// It begins as a token, but is not whole.
    #[error("the join token is damaged in its {0} part; copy the whole line that `nave invite` printed")]
    Damaged(&'static str),
}

/// The one-time secret of an invitation: 128 random bits. It cannot be printed by accident.
#[derive(Clone)]
pub struct JoinSecret(Zeroizing<[u8; 16]>);

impl JoinSecret {
    /// A new secret.
    pub fn generate(random: &Random) -> Self {
        Self(Zeroizing::new(random.bytes()))
    }

    /// SHA-256 in lower-case hex: what the hub stores. The secret has 128 random bits, so that a plain hash is
    /// as good as a slow one.
    pub fn hash(&self) -> String {
        hex::encode(digest::digest(&digest::SHA256, self.0.as_ref()))
    }

    /// The secret itself, for the wire.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_ref()))
    }
}

impl FromStr for JoinSecret {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut raw = Zeroizing::new([0; 16]);
        match URL_SAFE_NO_PAD.decode_slice(text, raw.as_mut()) {
            Ok(16) => Ok(Self(raw)),
            _ => Err(TokenError::Damaged("secret")),
        }
    }
}

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecret(..)")
    }
}

impl Serialize for JoinSecret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.reveal())
    }
}

impl<'de> Deserialize<'de> for JoinSecret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A join token.
#[derive(Clone, Debug)]
pub struct JoinToken {
    /// Names the hub: the digest of its public key.
    pub hub: KeyDigest,
    /// Redeems the invitation.
    pub secret: JoinSecret,
}

impl JoinToken {
    /// The token of a new invitation to this hub.
    pub fn generate(hub: &PublicKey, random: &Random) -> Self {
        Self { hub: hub.digest(), secret: JoinSecret::generate(random) }
    }

    /// The text to paste. It is as good as the invitation itself: show it to whoever asked for it, nowhere else.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}.{}.{}", self.hub, self.secret.reveal().as_str()))
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > MAX_LENGTH {
            return Err(TokenError::Damaged("secret"));
        }
        let rest =
            text.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('.')).ok_or(TokenError::Prefix)?;
        let (hub, secret) = rest.split_once('.').ok_or(TokenError::Damaged("secret"))?;
        Ok(Self { hub: hub.parse().map_err(|_| TokenError::Damaged("hub"))?, secret: secret.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;

    fn token() -> JoinToken {
        let random = Random::seeded(1);
        JoinToken::generate(&SecretKey::generate(&random).public(), &random)
    }

    #[test]
    fn a_token_survives_its_text() {
        let token = token();
        let again: JoinToken = format!("  {}\n", token.reveal().as_str()).parse().unwrap();
        assert_eq!(again.hub, token.hub);
        assert_eq!(again.secret.hash(), token.secret.hash());
    }

    #[test]
    fn a_damaged_token_says_so() {
        let text = token().reveal();
        let parse = |text: &str| text.parse::<JoinToken>().unwrap_err();
        assert_eq!(parse("hello"), TokenError::Prefix);
        assert_eq!(parse("nave2.x.y"), TokenError::Prefix);
        assert_eq!(parse("nave1.x.y"), TokenError::Damaged("hub"));
        assert_eq!(parse(&text[..text.len() - 1]), TokenError::Damaged("secret"));
        assert_eq!(parse(&format!("{}{}", text.as_str(), "A".repeat(300))), TokenError::Damaged("secret"));
    }

    #[test]
    fn a_token_does_not_print_its_secret() {
        let token = token();
        assert!(!format!("{token:?}").contains(token.secret.reveal().as_str()));
    }
}
