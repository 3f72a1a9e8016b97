//! The fleet's pages with sample values, in every state that people meet: no agent, three, three hundred with names that are
//! long or mean harm. Pictures go to `target/screenshots/agents`. Pages of mail, money and settings are in `pages_samples`.

use std::path::PathBuf;

use nave_agents::api::{Agent, AgentState, LogLine, LogRole, LogSource, LogType, RunKey, Session};
use nave_agents::hub::pages::views::{
    AgentPage, Choice, ConfigPage, Counts, Forms, History, ListPage, LogView, NewAgentPage, Tab, diff, lines,
    page_of, tree,
};
use nave_core::hub::error::Error;
use nave_testkit::gallery::{HOSTILE, NOW, Sample, look};
use nave_web::form::Fields;
use nave_web::shell::{MenuItem, Shell};
use nave_web::ui::Filled;
use nave_web::views::listing::{Listing, Pager};
use time::Duration;

use crate::pages_samples::{hosts, samples_of_hosts_and_money, samples_of_mail_and_settings, window};

pub const LONG: &str =
    "the-one-who-looks-through-every-report-of-the-night-and-writes-a-summary-for-the-team-of-the-morning";
const YAML: &str = "username: ann\ntitle: Researcher\nagentPrompt: |\n  You are ${agent.username}.\n  Look things up.\ntokenMax: 100000\nshellModel: claude4sonnet\nmailEnabled: true\n";

pub fn shell(title: &str) -> Shell {
    let mut shell = nave_testkit::gallery::shell(title, "/agents");
    shell.menu.insert(1, MenuItem::new(0, "Agents", "/agents", "agents"));
    shell
}

pub fn tabs(here: &str) -> Vec<Tab> {
    let all = [
        ("Agents", "/agents"),
        ("Mail", "/agents/mail"),
        ("Costs", "/agents/costs"),
        ("Hosts", "/agents/hosts"),
        ("Models", "/agents/models"),
        ("Variables", "/agents/variables"),
    ];
    all.into_iter().map(|(label, path)| Tab { label, path: path.to_owned(), here: label == here }).collect()
}

pub fn agent_tabs(here: &str) -> Vec<Tab> {
    let tab = |label| Tab { label, path: "/agents/named/ann".to_owned(), here: label == here };
    ["Now", "Configuration", "Costs", "Mail"].map(tab).to_vec()
}

pub fn choice(label: &str, count: usize, here: bool) -> Choice {
    Choice { label: label.to_owned(), count, path: "/agents".to_owned(), here }
}

fn agent(id: i64, name: &str, title: &str, state: AgentState, lead: Option<&str>) -> Agent {
    let is_active = state == AgentState::Active;
    Agent {
        id,
        name: name.to_owned(),
        title: title.to_owned(),
        state,
        hosts: if is_active { vec!["lab".to_owned()] } else { vec![] },
        assigned: vec![],
        lead: lead.map(str::to_owned),
        model: "claude4sonnet".to_owned(),
        budget_left: Some(3_420_000_000),
        suspended: None,
        problem: None,
        last_active_at: Some(NOW - Duration::minutes(12 * id)),
    }
}

pub fn three() -> Vec<Agent> {
    let admin = agent(1, "admin", "Admin", AgentState::Offline, None);
    vec![
        Agent { model: "none".to_owned(), budget_left: None, last_active_at: None, ..admin },
        agent(2, "ann", "Researcher", AgentState::Active, None),
        Agent {
            suspended: Some("Spend limit of $5 reached (current: $5.03)".to_owned()),
            budget_left: Some(0),
            ..agent(3, "bob", "Writes the weekly report", AgentState::Suspended, Some("ann"))
        },
    ]
}

/// With everything that can be too long being too long.
pub fn many() -> Vec<Agent> {
    let mut all = three();
    all.extend((4..=300).map(|at| {
        let name = match at % 17 {
            0 => format!("{LONG}-{at}"),
            1 => format!("{HOSTILE}-{at}"),
            _ => format!("worker-{at:03}"),
        };
        let title = match at % 5 {
            0 => LONG,
            1 => HOSTILE,
            2 => "",
            _ => "Looks things up",
        };
        let lead = match at % 10 {
            0 => Some("ann".to_owned()),
            _ if at > 20 => Some(format!("worker-{:03}", at / 10)),
            _ => None,
        };
        let state = match at % 7 {
            0 => AgentState::Active,
            1 => AgentState::Disabled,
            2 | 3 => AgentState::Offline,
            _ => AgentState::Available,
        };
        let problem =
            (at % 11 == 0).then(|| format!("{HOSTILE}: no such model (tried 3 times; again at 12:07 UTC)"));
        let assigned = if at % 6 == 0 { vec!["lab".to_owned(), LONG.to_owned()] } else { vec![] };
        Agent { problem, assigned, ..agent(at, &name, title, state, lead.as_deref()) }
    }));
    all
}

