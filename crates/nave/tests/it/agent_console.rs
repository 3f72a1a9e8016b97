//! Agents are steered in the browser, and run on a real `nave agent host`.

use nave_agents::api::AgentState;
use nave_testkit::need;
use nave_testkit::person::TestPerson;
use nave_testkit::visit::Visit;

use crate::agent_host::{Farm, host};

/// Ann's line in the list.
const ANN: &str = "#list tr:has([href='/agents/named/ann'])";
/// Says each line that it is given, and takes its time to end.
const REPEATS: &str = r#"echo "here I am"; while IFS= read -r line; do echo "heard: $line"; done"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_started_with_a_task_followed_and_stopped_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let farm = Farm::with(&["ann"]).await?;
    let ada = TestPerson::first_admin(&farm.hub).await?;
    let (visit, list) = (Visit::of(&farm.hub, &ada).await?, Visit::of(&farm.hub, &ada).await?);
    list.to("/agents").await?;
    list.sees("nave-live[state=live]").await?;
    visit.to("/agents/named/ann").await?;
    visit.sees("nave-live[state=live]").await?;
    visit.presses("Start").await?;
    visit.reads("No host is connected that may run ann").await?;

    let box1 = farm.machine("box-1").await?;
    let host_of_box1 = host(&box1, &["--command", REPEATS])?;
    host_of_box1.says("box-1 is ready").await?;
    visit.types("task", "Look things up").await?;
    visit.presses("Start").await?;
    visit.reads("ann has started on box-1.").await?;
    // What it says comes by itself, the task first; and the list of others changes.
    visit.reads("here I am").await?;
    visit.reads("from admin]").await?;
    visit.reads("heard: Look things up").await?;
    list.sees(&format!("{ANN} .dot.good")).await?;
    let mail = farm.send("ann", "Second thoughts", "Stop looking").await?;
    visit.reads(&format!("heard: [mail {mail} from admin] Second thoughts")).await?;

    visit.types("reason", "enough for today").await?;
    visit.presses("Stop").await?;
    visit.reads("it was stopped (enough for today)").await?;
    farm.is("ann", AgentState::Available).await?;
    visit.sees("#acts [name=task]").await?;
    list.sees(&format!("{ANN} .dot.busy")).await?;

    // A host that dies takes the agent with it, and the page says so.
    visit.presses("Start").await?;
    visit.reads("Run 2, session 1").await?;
    farm.is("ann", AgentState::Active).await?;
    drop(host_of_box1);
    visit.sees("#acts [name=task]").await?;
    visit.presses("Start").await?;
    visit.reads("No host is connected that may run ann").await?;
    visit.to("/audit").await?;
    visit.reads("Ada started ann").await?;
    visit.reads("Ada stopped ann").await?;
    list.end().await?;
    visit.end().await
}
