//! The table of events: each is tried by a runner and by a supervisor.

use nave_agents::hub::dialect::naisys::EVENTS;
use nave_agents::hub::{MANAGE, RUN};
use nave_testkit::need::need;
use serde_json::{Value, json};

use super::{Farm, Setup, supervised};

#[tokio::test]
async fn each_event_is_for_those_whom_the_table_names() -> anyhow::Result<()> {
    if !need("socket-io") {
        return Ok(());
    }
    let mut farm = Farm::with(Setup { agents: supervised(), ..Setup::default() }).await?;
    farm.runner("BOX").await?;
    farm.supervisor().await?;
    let is_refused = |answer: &Value| answer["error"].as_str().is_some_and(|error| error.contains("may not"));
    for (event, action) in EVENTS {
        // With nothing in it: whoever may say it is told what is missing, or it is done.
        let answer = farm.ask("BOX", event, json!({})).await?;
        assert_eq!(is_refused(&answer), action.name != RUN.name, "a runner says {event}: {answer}");
        let answer = farm.ask("SUPERVISOR", event, json!({})).await?;
        assert!(!is_refused(&answer), "a supervisor says {event}: {answer}");
        if action.name == MANAGE.name {
            assert_eq!(answer, json!({ "success": true }), "{event}");
        }
    }
    // The original's own names are nobody's to say.
    for event in ["client_connected", "client_disconnected", "agent_run_pause"] {
        let answer = farm.ask("BOX", event, json!({})).await?;
        assert_eq!(answer["success"], false, "{event}");
    }
    Ok(())
}
