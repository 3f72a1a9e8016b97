//! What a host runs: `host.toml`, or what stands on the command line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::AgentConfig;

/// Where an agent's own configuration names its command, if the host lets it.
const COMMAND: &str = "command";
/// The longest command, in bytes.
const LONGEST: usize = 64 << 10;

/// How an agent is given its mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailBy {
    /// As lines on its standard input.
    #[default]
    Lines,
    /// As files in the folder `mail` of its working folder.
    Files,
    /// Not at all: it asks for it.
    Nothing,
}

/// How an agent is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The command, for `/bin/sh -c`.
    pub command: String,
    /// How it is given its mail.
    #[serde(default)]
    pub mail: MailBy,
    /// How long it may take to end by itself when it is told to (1 to 1200; 10).
    #[serde(default = "grace")]
    pub grace_seconds: u64,
    /// How long one run may take; none for as long as it likes.
    #[serde(default)]
    pub seconds: Option<u64>,
    /// How much address space each of its processes may have, in mebibytes.
    #[serde(default)]
    pub memory_mb: Option<u64>,
    /// How much it may write in one run, in mebibytes.
    #[serde(default)]
    pub output_mb: Option<u64>,
    /// How many lines it may write a second in the long run (1 to 10000; 100); others are left out.
    #[serde(default = "lines_per_second")]
    pub lines_per_second: u32,
    /// Variables of the hub that it is given although they are not exported.
    #[serde(default)]
    pub variables: Vec<String>,
    /// What else it finds in its environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Its working folder, if it is not the one of its name in the host's folder.
    #[serde(default)]
    pub folder: Option<PathBuf>,
}

const fn grace() -> u64 {
    10
}

const fn lines_per_second() -> u32 {
    100
}

impl Program {
    /// A command with all settings as they come.
    pub fn new(command: &str) -> Self {
        Self {
            command: command.to_owned(),
            mail: MailBy::Lines,
            grace_seconds: grace(),
            seconds: None,
            memory_mb: None,
            output_mb: None,
            lines_per_second: lines_per_second(),
            variables: Vec::new(),
            environment: BTreeMap::new(),
            folder: None,
        }
    }

    pub(super) fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds)
    }

    fn check(&self) -> Result<(), String> {
        let fits = |name: &str, number: Option<u64>, most: u64| match number {
            Some(number) if !(1..=most).contains(&number) => Err(format!("{name} must be from 1 to {most}")),
            _ => Ok(()),
        };
        if self.command.trim().is_empty() || self.command.len() > LONGEST || self.command.contains('\0') {
            return Err(format!("command must be 1 to {LONGEST} bytes, without NUL"));
        }
        fits("grace_seconds", Some(self.grace_seconds), 1200)?;
        fits("seconds", self.seconds, 365 * 86_400)?;
        fits("memory_mb", self.memory_mb, 1 << 30)?;
        fits("output_mb", self.output_mb, 1 << 30)?;
        fits("lines_per_second", Some(self.lines_per_second.into()), 10_000)?;
        let bad = |key: &&String| {
            key.is_empty() || key.contains(['=', '\0']) || key.to_ascii_uppercase().starts_with("NAVE_")
        };
        if let Some(key) = self.environment.keys().find(bad) {
            return Err(format!(
                "environment: {key:?} cannot be set: names that begin with NAVE_ are Nave's"
            ));
        }
        if let Some((key, _)) = self.environment.iter().find(|(_, value)| value.contains('\0')) {
            return Err(format!("environment: {key} has a NUL in its value"));
        }
        Ok(())
    }
}

/// What a host runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostConfig {
    /// Where the working folders lie.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// How agents are run that have no table of their own; without it, they are not run here.
    #[serde(default)]
    pub any: Option<Program>,
    /// How agents are run, by their names.
    #[serde(default)]
    pub agents: BTreeMap<String, Program>,
    /// Whether an agent's configuration on the hub names its command: whoever manages agents there then runs what he likes
    /// here, so a file cannot say it.
    #[serde(skip)]
    pub commands_of_hub: bool,
}

