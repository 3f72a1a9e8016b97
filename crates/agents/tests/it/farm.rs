//! A hub with agents, for what is done in a browser.

use std::sync::Arc;

use nave_agents::hub::Agents;
use nave_agents::hub::config::AgentsConfig;
use nave_testkit::hub::{TestHub, TestHubSetup};

/// A hub with an agent fleet.
pub async fn farm() -> anyhow::Result<(TestHub, Agents)> {
    let agents = Agents::new(AgentsConfig::default());
    let setup = TestHubSetup {
        fleets: vec![Arc::new(agents.clone())],
        sections: vec![Arc::new(agents.clone())],
        ..TestHubSetup::default()
    };
    Ok((TestHub::with(setup).await?, agents))
}
