//! What a node's operator lets others open: the last word, whatever the hub grants.

use std::fmt;
use std::str::FromStr;

use nave_link::address::{AddressError, Target};
use serde::{Deserialize, Serialize};

/// One allowed target, or every port of a host (`HOST:*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowRule {
    target: Target,
    any_port: bool,
}

impl AllowRule {
    /// Whether this rule allows a target.
    pub fn allows(&self, target: &Target) -> bool {
        self.target.host() == target.host() && (self.any_port || self.target.port() == target.port())
    }
}

impl From<Target> for AllowRule {
    fn from(target: Target) -> Self {
        Self { target, any_port: false }
    }
}

impl FromStr for AllowRule {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_suffix(":*") {
            // The port is never looked at: any valid one completes the target.
            Some(host) => Ok(Self {
                target: format!("{host}:1").parse().map_err(|_| AddressError::Target(text.to_owned()))?,
                any_port: true,
            }),
            None => Ok(Self { target: text.parse()?, any_port: false }),
        }
    }
}

impl fmt::Display for AllowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.target.to_string();
        match text.rsplit_once(':') {
            Some((host, _)) if self.any_port => write!(f, "{host}:*"),
            _ => f.write_str(&text),
        }
    }
}

impl Serialize for AllowRule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AllowRule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_allows_its_target_and_nothing_beside_it() {
        let allows = |rule: &str, target: &str| {
            rule.parse::<AllowRule>().unwrap().allows(&target.parse::<Target>().unwrap())
        };
        assert!(allows("127.0.0.1:8080", "8080"));
        assert!(allows("8080", "127.0.0.1:8080"));
        assert!(!allows("127.0.0.1:8080", "127.0.0.1:8081"));
        assert!(!allows("127.0.0.1:8080", "localhost:8080"));
        assert!(allows("DB.local:*", "db.local:5432"));
        assert!(allows("[::1]:*", "[0:0::1]:22"));
        assert!(!allows("db.local:*", "db.local.evil:5432"));
    }

    #[test]
    fn a_rule_survives_its_text() {
        for text in ["127.0.0.1:8080", "db.local:*", "[::1]:*"] {
            assert_eq!(text.parse::<AllowRule>().unwrap().to_string(), text);
        }
        assert!("*:80".parse::<AllowRule>().is_err());
        assert!("host:".parse::<AllowRule>().is_err());
    }
}
