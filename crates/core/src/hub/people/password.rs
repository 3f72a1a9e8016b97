//! Passwords: hashed with Argon2id, checked away from the threads that answer requests, and so many at a time as
//! there are processors, so that a flood of sign-ins does not slow down everything else.

use std::sync::Arc;
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use nave_link::random::Random;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::hub::error::{Error, Result};

/// Memory in KiB, passes, lanes: what OWASP's cheat sheet gives for Argon2id (19 MiB, 2, 1).
const COST: (u32, u32, u32) = (19 << 10, 2, 1);
/// More than that no hash of ours ever cost.
const MOST_COST: (u32, u32, u32) = (1 << 20, 64, 16);
/// How long a sign-in waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many sign-ins may wait for their turn.
const MOST_WAITING: usize = 256;
/// The shortest and the longest password, in characters and in bytes.
const SHORTEST: usize = 10;
const LONGEST: usize = 512;

/// Hashes and checks passwords.
#[derive(Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            // One processor stays for everything else, where there are several.
            turns: Arc::new(Semaphore::new(processors.saturating_sub(1).max(1))),
            waiting: Semaphore::new(MOST_WAITING),
        }
    }

    /// The hash of a password, in PHC form.
    pub async fn hash(&self, password: &SecretString, random: &Random) -> Result<String> {
        let (password, salt) = (password.clone(), random.bytes::<16>());
        self.work(move || {
            let digest = digest(COST, &salt, password.expose_secret())?;
            let (memory, passes, lanes) = COST;
            Some(format!(
                "$argon2id$v=19$m={memory},t={passes},p={lanes}${}${}",
                STANDARD_NO_PAD.encode(salt),
                STANDARD_NO_PAD.encode(digest)
            ))
        })
        .await?
        .ok_or_else(|| Error::internal("Argon2 refuses its own parameters"))
    }

    /// Whether a password is the one that was hashed. Takes as long if there is no hash: whoever measures learns
    /// nothing about which accounts exist.
    pub async fn check(&self, password: &SecretString, hash: Option<&str>) -> Result<bool> {
        let (password, hash) = (password.clone(), hash.map(ToOwned::to_owned));
        self.work(move || {
            let Some((cost, salt, expected)) = hash.as_deref().and_then(parse) else {
                digest(COST, &[0; 16], password.expose_secret());
                return false;
            };
            digest(cost, &salt, password.expose_secret())
                .is_some_and(|found| subtle::ConstantTimeEq::ct_eq(&found[..], &expected[..]).into())
        })
        .await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let busy = |why: &str| Error::Unavailable { what: "signing in", source: why.into() };
        let _place = self.waiting.try_acquire().map_err(|_| busy("too many sign-ins wait"))?;
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned());
        let turn = turn.await.map_err(|_| busy("no turn within its time"))?.map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
        .map_err(Error::internal)
    }
}

fn digest((memory, passes, lanes): (u32, u32, u32), salt: &[u8], password: &str) -> Option<[u8; 32]> {
    let params = Params::new(memory, passes, lanes, Some(32)).ok()?;
    let mut out = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut out)
        .ok()?;
    Some(out)
}

type Parsed = ((u32, u32, u32), Vec<u8>, Vec<u8>);

/// `$argon2id$v=19$m=…,t=…,p=…$salt$hash`: the costs are read, so that raising them leaves old hashes good.
fn parse(hash: &str) -> Option<Parsed> {
    let rest = hash.strip_prefix("$argon2id$v=19$")?;
    let mut parts = rest.split('$');
    let (costs, salt, digest) = (parts.next()?, parts.next()?, parts.next()?);
    let mut costs = costs.split(',');
    let mut cost = |name: &str| costs.next()?.strip_prefix(name)?.parse().ok();
    let cost: (u32, u32, u32) = (cost("m=")?, cost("t=")?, cost("p=")?);
    // A damaged row must not cost more memory than the machine has.
    if cost.0 > MOST_COST.0 || cost.1 > MOST_COST.1 || cost.2 > MOST_COST.2 {
        return None;
    }
    Some((cost, STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(digest).ok()?))
}

/// Whether a new password is good enough for an account: length is what counts, and not being what everybody tries
/// first.
pub fn acceptable(password: &SecretString, email: &str, name: &str) -> Result<()> {
    let text = password.expose_secret();
    let refused = |problem: String| Err(Error::invalid("password", problem));
    if text.chars().count() < SHORTEST {
        return refused(format!(
            "must have at least {SHORTEST} characters; several words are easy to remember"
        ));
    }
    if text.len() > LONGEST {
        return refused(format!("must have at most {LONGEST} bytes"));
    }
    let lower = text.to_lowercase();
    let account = email.split('@').next().unwrap_or_default().to_lowercase();
    let few = lower.chars().collect::<std::collections::BTreeSet<char>>().len() < 5;
    let own = [email.to_lowercase(), name.to_lowercase(), account.repeat(2)];
    if few || own.contains(&lower) || lower.starts_with("password") || lower.starts_with("1234567890") {
        return refused("is among the first that anybody would try: choose another".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[tokio::test]
    async fn a_hash_fits_its_password_alone() {
        let passwords = Passwords::new();
        let hash = passwords.hash(&secret("correct horse battery"), &Random::seeded(1)).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.check(&secret("correct horse battery"), Some(&hash)).await.unwrap());
        assert!(!passwords.check(&secret("correct horse batterx"), Some(&hash)).await.unwrap());
        assert!(!passwords.check(&secret("correct horse battery"), None).await.unwrap());
        for damaged in ["", "$argon2id$v=19$m=1", "$argon2id$v=19$m=4294967295,t=1,p=1$AAAA$AAAA", "x"] {
            assert!(!passwords.check(&secret("x"), Some(damaged)).await.unwrap(), "{damaged}");
        }
    }

    #[test]
    fn what_anybody_would_try_first_is_refused() {
        for bad in
            ["short", "aaaaaaaaaaaa", "password1234", "1234567890ab", "ada@example.org", &"x1y2z".repeat(200)]
        {
            assert!(acceptable(&secret(bad), "ada@example.org", "Ada Lovelace").is_err(), "{bad}");
        }
        assert!(acceptable(&secret("violet umbrella"), "ada@example.org", "Ada Lovelace").is_ok());
    }
}