fn list(agents: &[Agent], asked: &[(&'static str, &str)], may: bool) -> ListPage {
    let listing = Listing::new("/agents", asked);
    let counts = Counts::of(agents);
    let shown =
        if listing.is_narrowed() && !asked.contains(&("state", "active")) { vec![] } else { agents.to_vec() };
    let (rows, pager) = Pager::cut(&listing, tree(shown));
    ListPage {
        shell: shell("Agents"),
        tabs: tabs("Agents"),
        hosts: 0,
        counts,
        choices: vec![
            choice("All", counts.agents, true),
            choice("Active", counts.active, false),
            choice("Available", counts.available, false),
            choice("Suspended", counts.suspended, false),
            choice("With a problem", counts.failing, false),
        ],
        rows,
        pager,
        may,
        has_admin: agents.len() != 1,
        problem: Filled::blank(),
        listing,
    }
}

fn log(count: i64) -> LogView {
    use {LogRole::Llm, LogRole::Naisys, LogSource as From, LogType as Is};
    let line = |id: i64, role, source, kind, message: &str| LogLine {
        id,
        key: RunKey { agent: 2, run: 7 + id / 8, session: 1 },
        role,
        source,
        kind,
        message: message.to_owned(),
        created_at: NOW - Duration::seconds(600 - 7 * id),
        attachment: (id % 9 == 4).then(|| "AbCdEf0123".to_owned()),
    };
    let all = (0..count).map(|id| match id % 8 {
        0 => line(id, Naisys, None, Some(Is::System), "You have 1 new mail."),
        1 => line(id, Naisys, Some(From::StartPrompt), None, "ann@lab:~ [5% of 100000]$ "),
        2 => line(id, Llm, Some(From::Llm), None, "mail read 12\nThen I look at the logs of the night."),
        3 => line(
            id,
            Naisys,
            Some(From::Console),
            None,
            &format!("\u{1b}[32mok\u{1b}[0m {HOSTILE}\u{8}\u{0}{LONG}{LONG}"),
        ),
        4 => line(id, Naisys, None, Some(Is::Error), "curl: (6) Could not resolve host: example.org"),
        5 => line(id, Naisys, None, Some(Is::Comment), "# waiting for mail"),
        6 => line(id, Naisys, None, Some(Is::Tool), "looked at screenshot.png"),
        _ => line(id, Llm, None, None, &format!("echo {}", "x".repeat(25_000))),
    });
    let all: Vec<LogLine> = all.collect();
    LogView {
        path: "/agents/named/ann".to_owned(),
        of: None,
        older: (count > 10).then_some(1),
        last: count,
        key: None,
        lines: lines(all, None),
        follows: true,
        more: false,
    }
}

fn detail(agent: Agent, may: bool, forms: Forms) -> AgentPage {
    let session = |at: i64| Session {
        key: RunKey { agent: 2, run: 12 - at, session: 1 + at % 2 },
        model: if at == 3 { LONG } else { "claude4sonnet" }.to_owned(),
        host: (at != 4).then(|| if at == 2 { LONG } else { "lab" }.to_owned()),
        created_at: NOW - Duration::hours(at + 1),
        last_active_at: NOW - Duration::hours(at),
        lines: at * 4321,
        cost: at * 123_456_789,
    };
    let runs = agent.state == AgentState::Active;
    AgentPage {
        shell: shell(&agent.name),
        tabs: agent_tabs("Now"),
        log: if runs { log(30) } else { LogView { follows: true, ..LogView::default() } },
        sessions: if runs { (0..6).map(session).collect() } else { vec![] },
        leads: vec!["admin".to_owned(), LONG.to_owned()],
        hosts: hosts(if runs { 24 } else { 0 }),
        window: runs.then(window),
        has_admin: true,
        may,
        agent,
        forms,
    }
}

pub fn refused(body: &[u8], error: &Error) -> Filled {
    Filled::refused(&Fields::parse(body).unwrap(), error)
}

fn config(form: Filled, yaml: Filled, compared: Option<i64>, may: bool) -> ConfigPage {
    let revision = |number: i64, fields: &[&str]| History {
        number,
        by: if number == 2 { HOSTILE } else { "Ada" }.to_owned(),
        at: NOW - Duration::hours(30 - number),
        fields: fields.iter().map(ToString::to_string).collect(),
    };
    let before = YAML.replace("tokenMax: 100000", "tokenMax: 50000").replace("  Look things up.\n", "");
    ConfigPage {
        shell: shell("Configuration of ann"),
        tabs: agent_tabs("Configuration"),
        agent: three().remove(1),
        revision: 3,
        form,
        yaml,
        other: vec!["ofTomorrow".to_owned()],
        models: vec![
            ("claude4sonnet".to_owned(), "Claude Sonnet 4".to_owned()),
            ("mock".to_owned(), "Mock".to_owned()),
        ],
        image_models: vec![(String::new(), "None".to_owned())],
        history: vec![revision(3, &["tokenMax", "agentPrompt"]), revision(2, &["title"]), revision(1, &[])],
        compared: compared.map(|number| (number, diff(&before, YAML))),
        may,
    }
}

fn form() -> Filled {
    Filled::with([
        ("username", "ann"),
        ("title", "Researcher"),
        ("agentPrompt", "You are ${agent.username}.\nLook things up.\n"),
        ("tokenMax", "100000"),
        ("shellModel", "claude4sonnet"),
        ("mailEnabled", "on"),
    ])
}

fn samples() -> Vec<Sample> {
    let long = Agent {
        problem: Some(HOSTILE.to_owned()),
        hosts: vec![LONG.to_owned()],
        ..agent(9, LONG, LONG, AgentState::Active, Some(LONG))
    };
    let taken = Error::Conflict("no eligible hosts are online for user 3".to_owned());
    let off = || three().remove(2);
    vec![
        Sample::of("list-empty", &list(&[], &[], true)),
        Sample::of("list-3", &list(&three(), &[], true)),
        Sample::of("list-viewer", &list(&three(), &[], false)),
        Sample::of("list-no-admin", &list(&three()[1..2], &[], true)),
        Sample::of("list-none-found", &list(&three(), &[("q", "nothing")], true)),
        Sample::of("list-300", &list(&many(), &[], true)),
        Sample::of("agent-active", &detail(three().remove(1), true, Forms::default())),
        Sample::of("agent-viewer", &detail(three().remove(1), false, Forms::default())),
        Sample::of("agent-suspended", &detail(off(), true, Forms::default())),
        Sample::of(
            "agent-refused",
            &detail(
                Agent { state: AgentState::Available, ..off() },
                true,
                Forms { start: refused(b"task=Look", &taken), ..Forms::default() },
            ),
        ),
        Sample::of("agent-person", &detail(three().remove(0), true, Forms::default())),
        Sample::of(
            "agent-disabled",
            &detail(Agent { state: AgentState::Disabled, ..off() }, true, Forms::default()),
        ),
        Sample::of(
            "agent-archived",
            &detail(Agent { state: AgentState::Archived, ..off() }, true, Forms::default()),
        ),
        Sample::of("agent-long", &detail(long, true, Forms::default())),
        Sample::of("config", &config(form(), Filled::with([("yaml", YAML)]), None, true)),
        Sample::of("config-compared", &config(form(), Filled::with([("yaml", YAML)]), Some(2), true)),
        Sample::of("config-viewer", &config(form(), Filled::with([("yaml", YAML)]), None, false)),
        Sample::of(
            "config-refused",
            &config(
                refused(
                    b"username=a+b&agentPrompt=You&tokenMax=5&shellModel=mock",
                    &Error::invalid("username", "\"a b\" must be letters, digits, - and _, as \"a-b\""),
                ),
                refused(b"yaml=title:", &Error::invalid("yaml", "missing field `username` at line 1")),
                None,
                true,
            ),
        ),
        Sample::of(
            "new",
            &NewAgentPage {
                shell: shell("New agent"),
                form: form(),
                models: vec![("mock".to_owned(), "Mock".to_owned())],
                image_models: vec![(String::new(), "None".to_owned())],
                leads: vec!["ann".to_owned()],
            },
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_agents_are_in_order_on_every_screen_chromium() -> anyhow::Result<()> {
    assert_eq!(page_of(&three()[1]), "/agents/named/ann");
    let pictures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots/agents");
    look([samples(), samples_of_hosts_and_money(), samples_of_mail_and_settings()].concat(), &pictures).await
}
