//! A passphrase on its way from a person to where it is needed.

use anyhow::ensure;
use secrecy::SecretString;

/// Something long enough to be worth the name.
pub struct Passphrase(SecretString);

impl Passphrase {
    /// Takes a text; eight characters are the least.
    pub fn new(text: String) -> anyhow::Result<Self> {
        ensure!(text.chars().count() >= 8, "the passphrase must have at least 8 characters");
        Ok(Self(SecretString::from(text)))
    }

    /// The secret itself.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}
