//! Moving over from a NAISYS hub: what its folder has is there afterwards, under the numbers and the keys that runners know.

use std::path::Path;
use std::sync::Arc;

use nave_agents::api::{AgentState, LogFilter, MailFilter};
use nave_agents::hub::config::AgentsConfig;
use nave_agents::hub::{Agents, budgets, hosts, import, letters, roster, runs, settings};
use nave_testkit::hub::{TestHub, TestHubSetup};
use sqlx::{Connection as _, Executor as _};

/// A NAISYS folder as a small farm leaves it, with the identity of a hub that ran.
async fn naisys_folder(folder: &Path) -> anyhow::Result<String> {
    let old = TestHub::start().await?;
    std::fs::create_dir_all(folder.join("cert"))?;
    for (name, _) in import::IDENTITY {
        std::fs::copy(old.path().join("cert").join(name), folder.join("cert").join(name))?;
    }
    let key = std::fs::read_to_string(folder.join("cert/hub-access-key"))?;
    old.stop().await;
    std::fs::create_dir_all(folder.join("database"))?;
    let url = format!("sqlite://{}?mode=rwc", import::database(folder).display());
    let mut connection = sqlx::AnyConnection::connect(&url).await?;
    connection.execute(sqlx::AssertSqlSafe(include_str!("naisys_hub.sql"))).await?;
    connection.close().await?;
    let hash = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4";
    let place = folder.join("attachments/hub/8f/43");
    std::fs::create_dir_all(&place)?;
    std::fs::write(place.join(hash), "hi")?;
    Ok(key)
}

fn fleet() -> (Agents, TestHubSetup) {
    let agents = Agents::new(AgentsConfig::default());
    let setup = TestHubSetup { fleets: vec![Arc::new(agents.clone())], ..TestHubSetup::default() };
    (agents, setup)
}

#[tokio::test]
async fn a_naisys_hub_goes_on_as_a_hub_of_nave() -> anyhow::Result<()> {
    let old = tempfile::tempdir()?;
    let key = naisys_folder(old.path()).await?;
    let data = Arc::new(tempfile::tempdir()?);
    assert!(import::identity(old.path(), data.path())?);
    assert!(import::identity(old.path(), data.path())?, "again, since a first attempt may have failed later");
    let (agents, setup) = fleet();
    let hub = TestHub::on(data, setup).await?;
    let kept = std::fs::read_to_string(hub.path().join("cert/hub-access-key"))?;
    assert_eq!(kept.trim(), key.trim(), "runners come with the key that they have");

    let op = hub.operator();
    let imported = import::import(&op, hub.hub(), &agents, old.path()).await?;
    let count = |what: &str| imported.taken.iter().find(|(taken, _)| *taken == what).map(|(_, count)| *count);
    for (what, expected) in [
        ("agents", 3),
        ("hosts", 2),
        ("files", 1),
        ("sessions", 1),
        ("costs", 1),
        ("mails", 2),
        ("lines of logs", 2),
        ("variables", 2),
        ("models of one's own", 1),
    ] {
        assert_eq!(count(what), Some(expected), "{what}: {imported:?}");
    }
    let notes = imported.notes.join("\n");
    for expected in
        ["no table config_revisions", "1 costs were left out", "one is mocky-3 now", "mocky-3 is disabled"]
    {
        assert!(notes.contains(expected), "{expected}: {notes}");
    }

    let mocky = roster::show(&op, &agents, "mocky")?;
    assert_eq!((mocky.agent.id, mocky.agent.assigned.as_slice()), (1, &["BOX-1".to_owned()][..]));
    let again = roster::show(&op, &agents, "mocky-3")?;
    assert_eq!((again.agent.state, again.agent.lead.as_deref()), (AgentState::Disabled, Some("mocky")));
    let host = hosts::show(&op, &agents, "BOX-1")?;
    assert_eq!((host.address.as_deref(), host.shared_key), (Some("10.0.0.7"), true));
    let mails = |agent: &str| MailFilter { agent: agent.to_owned(), ..MailFilter::default() };
    let own = letters::list(&op, hub.hub(), &agents, &mails("mocky")).await?;
    let told: Vec<_> =
        own.iter().map(|mail| (mail.head.id, mail.head.unread, mail.head.attachments.len())).collect();
    assert_eq!(told, [(8, true, 0), (7, true, 1)]);
    let found = MailFilter { search: Some("body".to_owned()), ..mails("admin") };
    assert_eq!(letters::list(&op, hub.hub(), &agents, &found).await?[0].head.id, 7);
    let page = runs::log(&op, hub.hub(), &agents, "mocky", &LogFilter::default()).await?;
    assert_eq!(page.lines[1].message, "two\nlines");
    let sessions = runs::sessions(&op, hub.hub(), &agents, "mocky", None, 10).await?;
    assert_eq!((sessions[0].key.run, sessions[0].lines, sessions[0].cost), (4, 3, 1_100_000_000));
    let variables = settings::variables(&op, hub.hub()).await?;
    let keys: Vec<_> = variables.iter().map(|variable| (variable.key.as_str(), variable.exported)).collect();
    assert_eq!(
        keys,
        [("MY_VAR", true), ("SPEND_LIMIT_DOLLARS", false)],
        "a hub's own port is its own affair"
    );
    let models = settings::models(&op, hub.hub()).await?;
    assert!(models.iter().any(|model| model.key() == "own" && model.api_key_var() == "OWN_KEY"));
    let spent = budgets::list(&op, &agents)?;
    assert_eq!(spent[1].window.as_ref().map(|window| window.spent.0), Some(1_100_000_000));

    let twice = import::import(&op, hub.hub(), &agents, old.path()).await.unwrap_err();
    assert!(twice.message().contains("has agents already"));
    hub.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_folder_that_is_none_and_an_identity_that_is_anothers_are_refused() -> anyhow::Result<()> {
    let old = tempfile::tempdir()?;
    let (agents, setup) = fleet();
    let hub = TestHub::with(setup).await?;
    let op = hub.operator();
    let refused = import::import(&op, hub.hub(), &agents, old.path()).await.unwrap_err();
    assert!(refused.message().contains("NAISYS_FOLDER"), "{refused}");
    assert!(!import::identity(old.path(), hub.path())?, "there is nothing to take");
    std::fs::create_dir_all(old.path().join("database"))?;
    std::fs::write(import::database(old.path()), "no database")?;
    let refused = import::import(&op, hub.hub(), &agents, old.path()).await.unwrap_err();
    assert!(refused.message().contains("naisys_hub.db"), "{refused}");
    naisys_folder(old.path()).await.ok();
    let refused = import::identity(old.path(), hub.path()).unwrap_err();
    assert!(refused.message().contains("identity of its own"), "{refused}");
    std::fs::remove_file(old.path().join("cert/hub-key.pem"))?;
    assert!(import::identity(old.path(), hub.path()).unwrap_err().message().contains("put back"));
    hub.stop().await;
    Ok(())
}
