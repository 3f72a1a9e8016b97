//! The fleet's pages as people meet them, in a real browser on a real hub: making and configuring agents, budgets, mail with
//! files, variables and models; what somebody without rights sees; that pages stay live.

use anyhow::ensure;
use nave_core::api::Role;
use nave_testkit::need;
use nave_testkit::person::TestPerson;
use nave_testkit::visit::Visit;

use crate::farm::farm;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_made_configured_and_archived_in_the_browser_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let (hub, _agents) = farm().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let (visit, other) = (Visit::of(&hub, &ada).await?, Visit::of(&hub, &ada).await?);
    other.to("/agents").await?;
    other.reads("There is no agent yet").await?;
    other.sees("nave-live[state=live]").await?;

    visit.to("/agents/new").await?;
    visit.types("username", "a b").await?;
    visit.types("title", "Researcher").await?;
    visit.types("agentPrompt", "You are ${agent.username}.").await?;
    visit.chooses("shellModel", "mock").await?;
    visit.presses("Make it").await?;
    visit.sees("#username[aria-invalid=true]").await?;
    ensure!(visit.sees("#title").await?.prop("value").await?.as_deref() == Some("Researcher"));
    visit.types("username", "ann").await?;
    visit.presses("Make it").await?;
    visit.reads("ann is there.").await?;
    // What comes shows by itself.
    other.reads("Researcher").await?;
    other.reads("There is no agent named admin").await?;
    other.presses("Make it").await?;
    other.reads("people write and give tasks in its name").await?;

    // What cannot be is said where it was asked.
    visit.to("/agents/named/ann").await?;
    visit.types("task", "Look things up").await?;
    visit.presses("Start").await?;
    visit.reads("No host is connected that may run ann").await?;
    ensure!(visit.sees("#task").await?.prop("value").await?.as_deref() == Some("Look things up"));
    visit.types("dollars", "two").await?;
    visit.sees("#budget .button").await?.click().await?;
    visit.sees("#dollars[aria-invalid=true]").await?;
    visit.types("dollars", "2.5").await?;
    visit.types("hours", "24").await?;
    visit.sees("#budget .button").await?.click().await?;
    visit.reads("What ann may spend is limited.").await?;
    visit.reads("$0 of $2.50 spent").await?;
    visit.presses("Count from now on ann").await?;
    visit.reads("What ann spent so far counts no more.").await?;
    visit.chooses("lead", "admin").await?;
    visit.sees("#lead .button").await?.click().await?;
    visit.reads("ann works for admin.").await?;
    other.to("/agents").await?;
    other.sees("tr .depth-1").await?;

    // The configuration, as a form and as YAML; what somebody else changed meanwhile is not undone.
    other.to("/agents/named/ann/config").await?;
    visit.to("/agents/named/ann/config").await?;
    visit.types("title", "Librarian").await?;
    visit.presses("Save").await?;
    visit.reads("The configuration of ann is changed").await?;
    other.types("title", "Lost").await?;
    other.presses("Save").await?;
    other.reads("was changed meanwhile").await?;
    visit.types("yaml", "username: ann\ntitle: Nothing").await?;
    visit.presses("Save the YAML").await?;
    visit.sees("#yaml[aria-invalid=true]").await?;
    visit
        .types(
            "yaml",
            "username: ann\ntitle: Writer\nagentPrompt: Write.\ntokenMax: 5000\nshellModel: mock\n",
        )
        .await?;
    visit.presses("Save the YAML").await?;
    visit.reads("The configuration of ann is changed").await?;
    visit.to("/agents/named/ann/config?with=1").await?;
    visit.sees(".diff .new").await?;
    visit.reads("tokenMax: 5000").await?;
    visit.presses("Bring revision 1 back").await?;
    visit.sees("dialog#restore[open] button.solid").await?.click().await?;
    visit.reads("The configuration of ann is changed").await?;
    ensure!(visit.sees("#title").await?.prop("value").await?.as_deref() == Some("Researcher"));

    visit.to("/agents").await?;
    visit.sees("main .acts-row form[action='/agents/named/ann/disable'] button").await?.click().await?;
    visit.reads("ann may not run any more.").await?;
    visit.presses("Enable ann").await?;
    visit.reads("ann may run again.").await?;
    visit.to("/agents/named/ann").await?;
    visit.presses("Archive").await?;
    visit.sees("dialog#archive[open] button.solid").await?.click().await?;
    visit.reads("ann is archived; its name is free.").await?;
    visit.presses("Bring back ann").await?;
    visit.reads("ann is back.").await?;
    visit.to("/").await?;
    ensure!(visit.count("#fleet-agents dd").await? == 4);
    visit.to("/audit").await?;
    visit.reads("Ada made the agent ann").await?;
    visit.reads("Ada changed ann to work for admin").await?;
    visit.reads("Ada archived ann").await?;
    other.end().await?;
    visit.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_with_files_is_written_found_and_put_away_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let (hub, agents) = farm().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    for config in [
        nave_agents::api::AgentConfig::human("admin", "Admin"),
        nave_agents::api::AgentConfig::new("ann", "Researcher", "Look.", 1000, "mock"),
        nave_agents::api::AgentConfig::new("bob", "Writer", "Write.", 1000, "mock"),
    ] {
        let new = nave_agents::api::NewAgent { config, lead: None };
        nave_agents::hub::roster::create(&hub.operator(), hub.hub(), &agents, new).await?;
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("page.html");
    std::fs::write(&file, "<script>document.title = 'run'</script>")?;
    let (visit, other) = (Visit::of(&hub, &ada).await?, Visit::of(&hub, &ada).await?);
    other.to("/agents/mail").await?;
    other.reads("Nobody has written yet").await?;
    other.sees("nave-live[state=live]").await?;

    visit.to("/agents/mail/new").await?;
    visit.types("to", "ann, nobody").await?;
    visit.types("subject", "What the night brought").await?;
    visit.types("body", "Please look <b>twice</b>.").await?;
    visit.types("file", &file.display().to_string()).await?;
    visit.presses("Send").await?;
    visit.reads("Names nobody: nobody").await?;
    // The file is kept, so that it need not be chosen again.
    visit.reads("page.html").await?;
    visit.types("to", "ann, bob").await?;
    visit.presses("Send").await?;
    visit.reads("It is sent to 2 agents.").await?;
    visit.reads("Please look <b>twice</b>.").await?;
    visit.reads("not read yet by ann, bob").await?;
    // Others see it by themselves, and find it by how its words begin.
    other.reads("What the night brought").await?;
    other.types("q", "brou twi").await?;
    other.reads("admin to ann, bob").await?;
    other.types("q", "nothing").await?;
    other.reads("No message is like that").await?;
    other.to("/agents/mail?agent=bob&q=night").await?;
    other.reads("admin to ann, bob").await?;

    // What an agent brings is never run.
    let link = visit.sees(".files a").await?.attr("href").await?.unwrap_or_default();
    let script = "const answer = await fetch(arguments[0]); return [answer.headers.get('content-type'), \
        answer.headers.get('content-disposition'), answer.headers.get('content-security-policy')].join(' | ')";
    let script = format!("const done = arguments[1]; (async () => {{ {script} }})().then(done)");
    let said = visit.browser.client().execute_async(&script, vec![serde_json::json!(link)]);
    let said = said.await?.to_string();
    ensure!(said.contains("application/octet-stream | attachment;") && said.contains("sandbox"), "{said}");

    visit.presses("Put all away").await?;
    visit.reads("1 message is put away.").await?;
    visit.reads("Nothing is here").await?;
    visit.presses("Everybody’s mail").await?;
    visit.reads("What the night brought").await?;
    visit.to("/audit").await?;
    visit.reads("Ada wrote to admin,ann,bob about “What the night brought”").await?;
    other.end().await?;
    visit.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_models_and_limits_are_set_and_taken_away_chromium() -> anyhow::Result<()> {
    if !need("chromium") {
        return Ok(());
    }
    let (hub, _agents) = farm().await?;
    let ada = TestPerson::first_admin(&hub).await?;
    let vera = TestPerson::invite(&hub, "Vera", &[(Role::Viewer, "*")]).await?;
    let visit = Visit::of(&hub, &ada).await?;
    visit.to("/agents/variables").await?;
    visit.types("key", "1A").await?;
    visit.types("value", "tell nobody").await?;
    visit.presses("Set it").await?;
    visit.sees("#key[aria-invalid=true]").await?;
    visit.types("key", "OPENAI_API_KEY").await?;
    visit.types("value", "tell nobody").await?;
    visit.presses("Set it").await?;
    visit.reads("OPENAI_API_KEY is set").await?;
    visit.reads("Ada set it").await?;
    ensure!(!visit.browser.client().source().await?.contains("tell nobody"));
    visit.presses("Give to shells: OPENAI_API_KEY").await?;
    visit.reads("agents find it in their shell").await?;
    visit.sees("button[popovertarget='unset-OPENAI_API_KEY']").await?.click().await?;
    visit.sees("dialog[open] button.solid").await?.click().await?;
    visit.reads("OPENAI_API_KEY is gone.").await?;

    visit.to("/agents/models/one?kind=llm").await?;
    for (name, text) in [
        ("key", "ours"),
        ("label", "Our own"),
        ("versionName", "ours-1"),
        ("apiKeyVar", "OURS_KEY"),
        ("inputCost", "much"),
        ("outputCost", "2"),
    ] {
        visit.types(name, text).await?;
    }
    visit.presses("Save").await?;
    visit.sees("#inputCost[aria-invalid=true]").await?;
    visit.types("inputCost", "0.5").await?;
    visit.presses("Save").await?;
    visit.reads("ours is set, and the hosts are told.").await?;
    visit.reads("$0.5 in, $2 out").await?;
    visit.presses("Our own").await?;
    visit.presses("Remove").await?;
    visit.sees("dialog[open] button.solid").await?.click().await?;
    visit.reads("ours is gone.").await?;

    visit.to("/agents/costs").await?;
    visit.reads("Nothing was spent in this time.").await?;
    visit.types("dollars", "-1").await?;
    visit.presses("Save").await?;
    visit.reads("Must be 0 or more").await?;
    visit.types("dollars", "10").await?;
    visit.presses("Save").await?;
    visit.reads("$0 of $10.00 spent").await?;

    // A viewer sees how all is, and has nothing to press.
    let viewer = Visit::of(&hub, &vera).await?;
    for path in ["/agents", "/agents/costs", "/agents/hosts", "/agents/models", "/agents/models/one?key=mock"]
    {
        viewer.to(path).await?;
        viewer.sees("h1").await?;
        ensure!(viewer.count("main .primary, main form[method=post] button").await? == 0, "{path}");
    }
    for path in ["/agents/mail", "/agents/variables", "/agents/new"] {
        viewer.to(path).await?;
        viewer.reads("You may not do that").await?;
    }
    viewer.end().await?;
    visit.end().await
}
