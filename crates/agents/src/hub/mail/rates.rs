//! How many mails an agent may send, and files for them: one that writes in circles fills neither the hub nor its colleagues'
//! days.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use nave_core::hub::error::{Error, Result};
use time::{Duration, OffsetDateTime};

use crate::hub::Agents;

/// How many mails, or files, each agent has sent, and since when that is counted.
#[derive(Default)]
pub(in crate::hub) struct Rates(Mutex<HashMap<i64, (OffsetDateTime, u32)>>);

impl Rates {
    /// Takes one of those that an agent may send in a minute. `what` they are, in the plural.
    pub(in crate::hub) fn take(
        &self,
        agents: &Agents,
        agent: i64,
        what: &str,
        now: OffsetDateTime,
    ) -> Result<()> {
        let most = agents.config().mails_per_minute;
        let Err(wait) = self.count(agent, most, now) else { return Ok(()) };
        let name = agents.directory().read().agent(agent).map(|row| row.name().to_owned());
        Err(Error::Conflict(format!(
            "{} has sent {most} {what} within a minute, and the hub takes no more from one agent ([agents] mails_per_minute): try again in {} s",
            name.unwrap_or_default(),
            wait.whole_seconds().max(1)
        )))
    }

    fn count(&self, agent: i64, most: u32, now: OffsetDateTime) -> Result<(), Duration> {
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = rates.entry(agent).or_insert((now, 0));
        let passed = now - *since;
        // A clock that was set back begins anew too.
        if !(Duration::ZERO..Duration::MINUTE).contains(&passed) {
            (*since, *count) = (now, 0);
        }
        if *count >= most {
            return Err(Duration::MINUTE - (now - *since));
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_agent_has_its_own_minute() {
        let (rates, now) = (Rates::default(), OffsetDateTime::UNIX_EPOCH);
        assert!((0..3).all(|_| rates.count(1, 3, now).is_ok()));
        assert_eq!(rates.count(1, 3, now + Duration::seconds(20)), Err(Duration::seconds(40)));
        assert!(rates.count(2, 3, now).is_ok());
        assert!(rates.count(1, 3, now + Duration::MINUTE).is_ok());
        assert!(rates.count(1, 1, now - Duration::HOUR).is_ok());
    }
}
