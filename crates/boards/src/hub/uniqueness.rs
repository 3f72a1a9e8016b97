//! How unique a place is: one that is asked for with few alternatives is unique, and is kept free as long as a more
//! common one will do. The rule is not-my-board's, so that both choose alike.

use std::sync::atomic::{AtomicU64, Ordering};

/// The share of the newest observation in the average.
const WEIGHT: f64 = 0.25;

/// An exponential moving average of what was observed of a place, from 0 (common) to 1: its bits, or those of a number
/// that is none before anything was observed. It is read of a thousand places at once, and so without a lock.
#[derive(Debug)]
pub(super) struct Uniqueness(AtomicU64);

impl Default for Uniqueness {
    fn default() -> Self {
        Self(AtomicU64::new(f64::NAN.to_bits()))
    }
}

impl Uniqueness {
    /// The average; 0 before anything was observed.
    pub(super) fn value(&self) -> f64 {
        let average = f64::from_bits(self.0.load(Ordering::Relaxed));
        if average.is_nan() { 0.0 } else { average }
    }

    /// Adds an observation; the first one counts alone. Whoever adds one keeps others from doing so meanwhile.
    pub(super) fn observe(&self, observed: f64) {
        let average = f64::from_bits(self.0.load(Ordering::Relaxed));
        let average = if average.is_nan() { observed } else { (1.0 - WEIGHT) * average + WEIGHT * observed };
        self.0.store(average.to_bits(), Ordering::Relaxed);
    }
}

/// What is observed when so many of all places are asked for.
pub(super) fn of_wish(asked_for: usize, all: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no farm has 2^52 places")]
    let (asked_for, all) = (asked_for as f64, all as f64);
    1.0 - asked_for / all
}

/// The indices of those that may be taken: the most common one, and all that are as common within the tolerance.
pub(super) fn most_common(values: &[f64], tolerance: f64) -> Vec<usize> {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    (0..values.len()).filter(|at| values[*at] - least <= tolerance).collect()
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these are sums of a few powers of two")]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_as_unique_as_the_wishes_for_it() {
        let place = Uniqueness::default();
        assert_eq!(place.value(), 0.0);
        place.observe(of_wish(1, 2));
        assert_eq!(place.value(), 0.5);
        place.observe(of_wish(2, 2));
        assert_eq!(place.value(), 0.375);
    }

    #[test]
    fn small_differences_do_not_count() {
        assert_eq!(most_common(&[0.5, 0.1, 0.105, 0.3], 0.01), [1, 2]);
        assert_eq!(most_common(&[0.5, 0.1, 0.105, 0.3], 0.0), [1]);
        assert_eq!(most_common(&[], 0.01), [0; 0]);
    }
}
