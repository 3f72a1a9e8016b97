//! `[agents]` in the hub's configuration file.

use nave_core::hub::config::{ConfigError, fleet_table};
use nave_core::hub::nodes::keyed::SharedKeyRule;
use serde::{Deserialize, Serialize};

/// `[agents]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentsConfig {
    /// How many mails one agent may send in a minute (6,000).
    pub mails_per_minute: u32,
    /// NAISYS's runners.
    pub naisys: NaisysConfig,
}

impl Default for AgentsConfig {
    fn default() -> Self {
        Self { mails_per_minute: 6000, naisys: NaisysConfig::default() }
    }
}

/// `[agents.naisys]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NaisysConfig {
    /// Whether NAISYS's runners may come; a key is their gate.
    pub enabled: bool,
    /// From where the shared access key lets a runner in. A node's own key is good from everywhere.
    pub shared_key: SharedKeyRule,
    /// The nodes whose own key lets a supervisor of NAISYS in, which then sees and steers everything.
    pub supervisors: Vec<String>,
    /// The longest message that a runner may send, in bytes (4 MiB).
    pub longest_message: usize,
}

impl Default for NaisysConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            shared_key: SharedKeyRule::Bound,
            supervisors: Vec::new(),
            longest_message: 4 << 20,
        }
    }
}

impl AgentsConfig {
    /// Reads the table.
    ///
    /// # Errors
    ///
    /// When a key is not known, or a value makes no sense.
    pub fn read(table: &toml::Table) -> Result<Self, ConfigError> {
        let config: Self = fleet_table("agents", table)?;
        // A hub that announces less than the original would strand runners that send what was always taken.
        if !(1_000_000..=64 << 20).contains(&config.naisys.longest_message) {
            return Err(ConfigError::new(
                "agents.naisys.longest_message must be from 1000000 to 67108864 bytes: runners send up to a million",
            ));
        }
        if config.mails_per_minute == 0 {
            return Err(ConfigError::new("agents.mails_per_minute must be 1 or more"));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AgentsConfig, ConfigError> {
        AgentsConfig::read(&text.parse().unwrap())
    }

    #[test]
    fn everything_that_can_be_set_and_mistakes() {
        let config = read("mails_per_minute = 10\n[naisys]\nenabled = false\nshared_key = \"loopback\"\nsupervisors = [\"boss\"]\nlongest_message = 1000000").unwrap();
        assert_eq!((config.naisys.enabled, config.naisys.shared_key), (false, SharedKeyRule::Loopback));
        assert_eq!(read(&toml::to_string(&config).unwrap()).unwrap(), config);
        assert!(read("").unwrap().naisys.enabled);
        let error = |text: &str| read(text).unwrap_err().to_string();
        assert!(error("[naisys]\nenable = true").ends_with("did you mean \"enabled\"?"));
        assert_eq!(config.mails_per_minute, 10);
        assert!(error("mails_per_minute = 0").contains("1 or more"));
        assert!(error("[naisys]\nlongest_message = 10").contains("1000000"));
    }

    #[test]
    fn the_page_about_it_is_true() {
        let page = include_str!("../../../../docs/configuration.md");
        let table = page.split("[agents]").nth(1).and_then(|rest| rest.split("\n[limits]").next()).unwrap();
        let told = read(&table.replace("[agents.naisys]", "[naisys]"));
        let mut told = told.unwrap();
        told.naisys.supervisors.clear();
        assert_eq!(told, AgentsConfig::default());
    }
}
