//! `nave agent export`: every agent's configuration as a file of NAISYS, those who work for another in a folder beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use nave_agents::api::{Agent, AgentDetail};

use super::super::Context;
use super::path;

pub async fn run(context: &Context<'_>, folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        let mut content =
            std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
        ensure!(content.next().is_none(), "{} is not empty: name a folder that is new", folder.display());
    }
    let hub = context.hub().await?;
    let agents: Vec<Agent> = hub.get("/nave/v1/agents").await?;
    let leads: BTreeMap<&str, Option<&str>> =
        agents.iter().map(|agent| (agent.name.as_str(), agent.lead.as_deref())).collect();
    for agent in &agents {
        let detail: AgentDetail = hub.get(&path(&agent.name)).await?;
        let file = folder.join(place(&agent.name, &leads));
        let parent = file.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        std::fs::write(&file, serde_saphyr::to_string(&detail.config)?)
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    context.printer.talk(format!("nave: {} agents are in {}", agents.len(), folder.display()));
    Ok(())
}

/// `lead/agent.yaml`; names hold nothing that leads elsewhere.
fn place(agent: &str, leads: &BTreeMap<&str, Option<&str>>) -> PathBuf {
    let mut above = vec![agent];
    while let Some(Some(lead)) = leads.get(above[above.len() - 1])
        && !above.contains(lead)
    {
        above.push(lead);
    }
    above[1..].iter().rev().collect::<PathBuf>().join(format!("{agent}.yaml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_works_for_somebody_lies_in_a_folder_of_that_name() {
        let leads = BTreeMap::from([
            ("boss", None),
            ("ann", Some("boss")),
            ("bob", Some("ann")),
            ("odd", Some("gone")),
        ]);
        let told = |agent| place(agent, &leads).display().to_string();
        assert_eq!(told("boss"), "boss.yaml");
        assert_eq!(told("bob"), "boss/ann/bob.yaml");
        assert_eq!(told("odd"), "gone/odd.yaml");
    }
}
