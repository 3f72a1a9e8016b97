//! An agent's configuration: what NAISYS's runners read, in its files (YAML) and on the wire (JSON).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The model of those that no model thinks for.
const NOBODY: &str = "none";

/// An agent's configuration. Its runner checks every field and stops at the first that is wrong, in any agent: what a hub
/// keeps has passed [`AgentConfig::check`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct AgentConfig {
    /// Its name, as others write to it: letters, digits, `-` and `_`.
    pub username: String,
    /// What it is, in a few words.
    pub title: String,
    /// What it is told first.
    pub agent_prompt: String,
    /// After how many tokens it has to make its memory shorter.
    pub token_max: u64,
    /// The key of the model that it thinks with.
    pub shell_model: String,
    /// What it may spend in a window, in dollars; without it, it shares the global limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend_limit_dollars: Option<f64>,
    /// The length of that window in hours; without it, the window never ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend_limit_hours: Option<f64>,
    /// The key of the model that it draws with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_model: Option<String>,
    /// Whether it may write mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail_enabled: Option<bool>,
    /// Whether it may chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_enabled: Option<bool>,
    /// Whether it may browse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_enabled: Option<bool>,
    /// Whether it may end its session by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete_session_enabled: Option<bool>,
    /// Whether mail interrupts its waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_on_message: Option<bool>,
    /// Whether it may run several commands at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiple_commands_enabled: Option<bool>,
    /// Whether it keeps workspaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspaces_enabled: Option<bool>,
    /// Whether it may control a desktop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_desktop: Option<bool>,
    /// How long it pauses after each step, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debug_pause_seconds: Option<u64>,
    /// Who looks at its commands before they run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_protection: Option<CommandProtection>,
    /// What it runs first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_commands: Option<Vec<String>>,
    /// What later versions of NAISYS, or other programs, keep here.
    #[serde(flatten)]
    #[cfg_attr(feature = "hub", schema(value_type = Object))]
    pub other: Map<String, Value>,
}

/// Who looks at an agent's commands before they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub enum CommandProtection {
    /// Nobody.
    None,
    /// A person.
    Manual,
    /// A model, and a person where it doubts.
    SemiAuto,
    /// A model.
    Auto,
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConfigProblem {
    /// The field, as the file has it.
    pub field: String,
    /// What is wrong, and what to do.
    pub problem: String,
}

impl ConfigProblem {
    fn new(field: &str, problem: impl Into<String>) -> Self {
        Self { field: field.to_owned(), problem: problem.into() }
    }
}

impl AgentConfig {
    /// The configuration of somebody who only reads and writes mail: a person among agents.
    pub fn human(username: &str, title: &str) -> Self {
        let told = "Human admin for monitoring and control.";
        let mut config = Self::new(username, title, told, 100_000, NOBODY);
        (config.mail_enabled, config.chat_enabled) = (Some(true), Some(true));
        (config.wake_on_message, config.web_enabled) = (Some(true), Some(true));
        config
    }

    /// Whether it is that of a person among agents, whom no host runs.
    pub fn is_human(&self) -> bool {
        self.shell_model == NOBODY
    }

    /// A configuration with what it cannot be without.
    pub fn new(username: &str, title: &str, prompt: &str, token_max: u64, model: &str) -> Self {
        Self {
            username: username.to_owned(),
            title: title.to_owned(),
            agent_prompt: prompt.to_owned(),
            token_max,
            shell_model: model.to_owned(),
            spend_limit_dollars: None,
            spend_limit_hours: None,
            image_model: None,
            mail_enabled: None,
            chat_enabled: None,
            web_enabled: None,
            complete_session_enabled: None,
            wake_on_message: None,
            multiple_commands_enabled: None,
            workspaces_enabled: None,
            control_desktop: None,
            debug_pause_seconds: None,
            command_protection: None,
            initial_commands: None,
            other: Map::new(),
        }
    }

