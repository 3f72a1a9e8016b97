//! One key and what is done with it: AES-256-GCM with a random 96-bit nonce before, and the tag after the ciphertext.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nave_link::random::Random;
use secrecy::SecretSlice;
use zeroize::{Zeroize as _, Zeroizing};

/// A 256-bit key. It cannot be printed.
pub(super) struct Key {
    raw: Zeroizing<[u8; 32]>,
    cipher: LessSafeKey,
}

impl Key {
    pub(super) fn generate(random: &Random) -> Self {
        let mut raw = Zeroizing::new([0; 32]);
        random.fill(raw.as_mut());
        Self::new(raw)
    }

    pub(super) fn new(raw: Zeroizing<[u8; 32]>) -> Self {
        let cipher = UnboundKey::new(&AES_256_GCM, raw.as_ref()).expect("the key has 32 bytes");
        Self { raw, cipher: LessSafeKey::new(cipher) }
    }

    pub(super) fn raw(&self) -> &[u8; 32] {
        &self.raw
    }

    /// Seals for one place: base64url of nonce, ciphertext and tag.
    pub(super) fn seal(&self, random: &Random, what: &str, secret: &[u8]) -> String {
        let nonce = random.bytes::<NONCE_LEN>();
        // Room for the tag too, so that no copy of the secret stays behind when the buffer grows.
        let mut text = Zeroizing::new(Vec::with_capacity(secret.len() + AES_256_GCM.tag_len()));
        text.extend_from_slice(secret);
        self.cipher
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(what.as_bytes()),
                &mut *text,
            )
            .expect("sealing fails only beyond 64 GiB");
        URL_SAFE_NO_PAD.encode([nonce.as_slice(), text.as_slice()].concat())
    }

    /// `None` if it was changed, sealed for another place, or with another key.
    pub(super) fn unseal(&self, what: &str, sealed: &str) -> Option<SecretSlice<u8>> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let secret = self.cipher.open_in_place(nonce, Aad::from(what.as_bytes()), text).ok()?;
        let secret = SecretSlice::from(secret.to_vec());
        bytes.zeroize();
        Some(secret)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    proptest! {
        #[test]
        fn what_was_sealed_comes_back_only_whole_and_in_its_place(
            secret in prop::collection::vec(any::<u8>(), 0..200), flip in any::<prop::sample::Index>(),
        ) {
            let random = Random::seeded(1);
            let key = Key::generate(&random);
            let sealed = key.seal(&random, "users/seed/1", &secret);
            let again = key.unseal("users/seed/1", &sealed).unwrap();
            prop_assert_eq!(again.expose_secret(), &secret[..]);
            prop_assert!(key.unseal("users/seed/2", &sealed).is_none());
            prop_assert!(Key::generate(&random).unseal("users/seed/1", &sealed).is_none());
            let mut changed = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
            let at = flip.index(changed.len());
            changed[at] ^= 1;
            prop_assert!(key.unseal("users/seed/1", &URL_SAFE_NO_PAD.encode(changed)).is_none());
        }

        #[test]
        fn anything_else_is_refused(text in ".{0,80}") {
            prop_assert!(Key::generate(&Random::seeded(1)).unseal("", &text).is_none());
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        let key = Key::generate(&Random::seeded(7));
        assert_eq!(format!("{key:?}"), "Key(…)");
    }
}
