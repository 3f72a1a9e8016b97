//! Sample values for the pages of hosts, money, mail, models and variables.

use nave_agents::api::{
    Attachment, BudgetView, Conversation, CostSum, Host, HostKind, Letter, Mail, MailHead, MailKind,
    Nanodollars, SpendWindow, Variable,
};
use nave_agents::hub::pages::views::{
    AgentCosts, Chart, Choice, ComposePage, ConversationPage, CostsPage, HostPage, HostsPage, MailPage,
    ModelPage, ModelsPage, Shown, VariablesPage,
};
use nave_agents::hub::settings::builtin_models;
use nave_core::hub::error::Error;
use nave_testkit::gallery::{HOSTILE, NOW, Sample};
use nave_web::ui::Filled;
use nave_web::views::listing::Listing;
use time::Duration;

use crate::pages_gallery::{LONG, agent_tabs, choice, many, refused, shell, tabs, three};

fn host(id: i64, name: &str, online: bool) -> Host {
    Host {
        id,
        name: name.to_owned(),
        kind: HostKind::Naisys,
        online,
        restricted: id % 2 == 0,
        capacity: (id % 3 == 0).then_some(4),
        active: if online { vec!["ann".to_owned(), "bob".to_owned()] } else { vec![] },
        assigned: vec![],
        version: Some("naisys 3.0.0".to_owned()),
        address: Some("192.0.2.7".to_owned()),
        shared_key: id == 2,
        last_active_at: Some(NOW - Duration::hours(id)),
    }
}

pub fn hosts(count: i64) -> Vec<Host> {
    let name = |id: i64| match id {
        1 => "lab".to_owned(),
        3 => LONG.to_owned(),
        _ => format!("box-{id}"),
    };
    let mut hosts: Vec<Host> = (1..=count).map(|id| host(id, &name(id), id % 4 != 3)).collect();
    if let Some(last) = hosts.last_mut() {
        *last = Host { kind: HostKind::Supervisor, active: vec![], version: None, ..last.clone() };
    }
    hosts
}

pub fn window() -> SpendWindow {
    SpendWindow {
        limit: Nanodollars::from_dollars(5.0),
        spent: Nanodollars::from_dollars(3.4),
        from: Some(NOW - Duration::hours(12)),
        until: Some(NOW + Duration::hours(12)),
    }
}

fn sums(agents: &[&str], days: i64) -> Vec<CostSum> {
    let sum = |at: i64, agent: usize| CostSum {
        from: NOW - Duration::hours(24 * days - at),
        agent: agents[agent].to_owned(),
        model: ["claude4sonnet", "gpt4o", LONG][agent % 3].to_owned(),
        cost: Nanodollars((at * 37 % 101) * (i64::try_from(agent).unwrap() % 5 + 1) * 900_000),
        tokens: [at * 1000, at * 10, at, at * 4000],
    };
    (0..24 * days).step_by(6).flat_map(|at| (0..agents.len()).map(move |agent| sum(at, agent))).collect()
}

fn chart(agents: &[&str], by_agent: bool) -> Chart {
    let name: fn(&CostSum) -> &str = if by_agent { |sum| &sum.agent } else { |sum| &sum.model };
    Chart::of(&sums(agents, 7), NOW - Duration::days(7), Duration::hours(6), 28, name)
}

fn days() -> Vec<Choice> {
    vec![
        choice("24 hours", 0, false),
        choice("7 days", 0, true),
        choice("30 days", 0, false),
        choice("90 days", 0, false),
    ]
}

fn costs(agents: &[&str]) -> CostsPage {
    let budget = |agent: &str, window, suspended: Option<&str>| BudgetView {
        agent: Some(agent.to_owned()),
        window,
        suspended: suspended.map(str::to_owned),
    };
    let why = "Spend limit of $5 reached (current: $5.03)";
    CostsPage {
        shell: shell("Costs"),
        tabs: tabs("Costs"),
        choices: days(),
        ways: vec![choice("By agent", 0, true), choice("By model", 0, false)],
        here: "/agents/costs".to_owned(),
        chart: chart(agents, true),
        by_agent: true,
        global: (!agents.is_empty()).then(window),
        budgets: agents
            .iter()
            .take(4)
            .enumerate()
            .map(|(at, name)| budget(name, (at != 1).then(window), (at < 2).then_some(why)))
            .collect(),
        form: if agents.len() == 3 {
            refused(
                b"dollars=five&hours=24",
                &Error::invalid("dollars", "\"five\" is not an amount in dollars, such as 2.50"),
            )
        } else {
            Filled::with([("dollars", "5"), ("hours", "24")])
        },
        may: true,
    }
}

