//! Agents that behave badly under `nave agent host`: floods, what is no text, those that do not end, those that fork away,
//! those that take too much, those that fail at once.

use anyhow::ensure;
use nave_agents::api::{AgentState, LogRole, LogType};
use nave_agents::hub::runs;
use nave_testkit::wait::until;

use crate::agent_host::{Farm, host_with, is_there};

const CONFIG: &str = r#"
    [agents.flood]
    lines_per_second = 20
    command = "seq 1 20000; echo '::nave cost {\"model\":\"m\",\"dollars\":0.5}'; sleep 2; echo after"

    [agents.binary]
    command = '''
        printf 'bell\007 escape\033[31m nul\000 bad\377\376 end\n'
        printf 'no newline at the end' >&2
        head -c 40000 /dev/zero | tr '\0' x
    '''

    [agents.stubborn]
    grace_seconds = 1
    command = "trap '' TERM; echo ready; while :; do sleep 10071; done"

    [agents.forks]
    command = "(setsid sh -c 'trap \"\" TERM HUP; sleep 10072; sleep 10072' >/dev/null 2>&1 &); echo ready"

    [agents.slow]
    seconds = 1
    command = "echo ready; sleep 10073"

    [agents.large]
    memory_mb = 64
    command = "head -c 200000000 /dev/zero | tail > /dev/null; echo \"tail: $?\""

    [agents.talker]
    output_mb = 1
    lines_per_second = 10000
    command = "yes 'on and on and on and on and on and on and on and on'"

    [agents.fails]
    mail = "nothing"
    command = "echo 'I cannot'; exit 3"

    [agents.files]
    mail = "files"
    command = "until [ -e mail/*.txt ]; do sleep 0.05; done; cat mail/*.txt; ls -A mail"
"#;

#[tokio::test]
async fn agents_that_behave_badly_harm_nobody() -> anyhow::Result<()> {
    let names = ["flood", "binary", "stubborn", "forks", "slow", "large", "talker", "fails", "files"];
    let farm = Farm::with(&names).await?;
    let box1 = farm.machine("box-1").await?;
    let host = host_with(&box1, CONFIG)?;
    host.says("box-1 is ready").await?;
    for name in names.iter().filter(|name| **name != "fails") {
        farm.start(name).await?;
    }

    farm.says("flood", "after").await?;
    let told = farm.says("flood", "lines were left out: more than 20 a second").await?;
    let missed: usize = told.split(' ').next().unwrap_or_default().parse()?;
    farm.says("flood", "it ended").await?;
    let log = farm.log("flood").await?;
    let shown = log.iter().filter(|line| line.message.parse::<u32>().is_ok()).count();
    assert_eq!(shown + missed, 20_000, "what is not shown is counted");
    let op = farm.hub.operator();
    until("a cost in a flood counts", async || {
        let sessions = runs::sessions(&op, farm.hub.hub(), &farm.agents, "flood", None, 1).await.ok()?;
        (sessions.first()?.cost == 500_000_000).then_some(())
    })
    .await?;

    farm.says("binary", "it ended").await?;
    let log = farm.log("binary").await?;
    let text = &log.iter().find(|line| line.message.starts_with("bell")).unwrap().message;
    assert_eq!(text, "bell\u{7} escape\u{1b}[31m nul\u{fffd} bad\u{fffd}\u{fffd} end");
    let error = log.iter().find(|line| line.message == "no newline at the end").unwrap();
    assert_eq!((error.role, error.kind), (LogRole::Llm, Some(LogType::Error)));
    let long: String =
        log.iter().filter(|line| line.message.starts_with('x')).map(|line| &*line.message).collect();
    assert_eq!(long.len(), 40_000);

    farm.says("stubborn", "ready").await?;
    farm.stop("stubborn").await?;
    farm.says("stubborn", "did not end by itself in its time and was killed").await?;
    ensure!(!is_there("sleep 10071"));

    farm.says("forks", "it ended").await?;
    ensure!(!is_there("sleep 10072"), "whoever forked away has ended with it");

    farm.says("slow", "it was stopped (it ran for 1 seconds, as long as it may); it was ended by SIGTERM")
        .await?;
    ensure!(!is_there("sleep 10073"));

    let tail = farm.says("large", "tail: ").await?;
    ensure!(tail != "tail: 0", "it had all the memory that it wanted");

    farm.says("talker", "it was stopped (it wrote more than 1 MiB)").await?;

    let mail = farm.send("files", "In a file", "with a body").await?;
    farm.says("files", "Subject: In a file").await?;
    farm.says("files", "with a body").await?;
    farm.says("files", &format!("{mail}.txt")).await?;

    // Woken by a mail that it never reads, it is not started over and over.
    farm.send("fails", "Hello", "").await?;
    farm.says("fails", "it ended with status 3").await?;
    until("its problem is shown", async || {
        let agent = nave_agents::hub::roster::show(&farm.hub.operator(), &farm.agents, "fails").ok()?.agent;
        agent.problem.filter(|problem| problem.contains("failed within 10 seconds of its start"))
    })
    .await?;
    let starts = farm.log("fails").await?.iter().filter(|line| line.message == "I cannot").count();
    ensure!(starts <= 3, "it was started {starts} times");
    for name in names {
        farm.is(name, AgentState::Available).await?;
    }
    Ok(())
}
