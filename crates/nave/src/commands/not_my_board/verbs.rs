//! What people do with places, in the words of an agent: whichever agent, and whoever prints what came of it.

use nave_boards::node::agent::AgentClient;
use nave_boards::node::lookup::{Folders, Wish};

/// Reserves a place by the name of its import description, under that name or another.
pub async fn reserve(agent: &mut AgentClient, name: &str, with_name: Option<&str>) -> anyhow::Result<()> {
    let wish = Wish::parse(name);
    let found = Folders::of_process()?.read(&wish.name)?;
    let name = with_name.filter(|name| !name.is_empty()).unwrap_or(&found.name);
    Ok(agent.reserve(name, &found.text, wish.place.as_deref()).await?)
}

/// Attaches a reserved place, or reserves one and attaches it; then gives all others back, unless they are to be kept.
pub async fn attach(agent: &mut AgentClient, name: &str, keep_others: bool) -> anyhow::Result<()> {
    let reserved: Vec<String> = agent.list().await?.into_iter().map(|listed| listed.place).collect();
    if reserved.iter().any(|known| known == name) {
        agent.attach(name).await?;
    } else {
        let wish = Wish::parse(name);
        let found = Folders::of_process()?.read(&wish.name)?;
        agent.reserve(&found.name, &found.text, wish.place.as_deref()).await?;
        agent.attach(&found.name).await?;
    }
    if !keep_others {
        for other in reserved.iter().filter(|other| *other != name) {
            agent.give_back(other, true).await?;
        }
    }
    Ok(())
}

/// Detaches places, or all of them without names, and gives them back unless they are to be kept.
pub async fn detach(agent: &mut AgentClient, names: &[String], keep: bool) -> anyhow::Result<()> {
    let all: Vec<(String, bool)> = if names.is_empty() {
        agent.list().await?.into_iter().map(|listed| (listed.place, listed.attached)).collect()
    } else {
        names.iter().map(|name| (name.clone(), true)).collect()
    };
    for (name, attached) in all {
        if attached {
            agent.detach(&name).await?;
        }
        if !keep {
            agent.give_back(&name, false).await?;
        }
    }
    Ok(())
}

/// The names of the places that are there, sorted; with the name of an import description, of those that fit it.
pub async fn search(agent: &mut AgentClient, name: Option<&str>) -> anyhow::Result<Vec<String>> {
    let found = match name.filter(|name| !name.is_empty()) {
        Some(name) => Some(Folders::of_process()?.read(name)?),
        None => None,
    };
    let mut names = agent.search(found.as_ref().map(|found| found.text.as_str())).await?;
    names.sort();
    Ok(names)
}
