//! What can be set about people.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::oidc::OidcTable;
use crate::hub::config::Period;

/// The longest that an ID token can be good.
pub const LONGEST_ID_TOKEN: Duration = Duration::from_hours(24);

/// `[people]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeopleTable {
    /// Whether everybody who signs in with a password needs a second factor: `required` or `optional`.
    pub second_factor: Option<SecondFactor>,
    /// After how much time without use a session ends (12h).
    pub session_idle: Option<Period>,
    /// After how much time a session ends whatever happens (30d).
    pub session_longest: Option<Period>,
    /// For how long an invitation of a person is good (7d).
    pub invitation: Option<Period>,
    /// For how long an ID token is good that a program gets (1h).
    pub id_token: Option<Period>,
    /// Whether those who have no account may ask for one on the sign-in page.
    pub access_requests: Option<bool>,
    /// Providers of sign-in, by name.
    pub oidc: BTreeMap<String, OidcTable>,
}

/// Whether a second factor is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecondFactor {
    /// By everybody who signs in with a password.
    Required,
    /// By those who set one up.
    Optional,
}

/// What can be set about people, with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeopleSettings {
    /// Whether a second factor is needed.
    pub second_factor: SecondFactor,
    /// After how much time without use a session ends.
    pub session_idle: Duration,
    /// After how much time a session ends whatever happens.
    pub session_longest: Duration,
    /// For how long an invitation is good.
    pub invitation: Duration,
    /// For how long an ID token is good.
    pub id_token: Duration,
    /// Whether those who have no account may ask for one.
    pub access_requests: bool,
}

impl Default for PeopleSettings {
    fn default() -> Self {
        PeopleTable::default().settings()
    }
}

impl PeopleTable {
    /// What cannot be said by the types; the error names the key.
    pub fn check(&self) -> Result<(), String> {
        if self
            .id_token
            .is_some_and(|period| !(Duration::from_secs(1)..=LONGEST_ID_TOKEN).contains(&period.0))
        {
            return Err(
                "id_token must be from 1s to 24h: what it says is not asked again before it ends".to_owned()
            );
        }
        self.oidc.iter().try_for_each(|(name, table)| table.check(name))
    }

    /// With every default filled in.
    pub fn settings(&self) -> PeopleSettings {
        let or = |period: &Option<Period>, default| period.map_or(default, |period| period.0);
        PeopleSettings {
            second_factor: self.second_factor.unwrap_or(SecondFactor::Required),
            session_idle: or(&self.session_idle, Duration::from_hours(12)),
            session_longest: or(&self.session_longest, Duration::from_hours(30 * 24)),
            invitation: or(&self.invitation, Duration::from_hours(7 * 24)),
            id_token: or(&self.id_token, Duration::from_hours(1)),
            access_requests: self.access_requests.unwrap_or(true),
        }
    }
}