fn letter(id: i64, from: &str, body: &str, kind: MailKind) -> Letter {
    let file = |id: &str, filename: &str| Attachment {
        id: id.to_owned(),
        filename: filename.to_owned(),
        size: 123_456,
    };
    Letter {
        mail: Mail {
            head: MailHead {
                id,
                kind,
                from: from.to_owned(),
                from_title: "Researcher".to_owned(),
                to: vec!["bob".to_owned(), LONG.to_owned()],
                subject: if kind == MailKind::Chat {
                    String::new()
                } else {
                    format!("What the night brought, part {id}")
                },
                created_at: NOW - Duration::minutes(500 - id),
                unread: false,
                attachments: if id % 3 == 0 {
                    vec![file("a", "plot.png"), file("b", "run.svg"), file("c", LONG)]
                } else {
                    vec![]
                },
            },
            body: body.to_owned(),
        },
        participants: "admin,ann,bob".to_owned(),
        unread_by: if id % 2 == 0 { vec!["bob".to_owned()] } else { vec![] },
    }
}

fn talks(count: i64) -> Vec<Conversation> {
    let talk = |at: i64| Conversation {
        participants: match at % 5 {
            0 => "admin,ann".to_owned(),
            1 => format!("ann,{LONG}"),
            _ => (0..at % 40).map(|name| format!("worker-{name:03}")).collect::<Vec<_>>().join(","),
        },
        last: 1000 - at,
        count: at * 7 % 50 + 1,
        unread: if at % 4 == 0 { at } else { 0 },
        kind: if at % 6 == 5 { MailKind::Chat } else { MailKind::Mail },
        from: "ann".to_owned(),
        subject: match at % 3 {
            0 => HOSTILE.to_owned(),
            1 => "Weekly report".to_owned(),
            _ => String::new(),
        },
        begins:
            "The first thing that I looked at was the log of the build, which ends in the middle of a line."
                .to_owned(),
        created_at: NOW - Duration::minutes(at * at),
    };
    (0..count).map(talk).collect()
}

