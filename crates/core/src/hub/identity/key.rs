//! The hub's long-lived key, by which nodes recognise it whatever certificate it serves.

use std::path::Path;

use nave_link::key::SecretKey;
use nave_link::random::Random;
use nave_link::secret_file;

use super::IdentityError;

/// Loads `hub.key`, or makes it if it is not there.
pub fn load_or_make(folder: &Path, random: &Random) -> Result<SecretKey, IdentityError> {
    let path = folder.join("hub.key");
    match secret_file::read_private(&path, None) {
        Ok(pem) => SecretKey::from_pem(&pem).map_err(|error| {
            IdentityError::unusable(
                path,
                format!("{error}: restore it from a backup; without it no node knows this hub"),
            )
        }),
        Err(error) if error.is_missing() => {
            let key = SecretKey::generate(random);
            secret_file::create(&path, key.to_pem().as_bytes(), 0o600)?;
            Ok(key)
        }
        Err(error) => Err(error.into()),
    }
}
