//! Agents for an empty database, from files as NAISYS has them: `x.yaml` is an agent, and those in the folder `x` beside it
//! work for it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_core::hub::access;
use nave_core::hub::context::Hub;
use nave_core::hub::error::{Error, Result};
use nave_core::hub::op::Op;

use super::{event, make};
use crate::api::{AgentConfig, url_safe};
use crate::hub::live::Happening;
use crate::hub::{Agents, MANAGE, READ, budgets, directory};

/// The person among agents, who is there from the beginning.
pub const ADMIN: &str = "admin";
/// How deep folders of agents may lie in each other.
const DEEPEST: usize = 16;

/// Agents that were read from files, in their order.
#[derive(Clone, Debug, Default)]
pub struct Seed(Vec<Seeded>);

#[derive(Clone, Debug)]
struct Seeded {
    config: AgentConfig,
    /// Where in the list the agent is for which it works.
    lead: Option<usize>,
    file: PathBuf,
}

impl Seed {
    /// Reads a file, or a folder of files.
    ///
    /// # Errors
    ///
    /// When something cannot be read, is no agent, or has the name of another.
    pub fn read(path: &Path) -> Result<Self> {
        let mut seed = Self::default();
        if path.is_dir() {
            seed.read_folder(path, None, 0)?;
        } else {
            seed.read_file(path, None, 0)?;
        }
        if seed.0.is_empty() {
            return Err(Error::invalid(
                "agents",
                format!("{} has no agents: they are files that end in .yaml", path.display()),
            ));
        }
        let mut names = BTreeSet::new();
        for agent in &seed.0 {
            if !names.insert(agent.config.username.to_lowercase()) {
                let (name, file) = (&agent.config.username, agent.file.display());
                return Err(Error::invalid(
                    "username",
                    format!("{name:?} in {file} is the name of another agent too"),
                ));
            }
        }
        Ok(seed)
    }

    /// The agents, each with its file.
    pub fn agents(&self) -> impl Iterator<Item = (&Path, &AgentConfig)> {
        self.0.iter().map(|agent| (agent.file.as_path(), &agent.config))
    }

    fn read_folder(&mut self, folder: &Path, lead: Option<usize>, depth: usize) -> Result<()> {
        let unreadable =
            |error: std::io::Error| Error::invalid("agents", format!("{}: {error}", folder.display()));
        if depth > DEEPEST {
            return Err(Error::invalid("agents", format!("{} lies too deep", folder.display())));
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            files.push(entry.map_err(unreadable)?.path());
        }
        files.sort();
        let is_agent = |path: &&PathBuf| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            path.is_file() && matches!(extension, Some("yaml" | "yml"))
        };
        for file in files.iter().filter(is_agent) {
            self.read_file(file, lead, depth)?;
        }
        Ok(())
    }

    fn read_file(&mut self, file: &Path, lead: Option<usize>, depth: usize) -> Result<()> {
        let wrong = |what: String| Error::invalid("agents", format!("{}: {what}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        let config = from_yaml(&text).map_err(|error| wrong(error.message()))?;
        self.0.push(Seeded { config, lead, file: file.to_owned() });
        let folder = file.with_extension("");
        if folder.is_dir() {
            let own = self.0.len() - 1;
            self.read_folder(&folder, Some(own), depth + 1)?;
        }
        Ok(())
    }
}

/// Reads an agent's configuration from YAML; its name is made one that addresses take.
pub(in crate::hub) fn from_yaml(text: &str) -> Result<AgentConfig> {
    let mut value: serde_json::Value =
        serde_saphyr::from_str(text).map_err(|error| Error::invalid("yaml", error.to_string()))?;
    let name = value.get("username").and_then(serde_json::Value::as_str).map(url_safe);
    if let (Some(name), Some(fields)) = (name, value.as_object_mut()) {
        fields.insert("username".to_owned(), name.into());
    }
    Ok(AgentConfig::from_json(value)?)
}

/// An agent's configuration as a file has it.
pub(in crate::hub) fn to_yaml(config: &AgentConfig) -> Result<String> {
    serde_saphyr::to_string(config).map_err(Error::internal)
}

/// Makes these agents, and the person among them, if there is none at all yet; how many were made.
pub async fn seed(op: &Op, hub: &Arc<Hub>, agents: &Agents, seed: Seed) -> Result<usize> {
    access::require(op, MANAGE)?;
    if agents.directory().read().agents().next().is_some() {
        return Ok(0);
    }
    let mut all = seed.0;
    if !all.iter().any(|agent| agent.config.username.eq_ignore_ascii_case(ADMIN)) {
        let config = AgentConfig::human(ADMIN, "Admin");
        all.push(Seeded { config, lead: None, file: PathBuf::new() });
    }
    let mut act = hub.store.begin().await?;
    let first = directory::store::next_agent(&mut act).await?;
    let mut rows = Vec::with_capacity(all.len());
    for (at, agent) in (first..).zip(all) {
        let lead = agent.lead.and_then(|lead| i64::try_from(lead).ok()).map(|lead| first + lead);
        let row = make(op, hub, at, agent.config, lead);
        directory::store::insert_agent(&mut act, &row).await?;
        directory::store::insert_revision(&mut act, &row, &op.actor.name(), op.clock.now()).await?;
        hub.record(&mut act, op, event("agent.created", &row, serde_json::Value::Null)).await?;
        rows.push(row);
    }
    act.commit().await?;
    let count = rows.len();
    {
        let mut directory = agents.directory().write();
        for row in rows {
            directory.put_agent(row);
        }
    }
    agents.live().tell(&Happening::Agents);
    // What they may spend is known before they spend it.
    budgets::review(&hub.op("agents.budgets"), hub, agents).await?;
    Ok(count)
}

/// A file that says something else than the hub knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The agent.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    /// Whether the hub has such an agent at all.
    pub known: bool,
}

/// In what these agents differ from those that there are.
pub fn compare(op: &Op, agents: &Agents, seed: &Seed) -> Result<Vec<Difference>> {
    access::require(op, READ)?;
    let rows = agents.directory().read();
    let differs = |(file, config): (&Path, &AgentConfig)| {
        let name = config.username.clone();
        let row = rows.agents().find(|row| row.name().eq_ignore_ascii_case(&name));
        let known = row.is_some();
        row.is_none_or(|row| row.config != *config).then(|| Difference { name, file: file.to_owned(), known })
    };
    Ok(seed.agents().filter_map(differs).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_beside_a_file_has_those_who_work_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let agent = |name: &str| {
            format!(
                "username: {name}\ntitle: T\nagentPrompt: |\n  You are ${{agent.username}}\ntokenMax: 1000\nshellModel: mock\n"
            )
        };
        write("lead.yaml", &agent("team lead"));
        write("lead/one.yaml", &agent("one"));
        write("lead/one/deep.yml", &agent("deep"));
        write("other.yaml", &agent("other"));
        write("notes.txt", "nothing");
        let read = Seed::read(folder.path()).unwrap();
        let told: Vec<_> =
            read.0.iter().map(|seeded| (seeded.config.username.as_str(), seeded.lead)).collect();
        assert_eq!(told, [("team-lead", None), ("one", Some(0)), ("deep", Some(1)), ("other", None)]);
        write("same.yaml", &agent("ONE"));
        assert!(Seed::read(folder.path()).unwrap_err().message().contains("another agent"));
        write("same.yaml", "title: [");
        assert!(Seed::read(folder.path()).unwrap_err().message().contains("same.yaml"));
        assert!(Seed::read(&folder.path().join("notes.txt")).is_err());
        assert!(Seed::read(&folder.path().join("none")).is_err());
    }
}
