//! The master key's file: a line a key, its id and the key in base64url, the present one first.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nave_link::random::Random;
use nave_link::secret_file::{self, SecretFileError};
use zeroize::Zeroizing;

use crate::hub::identity::IdentityError;

type Key = Zeroizing<[u8; 32]>;

/// The present master key, and while it is being replaced, the one before.
pub(super) struct MasterKeys(Vec<(String, Key)>);

impl MasterKeys {
    pub(super) fn load_or_make(
        path: &Path,
        credentials: Option<&Path>,
        random: &Random,
    ) -> Result<Self, IdentityError> {
        match secret_file::read_private(path, credentials) {
            Ok(text) => Self::parse(&text).ok_or_else(|| IdentityError::Unusable {
                path: path.to_owned(),
                problem: "it is damaged: restore it from a backup; without it the sealed values in the database are lost".to_owned(),
            }),
            Err(error) if error.is_missing() => {
                let mut keys = Self(Vec::new());
                keys.put_first(random);
                secret_file::create(path, keys.text().as_bytes(), 0o600)?;
                Ok(keys)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let line = |line: &str| {
            let (id, key) = line.split_once(' ')?;
            let key = Zeroizing::new(URL_SAFE_NO_PAD.decode(key).ok()?);
            Some((id.to_owned(), Zeroizing::new(<[u8; 32]>::try_from(key.as_slice()).ok()?)))
        };
        let keys: Vec<_> = text.lines().map(line).collect::<Option<_>>()?;
        (!keys.is_empty()).then_some(Self(keys))
    }

    fn text(&self) -> Zeroizing<String> {
        let line = |(id, key): &(String, Key)| format!("{id} {}\n", URL_SAFE_NO_PAD.encode(key.as_slice()));
        Zeroizing::new(self.0.iter().map(line).collect())
    }

    pub(super) fn save(&self, path: &Path) -> Result<(), SecretFileError> {
        secret_file::replace(path, self.text().as_bytes(), 0o600)
    }

    pub(super) fn put_first(&mut self, random: &Random) {
        self.0.insert(0, (hex::encode(random.bytes::<6>()), Zeroizing::new(random.bytes())));
    }

    pub(super) fn keep_only_first(&mut self) {
        self.0.truncate(1);
    }

    pub(super) fn current(&self) -> (&str, &[u8; 32]) {
        let (id, key) = self.0.first().expect("there is always a present key");
        (id, key)
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&[u8; 32]> {
        self.0.iter().find(|(known, _)| known == id).map(|(_, key)| &**key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_keeps_its_keys_and_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let (path, random) = (folder.path().join("master.key"), Random::seeded(1));
        let mut keys = MasterKeys::load_or_make(&path, None, &random).unwrap();
        let first = keys.current().0.to_owned();
        keys.put_first(&random);
        keys.save(&path).unwrap();
        let again = MasterKeys::load_or_make(&path, None, &random).unwrap();
        assert_ne!(again.current().0, first);
        assert!(again.by_id(&first).is_some());
        std::fs::write(&path, "damaged\n").unwrap();
        assert!(MasterKeys::load_or_make(&path, None, &random).is_err(), "never replaced silently");
    }
}
