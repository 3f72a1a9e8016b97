//! Agents in the order of who works for whom.

use std::collections::{BTreeMap, HashMap};

use crate::api::Agent;

/// The deepest that is drawn as such.
const DEEPEST: usize = 6;

/// An agent in the tree.
#[derive(Clone, Debug)]
pub struct Row {
    /// The agent.
    pub agent: Agent,
    /// How many leads stand above it.
    pub depth: usize,
}

/// Each agent after its lead, those with the same lead by name.
pub fn tree(agents: Vec<Agent>) -> Vec<Row> {
    let names: HashMap<String, i64> =
        agents.iter().map(|agent| (agent.name.to_lowercase(), agent.id)).collect();
    let mut below: BTreeMap<Option<i64>, Vec<Agent>> = BTreeMap::new();
    for agent in agents {
        // Whose lead is not shown stands at the top.
        let lead = agent.lead.as_ref().and_then(|lead| names.get(&lead.to_lowercase()).copied());
        below.entry(lead.filter(|lead| *lead != agent.id)).or_default().push(agent);
    }
    for agents in below.values_mut() {
        // The last first, since they are taken from the end.
        agents.sort_by(|one, other| {
            other.name.to_lowercase().cmp(&one.name.to_lowercase()).then(other.id.cmp(&one.id))
        });
    }
    let mut rows = Vec::new();
    let mut open: Vec<(Agent, usize)> =
        below.remove(&None).unwrap_or_default().into_iter().map(|agent| (agent, 0)).collect();
    while let Some((agent, depth)) = open.pop() {
        let led = below.remove(&Some(agent.id)).unwrap_or_default();
        open.extend(led.into_iter().map(|agent| (agent, (depth + 1).min(DEEPEST))));
        rows.push(Row { agent, depth });
    }
    // Nobody is left out, whatever stands in the database.
    rows.extend(below.into_values().flatten().map(|agent| Row { agent, depth: 0 }));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AgentState;

    fn agent(id: i64, name: &str, lead: Option<&str>) -> Agent {
        Agent {
            id,
            name: name.to_owned(),
            title: String::new(),
            state: AgentState::Offline,
            hosts: Vec::new(),
            assigned: Vec::new(),
            lead: lead.map(str::to_owned),
            model: "mock".to_owned(),
            budget_left: None,
            suspended: None,
            problem: None,
            last_active_at: None,
        }
    }

    #[test]
    fn whoever_works_for_somebody_stands_below() {
        let rows = tree(vec![
            agent(1, "zoe", None),
            agent(2, "bob", Some("ANN")),
            agent(3, "ann", None),
            agent(4, "cid", Some("bob")),
            agent(5, "amy", Some("ann")),
            agent(6, "lost", Some("gone")),
            agent(7, "x", Some("y")),
            agent(8, "y", Some("x")),
        ]);
        let told: Vec<_> = rows.iter().map(|row| (row.agent.name.as_str(), row.depth)).collect();
        let expected =
            [("ann", 0), ("amy", 1), ("bob", 1), ("cid", 2), ("lost", 0), ("zoe", 0), ("y", 0), ("x", 0)];
        assert_eq!(told, expected);
    }
}