    /// Whether every runner will take it.
    ///
    /// # Errors
    ///
    /// The first field that one would refuse.
    pub fn check(&self) -> Result<(), ConfigProblem> {
        if self.username.is_empty() || self.username != url_safe(&self.username) {
            return Err(ConfigProblem::new(
                "username",
                format!(
                    "{:?} must be letters, digits, - and _, as {:?}",
                    self.username,
                    url_safe(&self.username)
                ),
            ));
        }
        if self.username.len() > 64 {
            return Err(ConfigProblem::new("username", "must be at most 64 characters"));
        }
        for (field, text) in [("agentPrompt", &self.agent_prompt), ("shellModel", &self.shell_model)] {
            if text.is_empty() {
                return Err(ConfigProblem::new(field, "must not be empty"));
            }
        }
        if self.token_max == 0 {
            return Err(ConfigProblem::new("tokenMax", "must be 1 or more"));
        }
        for (field, number) in
            [("spendLimitDollars", self.spend_limit_dollars), ("spendLimitHours", self.spend_limit_hours)]
        {
            if number.is_some_and(|number| !number.is_finite() || number < 0.0) {
                return Err(ConfigProblem::new(field, "must be 0 or more"));
            }
        }
        // Runners read numbers as IEEE doubles, which hold no larger whole numbers.
        for (field, number) in
            [("tokenMax", Some(self.token_max)), ("debugPauseSeconds", self.debug_pause_seconds)]
        {
            if number.is_some_and(|number| number > 1 << 53) {
                return Err(ConfigProblem::new(field, "is too large"));
            }
        }
        Ok(())
    }

    /// Reads one from JSON, with `null` for what is not there.
    ///
    /// # Errors
    ///
    /// When something is missing, or of another kind than runners take.
    pub fn from_json(value: Value) -> Result<Self, ConfigProblem> {
        let Value::Object(mut fields) = value else {
            return Err(ConfigProblem::new("config", "must be a table of fields"));
        };
        fields.retain(|_, value| !value.is_null());
        let config: Self = serde_json::from_value(Value::Object(fields))
            .map_err(|error| ConfigProblem::new("config", error.to_string()))?;
        config.check()?;
        Ok(config)
    }
}

/// A name as addresses and folders take it: what is not a letter, a digit, `-` or `_` becomes `-`, several of these one, and
/// none is at an end.
pub fn url_safe(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for letter in name.trim().chars() {
        let letter = if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' };
        if letter != '-' || !safe.ends_with('-') {
            safe.push(letter);
        }
    }
    safe.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_runners_take_and_what_they_do_not() {
        let good = json!({
            "username": "mocky", "title": "Mock Agent", "agentPrompt": "You are ${agent.username}\n",
            "spendLimitDollars": 1, "tokenMax": 20000, "shellModel": "mock", "mailEnabled": true,
            "commandProtection": "semi-auto", "initialCommands": ["ls"], "imageModel": null, "ofTomorrow": {"a": 1}
        });
        let config = AgentConfig::from_json(good.clone()).unwrap();
        assert_eq!(config.command_protection, Some(CommandProtection::SemiAuto));
        let back = serde_json::to_value(&config).unwrap();
        assert_eq!(back["ofTomorrow"], json!({"a": 1}));
        assert!(back.get("imageModel").is_none(), "runners take no null");
        let with = |field: &str, value: Value| {
            let mut bad = good.clone();
            bad[field] = value;
            AgentConfig::from_json(bad).unwrap_err()
        };
        assert_eq!(with("username", json!("a b")).field, "username");
        assert_eq!(with("agentPrompt", json!("")).field, "agentPrompt");
        assert_eq!(with("tokenMax", json!(0)).field, "tokenMax");
        assert_eq!(with("spendLimitDollars", json!(-1)).field, "spendLimitDollars");
        assert!(with("commandProtection", json!("always")).problem.contains("always"));
        assert!(with("title", Value::Null).problem.contains("title"));
        assert!(AgentConfig::from_json(json!([])).is_err());
        AgentConfig::human("admin", "Admin").check().unwrap();
    }

    #[test]
    fn names_become_safe_as_naisys_makes_them() {
        for (name, safe) in [
            ("BOX-1", "BOX-1"),
            (" my box.lan ", "my-box-lan"),
            ("--a//b--", "a-b"),
            ("ä", ""),
            ("under_score", "under_score"),
        ] {
            assert_eq!(url_safe(name), safe);
        }
    }
}