impl HostConfig {
    /// Reads `host.toml`.
    ///
    /// # Errors
    ///
    /// What is wrong, in words for whoever wrote it.
    pub fn read(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        if config.any.is_none() && config.agents.is_empty() {
            return Err("it names no agent: add a table [agents.NAME] or [any] with a command".to_owned());
        }
        let all = config.agents.iter().map(|(name, program)| (format!("agents.{name}"), program));
        for (table, program) in all.chain(config.any.iter().map(|any| ("any".to_owned(), any))) {
            program.check().map_err(|problem| format!("[{table}] {problem}"))?;
        }
        Ok(config)
    }

    /// The agents that are run here, none for all; and the variables that they need beside those that are exported.
    pub(super) fn takes(&self) -> (Option<Vec<String>>, Vec<String>) {
        let all = self.any.is_some() || self.commands_of_hub;
        let mut variables: Vec<String> =
            self.agents.values().chain(&self.any).flat_map(|program| program.variables.clone()).collect();
        variables.sort_unstable();
        variables.dedup();
        ((!all).then(|| self.agents.keys().cloned().collect()), variables)
    }

    /// How an agent is run.
    ///
    /// # Errors
    ///
    /// Why it is not, and what to do.
    pub fn program_of(&self, agent: &AgentConfig) -> Result<Program, String> {
        let name = &agent.username;
        let own = self.agents.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        if let Some(program) = own.map(|(_, program)| program).or(self.any.as_ref()) {
            return Ok(program.clone());
        }
        if !self.commands_of_hub {
            return Err(format!("this host has no command for {name}: its host.toml has no [agents.{name}]"));
        }
        let command = agent.other.get(COMMAND).and_then(serde_json::Value::as_str).ok_or_else(|| {
            format!(
                "nobody said what {name} runs: add `command: …` to its configuration, such as `command: cat`"
            )
        })?;
        let program = Program::new(command);
        program.check()?;
        Ok(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_can_be_set_and_mistakes() {
        let config = HostConfig::read(
            "folder = '/srv'\n[any]\ncommand = 'cat'\n[agents.ann]\ncommand = 'x'\nmail = 'files'\ngrace_seconds = 1\nseconds = 2\nmemory_mb = 3\noutput_mb = 4\nlines_per_second = 5\nvariables = ['KEY']\nenvironment = { A = 'b' }\nfolder = '/a'",
        )
        .unwrap();
        assert_eq!(config.takes(), (None, vec!["KEY".to_owned()]));
        let agent = |name: &str| AgentConfig::new(name, "", "p", 1, "m");
        assert_eq!(config.program_of(&agent("Ann")).unwrap().mail, MailBy::Files);
        assert_eq!(config.program_of(&agent("bob")).unwrap(), Program::new("cat"));
        let error = |text: &str| HostConfig::read(text).unwrap_err();
        assert!(error("").contains("[agents.NAME]"));
        assert!(error("[any]\ncommand = ' '").starts_with("[any] command"));
        assert!(error("[any]\ncommand = 'x'\nmale = 'files'").contains("male"));
        assert!(error("[any]\ncommand = 'x'\nseconds = 0").contains("seconds must be from 1"));
        assert!(error("[any]\ncommand = 'x'\nenvironment = { nave_hub = '' }").contains("NAVE_"));
        assert!(error("commands_of_hub = true\n[any]\ncommand = 'x'").contains("commands_of_hub"));
    }

    #[test]
    fn a_configuration_names_its_command_only_where_the_host_lets_it() {
        let mut agent = AgentConfig::new("ann", "", "p", 1, "m");
        agent.other.insert("command".to_owned(), "cat".into());
        assert!(HostConfig::default().program_of(&agent).unwrap_err().contains("no command for ann"));
        let lets = HostConfig { commands_of_hub: true, ..HostConfig::default() };
        assert_eq!(lets.program_of(&agent).unwrap().command, "cat");
        agent.other.clear();
        assert!(lets.program_of(&agent).unwrap_err().contains("`command: cat`"));
    }
}
