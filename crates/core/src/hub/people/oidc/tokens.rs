//! What a provider hands out with a sign-in and the hub keeps as long as the session: sealed by whoever stores it.

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::clock::{from_millis, to_millis};

/// A provider's tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// To ask again later; not every provider gives one.
    pub refresh: Option<SecretString>,
    /// To sign out at the provider.
    pub id_token: SecretString,
    /// When it is time to ask again.
    pub expires_at: OffsetDateTime,
}

/// Their form at rest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AtRest<T> {
    refresh: Option<T>,
    id_token: T,
    expires_at: i64,
}

impl Tokens {
    /// As text, to be sealed.
    pub fn reveal(&self) -> Zeroizing<String> {
        let at_rest = AtRest {
            refresh: self.refresh.as_ref().map(SecretString::expose_secret),
            id_token: self.id_token.expose_secret(),
            expires_at: to_millis(self.expires_at),
        };
        Zeroizing::new(serde_json::to_string(&at_rest).expect("texts and a number are JSON"))
    }

    /// The reverse of [`Tokens::reveal`].
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let at_rest: AtRest<String> = serde_json::from_str(text)?;
        Ok(Self {
            refresh: at_rest.refresh.map(Into::into),
            id_token: at_rest.id_token.into(),
            expires_at: from_millis(at_rest.expires_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_their_text_and_print_nothing() {
        let tokens = Tokens {
            refresh: Some("again".into()),
            id_token: "who".into(),
            expires_at: OffsetDateTime::UNIX_EPOCH,
        };
        let again = Tokens::parse(&tokens.reveal()).unwrap();
        assert_eq!(again.reveal(), tokens.reveal());
        let printed = format!("{tokens:?}");
        assert!(!printed.contains("again") && !printed.contains("who"), "{printed}");
    }
}
