//! Slows down whoever guesses: ten wrong attempts within a minute from one address earn a delay that doubles with
//! every further one.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;

use super::error::{Error, Result};
use super::source::group;
use crate::clock::Clock;

const FREE_ATTEMPTS: u32 = 10;
const WINDOW: Duration = Duration::from_mins(1);
const FIRST_DELAY: Duration = Duration::from_secs(2);
const LONGEST_DELAY: Duration = Duration::from_mins(15);
const LONGEST_NAME_DELAY: Duration = Duration::from_secs(30);
/// The most addresses that are remembered; the oldest go first.
const MAX_ADDRESSES: usize = 10_000;

/// Wrong attempts by source address, or by whatever else is guessed at.
#[derive(Debug)]
pub struct Throttle<K = IpAddr> {
    clock: Clock,
    longest: Duration,
    sources: Mutex<HashMap<K, Attempts>>,
}

#[derive(Clone, Copy, Debug)]
struct Attempts {
    first: OffsetDateTime,
    wrong: u32,
    blocked_until: OffsetDateTime,
}

impl Throttle {
    /// Nobody has tried anything yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, longest: LONGEST_DELAY, sources: Mutex::default() }
    }

    /// Whether an address may try now. `None` is the hub's own machine, which may.
    pub fn check(&self, source: Option<IpAddr>) -> Result<()> {
        source.map(group).map_or(Ok(()), |source| self.check_key(&source))
    }

    /// Counts a wrong attempt. True if it is the one that begins a delay: worth an event.
    pub fn wrong(&self, source: Option<IpAddr>) -> bool {
        source.map(group).is_some_and(|source| self.wrong_key(source))
    }

    /// Forgets an address's wrong attempts: it proved itself.
    pub fn right(&self, source: Option<IpAddr>) {
        if let Some(source) = source {
            self.right_key(&group(source));
        }
    }
}

impl Throttle<String> {
    /// Nobody has tried anything yet. What is guessed at from many addresses is delayed less long than an address that
    /// guesses: its owner comes from one of them.
    pub fn by_name(clock: Clock) -> Self {
        Self { clock, longest: LONGEST_NAME_DELAY, sources: Mutex::default() }
    }

    /// Whether this may be tried now.
    pub fn check_name(&self, name: &str) -> Result<()> {
        self.check_key(name)
    }

    /// Counts a wrong attempt. True if it is the one that begins a delay: worth an event.
    pub fn wrong_name(&self, name: &str) -> bool {
        self.wrong_key(name.to_owned())
    }

    /// Forgets the wrong attempts: the owner came.
    pub fn right_name(&self, name: &str) {
        self.right_key(name);
    }
}

impl<K: Eq + Hash> Throttle<K> {
    fn check_key<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Result<()>
    where
        K: Borrow<Q>,
    {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        match sources.get(key) {
            Some(attempts) if attempts.blocked_until > now => {
                let wait = attempts.blocked_until - now;
                Err(Error::Throttled(wait.try_into().unwrap_or(self.longest)))
            }
            _ => Ok(()),
        }
    }

    fn wrong_key(&self, key: K) -> bool {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if sources.len() >= MAX_ADDRESSES && !sources.contains_key(&key) {
            make_room(&mut sources, now);
        }
        let attempts = sources.entry(key).or_insert(Attempts { first: now, wrong: 0, blocked_until: now });
        // A block keeps its count alive: a patient guesser does not start afresh after each one.
        if now - attempts.first.max(attempts.blocked_until) > WINDOW {
            *attempts = Attempts { first: now, wrong: 0, blocked_until: now };
        }
        attempts.wrong += 1;
        if attempts.wrong < FREE_ATTEMPTS {
            return false;
        }
        let doublings = (attempts.wrong - FREE_ATTEMPTS).min(16);
        attempts.blocked_until = now + FIRST_DELAY.saturating_mul(1 << doublings).min(self.longest);
        attempts.wrong == FREE_ATTEMPTS
    }

    fn right_key<Q: Eq + Hash + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Forgets who is past, and if that is not enough, the older half: room for many at once, so that a flood of new
/// addresses does not cost a search each.
fn make_room<K: Eq + Hash>(sources: &mut HashMap<K, Attempts>, now: OffsetDateTime) {
    sources.retain(|_, attempts| attempts.blocked_until > now || now - attempts.first < WINDOW);
    if sources.len() < MAX_ADDRESSES {
        return;
    }
    let mut ages: Vec<OffsetDateTime> = sources.values().map(|attempts| attempts.first).collect();
    let middle = ages.len() / 2;
    let middle = *ages.select_nth_unstable(middle).1;
    let mut surplus = sources.len() / 2;
    sources.retain(|_, attempts| {
        let goes = surplus > 0 && attempts.first <= middle;
        surplus -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn throttle() -> (Throttle, Clock, Option<IpAddr>) {
        let clock = Clock::manual(OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
        (Throttle::new(clock.clone()), clock, Some("192.0.2.1".parse().unwrap()))
    }

    #[test]
    fn ten_wrong_attempts_earn_a_delay_that_grows() {
        let (throttle, clock, source) = throttle();
        let begun = (0..10).filter(|_| throttle.wrong(source)).count();
        assert_eq!(begun, 1, "one event for the whole series");
        assert!(matches!(throttle.check(source), Err(Error::Throttled(wait)) if wait == FIRST_DELAY));
        assert!(throttle.check(Some("192.0.2.2".parse().unwrap())).is_ok(), "another address");
        clock.advance(FIRST_DELAY);
        assert!(throttle.check(source).is_ok());
        throttle.wrong(source);
        assert!(matches!(throttle.check(source), Err(Error::Throttled(wait)) if wait == FIRST_DELAY * 2));
    }

    #[test]
    fn slow_mistakes_and_a_right_key_are_forgiven() {
        let (throttle, clock, source) = throttle();
        for _ in 0..50 {
            throttle.wrong(source);
            clock.advance(WINDOW * 2);
        }
        assert!(throttle.check(source).is_ok());
        for _ in 0..10 {
            throttle.wrong(source);
        }
        throttle.right(source);
        assert!(throttle.check(source).is_ok());
    }

    #[test]
    fn a_whole_ipv6_network_counts_as_one_and_memory_is_bounded() {
        let (throttle, _, _) = throttle();
        for host in 0..10_u16 {
            throttle.wrong(Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host).into()));
        }
        assert!(throttle.check(Some("2001:db8:0:1::ffff".parse().unwrap())).is_err());
        for network in 0..20_000_u32 {
            throttle.wrong(Some(IpAddr::V4(network.into())));
        }
        assert!(throttle.sources.lock().unwrap().len() <= MAX_ADDRESSES);
    }
}
