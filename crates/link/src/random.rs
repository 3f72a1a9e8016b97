//! Randomness as a parameter: the system's for real use, a repeatable one for tests.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest;

/// A source of random bytes. Cloning it is cheap; clones of a seeded source share its state.
#[derive(Clone)]
pub struct Random(Source);

#[derive(Clone)]
enum Source {
    System,
    Seeded(Arc<Mutex<(u64, u64)>>),
}

impl Random {
    /// The system's cryptographic source.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Repeats itself for the same seed. For tests only: it is no secret.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new((seed, 0)))))
    }

    /// `N` random bytes.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness to give, which leaves nothing safe to do.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// Fills `out` with random bytes; panics as [`Random::bytes`] does.
    pub fn fill(&self, out: &mut [u8]) {
        match &self.0 {
            Source::System => {
                aws_lc_rs::rand::fill(out).expect("the operating system's random source answers");
            }
            Source::Seeded(state) => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                for chunk in out.chunks_mut(32) {
                    let mut block = [0; 16];
                    block[..8].copy_from_slice(&state.0.to_be_bytes());
                    block[8..].copy_from_slice(&state.1.to_be_bytes());
                    state.1 += 1;
                    chunk.copy_from_slice(&digest::digest(&digest::SHA256, &block).as_ref()[..chunk.len()]);
                }
            }
        }
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Random(system)",
            Source::Seeded(_) => "Random(seeded)",
        })
    }
}