fn mail(talks: Vec<Conversation>, found: Vec<Letter>, asked: &[(&'static str, &str)]) -> MailPage {
    let listing = Listing::new("/agents/mail", asked);
    MailPage {
        shell: shell("Mail"),
        tabs: tabs("Mail"),
        mailbox: listing.get("agent").to_owned(),
        listing,
        choices: vec![choice("Everybody’s", 0, false), choice("admin’s", 0, true)],
        older: (talks.len() > 20).then(|| "/agents/mail?before=1".to_owned()),
        talks,
        found,
    }
}

fn conversation(mailbox: &str) -> ConversationPage {
    ConversationPage {
        shell: shell("admin, ann, bob"),
        participants: vec!["admin".to_owned(), "ann".to_owned(), "bob".to_owned()],
        mailbox: mailbox.to_owned(),
        here: "/agents/mail/with?who=admin,ann,bob".to_owned(),
        follows: true,
        letters: vec![
            letter(
                1,
                "ann",
                "Two runs failed.\n\n  - one for want of memory\n  - one by itself\n\nI look at both.",
                MailKind::Mail,
            ),
            letter(2, HOSTILE, &format!("{HOSTILE}\n{}", LONG.repeat(4)), MailKind::Mail),
            letter(3, "bob", "Here is the plot.", MailKind::Mail),
            letter(4, "ann", "thanks", MailKind::Chat),
        ],
        older: Some("/agents/mail/with?before=1".to_owned()),
    }
}

fn model(form: Filled, key: Option<&str>) -> ModelPage {
    ModelPage {
        shell: shell(key.unwrap_or("New model")),
        key: key.map(str::to_owned),
        is_own: false,
        is_changed: key.is_some(),
        form,
        may: true,
    }
}

fn variables(count: usize, form: Filled) -> VariablesPage {
    let variable = |at: usize| Variable {
        key: [
            "OPENAI_API_KEY",
            "SPEND_LIMIT_DOLLARS",
            "A_VARIABLE_WITH_A_NAME_THAT_IS_AS_LONG_AS_NAMES_OF_VARIABLES_CAN_BE_WHICH_IS_128_LETTERS",
        ][at]
            .to_owned(),
        exported: at == 0,
        changed_by: if at == 2 { HOSTILE } else { "Ada" }.to_owned(),
        changed_at: NOW - Duration::days(3),
    };
    VariablesPage {
        shell: shell("Variables"),
        tabs: tabs("Variables"),
        variables: (0..count).map(variable).collect(),
        form,
    }
}

pub fn samples_of_hosts_and_money() -> Vec<Sample> {
    let names = ["ann", "bob", LONG, HOSTILE, "cid", "dot", "eve", "fay", "gil"];
    let ann = three().remove(1);
    let host_page = |at: usize, form| HostPage {
        shell: shell("lab"),
        host: hosts(6).remove(at),
        active: three()[1..].to_vec(),
        assigned: if at == 0 { vec![] } else { many()[..20].to_vec() },
        form,
        may: true,
    };
    vec![
        Sample::of(
            "agent-costs",
            &AgentCosts {
                shell: shell("Costs of ann"),
                tabs: agent_tabs("Costs"),
                agent: ann,
                choices: days(),
                chart: chart(&["ann"], false),
                by_agent: false,
            },
        ),
        Sample::of("costs-none", &costs(&[])),
        Sample::of("costs-3", &costs(&names[..3])),
        Sample::of("costs-9", &costs(&names)),
        Sample::of(
            "hosts-none",
            &HostsPage { shell: shell("Hosts"), tabs: tabs("Hosts"), hosts: vec![], may: true },
        ),
        Sample::of(
            "hosts-6",
            &HostsPage { shell: shell("Hosts"), tabs: tabs("Hosts"), hosts: hosts(6), may: true },
        ),
        Sample::of("host", &host_page(0, Filled::with([("capacity", "4")]))),
        Sample::of(
            "host-long",
            &host_page(
                2,
                refused(b"capacity=many", &Error::invalid("capacity", "\"many\" is not a whole number")),
            ),
        ),
    ]
}

pub fn samples_of_mail_and_settings() -> Vec<Sample> {
    let found = |count| {
        (1..=count).map(|id| letter(id, "ann", &format!("{HOSTILE} {LONG}"), MailKind::Mail)).collect()
    };
    let writing = |form, kept| ComposePage {
        shell: shell("Write"),
        agents: vec!["ann".to_owned(), "admin".to_owned()],
        people: vec!["admin".to_owned(), "grace".to_owned()],
        form,
        kept,
    };
    let kept = vec![Attachment { id: "abc".to_owned(), filename: "plot.png".to_owned(), size: 4096 }];
    let shown = |model| Shown { model, is_own: false, is_changed: false };
    vec![
        Sample::of("mail-none", &mail(vec![], vec![], &[])),
        Sample::of("mail-30", &mail(talks(30), vec![], &[("agent", "admin")])),
        Sample::of("mail-found", &mail(vec![], found(4), &[("q", "night")])),
        Sample::of("mail-not-found", &mail(vec![], vec![], &[("q", "nothing")])),
        Sample::of("conversation", &conversation("admin")),
        Sample::of("conversation-all", &conversation("")),
        Sample::of("compose", &writing(Filled::with([("to", "ann"), ("from", "admin")]), vec![])),
        Sample::of(
            "compose-refused",
            &writing(
                refused(
                    b"to=nobody&subject=Hi&body=&from=admin",
                    &Error::invalid("to", "names nobody: nobody"),
                ),
                kept,
            ),
        ),
        Sample::of(
            "models",
            &ModelsPage {
                shell: shell("Models"),
                tabs: tabs("Models"),
                models: builtin_models().into_iter().map(shown).collect(),
                may: true,
            },
        ),
        Sample::of(
            "model",
            &model(
                Filled::with([("kind", "llm"), ("key", "mock"), ("label", "Mock"), ("apiType", "mock")]),
                Some("mock"),
            ),
        ),
        Sample::of(
            "model-image",
            &model(
                refused(
                    b"kind=image&key=x&label=&cost=1",
                    &Error::invalid("label", "must be one line of 1 to 200 characters"),
                ),
                None,
            ),
        ),
        Sample::of("variables-none", &variables(0, Filled::blank())),
        Sample::of(
            "variables-3",
            &variables(
                3,
                refused(
                    b"key=1A&value=x",
                    &Error::invalid("key", "\"1A\" must be letters, digits and _, and begin with no digit"),
                ),
            ),
        ),
    ]
}
