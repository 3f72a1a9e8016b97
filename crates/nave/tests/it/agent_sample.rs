//! The sample agent of docs/agents-host.md, as it stands there.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, ensure};
use nave_agents::api::MailFilter;
use nave_agents::hub::{letters, runs};
use nave_testkit::wait::until;

use crate::agent_host::{Farm, host_with};
use crate::docs::page::Page;

#[tokio::test]
async fn the_agent_in_ten_lines_does_what_the_page_says() -> anyhow::Result<()> {
    let texts = Page::read("docs/agents-host.md")?.texts();
    let find = |start: &str| texts.iter().find(|text| text.starts_with(start)).context(start.to_owned());
    let (script, config) = (find("#!/bin/sh\n")?, find("[agents.ann]\n")?);
    let farm = Farm::with(&["ann"]).await?;
    let box1 = farm.machine("box-1").await?;
    let file = box1.data().join("ann.sh");
    std::fs::write(&file, script)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
    ensure!(config.contains("/srv/agents/ann.sh"), "the page runs another file: {config}");
    let host = host_with(&box1, &config.replace("/srv/agents", &box1.data().to_string_lossy()))?;
    host.says("box-1 is ready").await?;
    farm.send("ann", "Water the roses", "Before noon.").await?;
    farm.says("ann", "I am ann, and I wait for mail.").await?;
    let (op, hub) = (farm.hub.operator(), farm.hub.hub());
    let filter = MailFilter { agent: "admin".to_owned(), ..MailFilter::default() };
    let answer = until("the agent has answered", async || {
        let mails = letters::list(&op, hub, &farm.agents, &filter).await.ok()?;
        mails.into_iter().find(|mail| mail.head.from == "ann")
    })
    .await?;
    assert_eq!((answer.head.subject.as_str(), answer.body.as_str()), ("Re: Water the roses", "It is done."));
    until("its cost is counted", async || {
        let spent = runs::costs_of(&op, hub, None, None).await.ok()?;
        (spent.0 == 1_000_000).then_some(())
    })
    .await?;
    Ok(())
}
