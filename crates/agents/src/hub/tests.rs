//! The services as their callers see them, on a running hub with each of its databases.

use std::sync::{Arc, Mutex};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use nave_core::clock::Clock;
use nave_core::hub::access::NodeRoles;
use nave_core::hub::config::HubConfig;
use nave_core::hub::context::Hub;
use nave_core::hub::error::Error;
use nave_core::hub::nodes;
use nave_core::hub::nodes::keyed::{self, SharedKeyRule};
use nave_core::hub::op::{Actor, Op};
use nave_core::hub::store::Engine;
use nave_core::id::{NodeId, RequestId};
use nave_testkit::hub::{TestHub, TestHubSetup};
use nave_testkit::need::need;
use nave_testkit::postgres::Postgres;
use nave_testkit::wait::until;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::dispatch::{Refusal, Start};
use super::hosts::Arrival;
use super::live::{Answer, HostLink, Lost, Order};
use super::mail::{Direction, Post, Wanted, conversations};
use super::runs::{CostBatch, log, sessions};
use super::*;
use crate::api::{
    AgentChange, AgentConfig, AgentState, Assignment, BudgetChange, CostEntry, CostSource, HostChange,
    HostKind, LogFilter, LogRole, MailKind, Nanodollars, NewAgent, NewLogLine, NewVariable, RunKey,
};

const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

/// A hub with agents `ann`, `bob` and `admin`.
struct Farm {
    hub: TestHub,
    agents: Agents,
    clock: Clock,
    database: Option<String>,
}

impl Farm {
    async fn with(config: HubConfig) -> anyhow::Result<Self> {
        let farm = Self::on(None, config, Clock::manual(NOW)).await?;
        let op = farm.hub.operator();
        for config in [agent("ann"), agent("bob"), AgentConfig::human("admin", "Admin")] {
            roster::create(&op, farm.hub.hub(), &farm.agents, NewAgent { config, lead: None }).await?;
        }
        Ok(farm)
    }

    async fn on(
        folder: Option<Arc<tempfile::TempDir>>,
        config: HubConfig,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let agents = Agents::new(AgentsConfig::default());
        let database = config.database.clone();
        let setup = TestHubSetup {
            config,
            fleets: vec![Arc::new(agents.clone())],
            clock: Some(clock.clone()),
            ..TestHubSetup::default()
        };
        let hub = match folder {
            Some(folder) => TestHub::on(folder, setup).await?,
            None => TestHub::with(setup).await?,
        };
        Ok(Self { hub, agents, clock, database })
    }

    fn hub(&self) -> &Arc<Hub> {
        self.hub.hub()
    }

    fn operator(&self) -> Op {
        self.hub.operator()
    }

    /// A host that is there, and what it does as.
    async fn host(&self, name: &str) -> anyhow::Result<Host> {
        let (roles, grace) = (["host".to_owned()], std::time::Duration::ZERO);
        let key = nodes::mint_key(&self.operator(), self.hub(), name, &roles, grace).await?;
        let clock = self.clock.clone();
        let op = Op { actor: Actor::Anonymous, source: None, request: RequestId::new(), clock };
        let admitted = keyed::admit(&op, self.hub(), &key, name, SharedKeyRule::Off).await?;
        let (node, op) = (admitted.node(), Op { actor: admitted.actor().clone(), ..op });
        let arrival = Arrival {
            name: name.to_owned(),
            kind: HostKind::Naisys,
            node,
            shared_key: false,
            version: None,
            address: None,
        };
        let id = hosts::arrive(&op, self.hub(), &self.agents, arrival).await?;
        let link = Arc::new(Runner::default());
        self.agents.live().enter(id, 1, Arc::<Runner>::clone(&link));
        Ok(Host { op, id, link })
    }

    fn state(&self, name: &str) -> AgentState {
        roster::show(&self.operator(), &self.agents, name).unwrap().agent.state
    }
}

struct Host {
    op: Op,
    id: i64,
    link: Arc<Runner>,
}

/// A host's end as a test plays it.
#[derive(Default)]
struct Runner {
    orders: Mutex<Vec<Order>>,
    refuses: Mutex<Option<String>>,
}

impl HostLink for Runner {
    fn order(&self, order: Order, _: Option<i64>) -> BoxFuture<'static, Result<Answer, Lost>> {
        self.orders.lock().unwrap().push(order);
        let error = self.refuses.lock().unwrap().clone();
        let answer =
            Answer { success: error.is_none(), error, host: Some("BOX".to_owned()), ..Answer::default() };
        std::future::ready(Ok(answer)).boxed()
    }

    fn close(&self, _: &'static str) {}
}

/// A node that may run agents, and nothing else.
fn stranger(farm: &Farm) -> Op {
    let roles = NodeRoles::of(&[NodeRole::Host]);
    let actor = Actor::Node { id: NodeId::new(), name: "stranger".to_owned(), roles };
    Op { actor, source: None, request: RequestId::new(), clock: farm.clock.clone() }
}

fn agent(name: &str) -> AgentConfig {
    AgentConfig::new(name, "Somebody", "You are somebody.", 1000, "mock")
}

/// Runs a test on both databases.
macro_rules! on_both {
    ($name:ident, $test:ident) => {
        mod $name {
            use super::*;

            #[tokio::test]
            async fn sqlite() -> anyhow::Result<()> {
                $test(HubConfig::default()).await
            }

            #[tokio::test]
            async fn postgres() -> anyhow::Result<()> {
                if !need("postgres") {
                    return Ok(());
                }
                let database = Some(Postgres::shared()?.database()?);
                $test(HubConfig { database, ..HubConfig::default() }).await
            }
        }
    };
}

on_both!(mail_is_sent_found_and_read_by_those_whose_it_is, mails);

/// An index that was lost is made anew, and what is sent meanwhile is not passed over.
async fn index_made_anew(farm: &Farm, reports: &[i64]) -> anyhow::Result<()> {
    let (op, hub, agents) = (&farm.operator(), farm.hub(), &farm.agents);
    let send = |subject: &str| {
        let (subject, body) = (subject.to_owned(), "filler".to_owned());
        mail::send(op, hub, agents, Post { from: 2, to: vec![3], subject, body, ..Post::default() })
    };
    let find = |agent, terms: &'static str| async move {
        let found = mail::find(op, hub, agents, agent, terms, false, false, 50).await?;
        anyhow::Ok(found.iter().map(|mail| mail.head.id).collect::<Vec<_>>())
    };
    let mut act = hub.store.begin().await?;
    let empty = match act.engine() {
        Engine::Sqlite => "INSERT INTO agents_mail_derived (agents_mail_derived) VALUES ('delete-all')",
        Engine::Postgres => "DELETE FROM agents_mail_derived",
    };
    sqlx::query(empty).execute(act.connection()).await?;
    act.commit().await?;
    agents.word_index().set_behind();
    let late = send("late").await?.id;
    mail::take_up(op, hub, agents, 1).await?;
    let later = send("later").await?.id;
    let done = || async {
        mail::take_up(op, hub, agents, 1).await.ok()?;
        (!agents.word_index().is_behind()).then_some(())
    };
    until("the index is whole", done).await?;
    assert_eq!(find(3, "late").await?, [later, late]);
    assert_eq!(find(1, "report").await?, reports);
    assert_eq!(find(1, "load").await?.len(), 50);
    Ok(())
}

async fn mails(config: HubConfig) -> anyhow::Result<()> {
    let farm = Farm::with(config).await?;
    let (op, hub, agents) = (farm.operator(), farm.hub(), &farm.agents);
    let post = |from, to: &[i64], subject: &str, body: &str, kind| Post {
        from,
        to: to.to_vec(),
        kind,
        subject: subject.to_owned(),
        body: body.to_owned(),
        ..Post::default()
    };
    let send = |post| mail::send(&op, hub, agents, post);
    let first = send(post(1, &[2, 2], "Quarterly report", "The numbers\0 are in.", MailKind::Mail)).await?;
    assert_eq!((first.id, first.participants.as_str()), (1, "ann,bob"));
    send(post(2, &[1], "", "hi", MailKind::Chat)).await?;
    send(post(3, &[3, 1], "to myself too", "report", MailKind::Mail)).await?;
    let many = (0..100).map(|at| send(post(1, &[2], &format!("load {at}"), "filler", MailKind::Mail)));
    for sent in futures::future::join_all(many).await {
        sent?;
    }
    assert!(matches!(send(post(1, &[9], "s", "b", MailKind::Mail)).await, Err(Error::NotFound { .. })));
    assert!(send(post(1, &[], "s", "b", MailKind::Mail)).await.is_err());
    let lost = Post { attachments: vec![4, 5], ..post(1, &[2], "s", "b", MailKind::Mail) };
    assert!(send(lost).await.unwrap_err().message().ends_with("Attachments not found: 4, 5"));

    // What is whose.
    let op = &op;
    let list = |agent, wanted: Wanted| async move { mail::list(op, hub, agents, agent, &wanted).await };
    let wanted = Wanted { kind: Some(MailKind::Mail), limit: 20, ..Wanted::default() };
    let received = list(2, Wanted { direction: Some(Direction::Received), ..wanted.clone() }).await?;
    let ids: Vec<i64> = received.iter().map(|mail| mail.head.id).collect();
    assert_eq!(ids, (84..=103).rev().collect::<Vec<_>>(), "the newest first");
    assert!(received[0].head.unread);
    let sent = list(3, Wanted { direction: Some(Direction::Sent), ..wanted.clone() }).await?;
    assert_eq!((sent.len(), &sent[0].head.to), (1, &vec!["ann".to_owned(), "admin".to_owned()]));
    assert!(sent[0].head.unread, "who writes to itself has it to read");
    let find = |agent, terms: &'static str| async move {
        let found = mail::find(op, hub, agents, agent, terms, false, false, 50).await?;
        anyhow::Ok(found.iter().map(|mail| mail.head.id).collect::<Vec<_>>())
    };
    assert_eq!(find(1, "report").await?, [3, 1]);
    assert_eq!(find(2, "REP quarter").await?, [1], "words in any order, by their beginnings");
    assert_eq!(find(3, "quarterly").await?, [0; 0], "nobody finds what is not theirs");
    assert_eq!(find(1, "u2").await?, [0; 0], "who is in a mail is no word of it");
    assert_eq!(find(2, "' OR \"x\" NOT (").await?, [0; 0]);

    // Reading and putting away.
    mail::mark_read(op, hub, agents, 2, &[1], MailKind::Mail).await?;
    let read = mail::peek(op, hub, agents, 2, 1).await?;
    assert_eq!((read.head.unread, read.body.as_str()), (false, "The numbers\u{fffd} are in."));
    assert!(mail::peek(op, hub, agents, 3, 1).await.is_err(), "it is not theirs");
    let (done, problem) = mail::archive(op, hub, agents, 2, &[1, 777, 5]).await?;
    assert_eq!(
        (done, problem.map(|error| error.message())),
        (vec![1], Some("there is no message named \"777\"".to_owned()))
    );
    assert_eq!(find(2, "quarterly").await?, [0; 0], "what was put away is not found");
    assert_eq!(mail::unread(op, hub).await?, [1, 2, 3]);
    let own = conversations::list(op, hub, agents, Some(2), None, 10).await?;
    assert_eq!((own.len(), own[0].unread), (1, 100));
    for id in 4..=103 {
        mail::mark_read(op, hub, agents, 2, &[id], MailKind::Mail).await?;
    }
    assert_eq!(mail::unread(op, hub).await?, [1, 3]);

    // As those see it who watch over all of it.
    let talks = |mailbox, before, limit| conversations::list(op, hub, agents, mailbox, before, limit);
    let told = |talks: Vec<crate::api::Conversation>| -> Vec<(String, i64, i64, i64)> {
        talks.into_iter().map(|talk| (talk.participants, talk.last, talk.count, talk.unread)).collect()
    };
    let all = [("ann,bob".to_owned(), 103, 102, 0), ("admin,ann".to_owned(), 3, 1, 0)];
    assert_eq!(told(talks(None, None, 10).await?), all);
    assert_eq!(told(talks(None, Some(103), 10).await?), all[1..]);
    assert_eq!(told(talks(None, None, 1).await?), all[..1]);
    assert_eq!(told(talks(Some(2), None, 10).await?), [("ann,bob".to_owned(), 103, 101, 0)]);
    assert!(conversations::list(&stranger(&farm), hub, agents, None, None, 10).await.is_err());
    let letters = conversations::show(op, hub, agents, "ann,bob", Some(3), 10).await?;
    let ids: Vec<i64> = letters.iter().map(|letter| letter.mail.head.id).collect();
    assert_eq!(ids, [2, 1], "what was put away too");
    assert_eq!((letters[0].unread_by.as_slice(), letters[1].unread_by.len()), (&["ann".to_owned()][..], 0));
    let found = conversations::find(op, hub, agents, None, "rep", 10).await?;
    assert_eq!(found.iter().map(|letter| letter.mail.head.id).collect::<Vec<_>>(), [3, 1]);
    let found = conversations::find(op, hub, agents, Some(3), "rep", 10).await?;
    assert_eq!(found.iter().map(|letter| letter.participants.as_str()).collect::<Vec<_>>(), ["admin,ann"]);

    let before = find(1, "report").await?;
    index_made_anew(&farm, &before).await?;
    // Also over a restart.
    let (folder, clock) = (farm.hub.folder(), farm.clock.clone());
    let config = HubConfig { database: farm.database.clone(), ..HubConfig::default() };
    farm.hub.stop().await;
    let farm = Farm::on(Some(folder), config, clock).await?;
    let again = mail::find(&farm.operator(), farm.hub(), &farm.agents, 1, "report", false, false, 50).await?;
    assert_eq!(again.iter().map(|mail| mail.head.id).collect::<Vec<_>>(), before);
    let next = Post { from: 1, to: vec![2], ..Post::default() };
    assert_eq!(mail::send(&farm.operator(), farm.hub(), &farm.agents, next).await?.id, 106);
    Ok(())
}

on_both!(a_host_acts_for_its_own_agents_only, hosts_and_agents);

async fn hosts_and_agents(config: HubConfig) -> anyhow::Result<()> {
    let farm = Farm::with(config).await?;
    let (op, hub, agents) = (farm.operator(), farm.hub(), &farm.agents);
    assert_eq!(farm.state("ann"), AgentState::Offline);
    let (one, two) = (farm.host("one.lan").await?, farm.host("two").await?);
    assert_eq!(hosts::show(&op, agents, "one.lan").unwrap().name, "one-lan");
    assert_eq!(farm.state("ann"), AgentState::Available);
    roster::assign(&op, hub, agents, "ann", Assignment { hosts: vec!["one-lan".to_owned()] }).await?;
    let change = HostChange { restricted: Some(true), capacity: Some(1) };
    hosts::change(&op, hub, agents, "two", change).await?;
    assert!(hosts::require_for(&one.op, agents, 1).is_ok());
    assert!(matches!(hosts::require_for(&two.op, agents, 1), Err(Error::Forbidden(_))));
    assert!(hosts::require_for(&two.op, agents, 2).is_err(), "it is restricted");
    let letter = Post { from: 1, to: vec![2], ..Post::default() };
    assert!(mail::send(&two.op, hub, agents, letter).await.is_err(), "nobody writes in another's name");
    assert!(mail::list(&two.op, hub, agents, 1, &Wanted::default()).await.is_err());

    // Starting: where it is assigned, with a task, and only once.
    let start = |op, agent, task: Option<&'static str>| {
        let wanted = Start { agent, requester: Some(3), task: task.map(str::to_owned), ..Start::default() };
        async move { dispatch::start(op, hub, agents, wanted).await }
    };
    assert!(start(&op, 1, Some("count the cars")).await?.success);
    assert_eq!(agents.live().hosts_of(1), [one.id]);
    assert_eq!(farm.state("ann"), AgentState::Active);
    let task = mail::list(&op, hub, agents, 1, &Wanted { limit: 5, ..Wanted::default() }).await?;
    assert_eq!((task[0].head.subject.as_str(), task[0].body.as_str()), ("Agent Start", "count the cars"));
    assert!(start(&op, 1, None).await.unwrap_err().to_string().starts_with("ann runs already"));
    assert!(matches!(start(&op, 9, None).await, Err(Refusal::Disabled { agent: 9, .. })));
    agents.live().heartbeat(one.id, 1, &[1]);
    let stopped = dispatch::stop(&op, hub, agents, 1, "enough", None).await?;
    assert!(stopped.success);
    assert!(matches!(one.link.orders.lock().unwrap().last(), Some(Order::Stop { agent: 1, .. })));
    agents.live().heartbeat(one.id, 1, &[]);
    let gone = dispatch::stop(&op, hub, agents, 1, "enough", None).await.unwrap_err();
    assert!(gone.to_string().contains("`nave agent start ann`"), "{gone}");

    // A full host takes nobody more.
    let full = HostChange { restricted: None, capacity: Some(1) };
    hosts::change(&op, hub, agents, "one.lan", full).await?;
    assert!(start(&op, 2, None).await?.success);
    assert!(start(&op, 1, None).await.unwrap_err().to_string().contains("has room"));
    agents.live().leave(one.id, 1);
    let none = start(&op, 1, None).await.unwrap_err();
    assert!(none.to_string().starts_with("no host is connected that may run ann"), "{none}");
    Ok(())
}

on_both!(logs_are_written_once_and_kept_whoever_they_are_of, logs);

async fn logs(config: HubConfig) -> anyhow::Result<()> {
    let farm = Farm::with(config).await?;
    let (op, hub, agents) = (farm.operator(), farm.hub(), &farm.agents);
    let host = farm.host("one").await?;
    let key = runs::open_run(&host.op, hub, agents, 1, Some(host.id), "mock").await?;
    assert_eq!(key, RunKey { agent: 1, run: 1, session: 1 });
    assert_eq!(runs::open_session(&host.op, hub, agents, 1, 1, Some(host.id), "mock").await?.session, 2);
    assert_eq!(runs::open_run(&host.op, hub, agents, 2, Some(host.id), "mock").await?.run, 2);
    let line = |key, message: &str| NewLogLine {
        key,
        role: LogRole::Naisys,
        source: None,
        kind: None,
        message: message.to_owned(),
        created_at: NOW,
        attachment: None,
    };
    let first = || LogFilter { run: Some(1), session: Some(1), ..LogFilter::default() };
    let unknown = RunKey { agent: 1, run: 77, session: 1 };
    let batch = vec![line(key, "one\ntwo"), line(unknown, "of an unknown session"), line(key, "three")];
    assert_eq!(runs::write_logs(&host.op, hub, agents, Some(host.id), batch.clone()).await?, 0);
    // The connection broke, and it comes again.
    assert_eq!(runs::write_logs(&host.op, hub, agents, Some(host.id), batch).await?, 0);
    let page = log(&op, hub, agents, "ann", &LogFilter { limit: Some(10), ..first() }).await?;
    let told: Vec<_> = page.lines.iter().map(|line| (line.id, line.message.as_str())).collect();
    assert_eq!(told, [(1, "one\ntwo"), (3, "three")]);
    let shown = sessions(&op, hub, agents, "ann", None, 10).await?;
    let lines: Vec<_> =
        shown.iter().map(|session| (session.key.run, session.key.session, session.lines)).collect();
    assert_eq!(lines, [(77, 1, 1), (1, 2, 0), (1, 1, 3)]);
    // Others' lines are left out, and the rest is written.
    roster::assign(&op, hub, agents, "bob", Assignment { hosts: vec!["one".to_owned()] }).await?;
    let other = farm.host("other").await?;
    let bobs = RunKey { agent: 2, run: 2, session: 1 };
    let mixed = vec![line(bobs, "forged"), line(key, "mine")];
    assert_eq!(runs::write_logs(&other.op, hub, agents, Some(other.id), mixed).await?, 1);
    assert!(log(&op, hub, agents, "bob", &LogFilter::default()).await?.lines.is_empty());
    // Many at once, page by page.
    let many = (0..50).map(|at| {
        let lines = (0..10).map(|line_no| line(key, &format!("{at} {line_no}"))).collect();
        runs::write_logs(&host.op, hub, agents, Some(host.id), lines)
    });
    for written in futures::future::join_all(many).await {
        written?;
    }
    let page = log(&op, hub, agents, "ann", &LogFilter { limit: Some(100), ..first() }).await?;
    assert!(page.more && page.lines.is_sorted_by_key(|line| line.id));
    let oldest = page.lines[0].id;
    let before =
        log(&op, hub, agents, "ann", &LogFilter { before: Some(oldest), limit: Some(1000), ..first() })
            .await?;
    assert_eq!((before.lines.len() + page.lines.len(), before.more), (503, false));
    let after =
        log(&op, hub, agents, "ann", &LogFilter { after: Some(page.lines[98].id), ..LogFilter::default() })
            .await?;
    assert_eq!(after.lines.len(), 1);
    Ok(())
}

on_both!(who_has_spent_its_budget_spends_nothing_until_the_next_window, money);

async fn money(config: HubConfig) -> anyhow::Result<()> {
    let farm = Farm::with(config).await?;
    let (op, hub, agents) = (farm.operator(), farm.hub(), &farm.agents);
    let host = farm.host("one").await?;
    let spend = |agent, dollars: f64| CostEntry {
        key: RunKey { agent, run: 1, session: 1 },
        source: CostSource::Console,
        model: "mock".to_owned(),
        cost: Nanodollars::from_dollars(dollars),
        input: 10,
        output: 5,
        cache_write: 0,
        cache_read: 0,
    };
    let write = |entries, may_be_again| {
        let batch = CostBatch { host: Some(host.id), entries, number: None, may_be_again };
        runs::write_costs(&host.op, hub, agents, batch)
    };
    let limit = BudgetChange { dollars: Some(1.0), hours: Some(24.0), reset: false };
    budgets::change(&op, hub, agents, Some("ann"), limit).await?;
    let global = NewVariable { value: Some("5".to_owned()), exported: None };
    settings::set_variable(&op, hub, agents, "SPEND_LIMIT_DOLLARS", global).await?;
    budgets::review(&op, hub, agents).await?;
    assert_eq!(write(vec![spend(1, 0.4), spend(2, 1.0), spend(1, 0.3)], false).await?, [1, 2]);
    assert_eq!(agents.budgets().left(1), Some(Nanodollars(300_000_000)));
    assert_eq!(agents.budgets().left(2), Some(Nanodollars::from_dollars(3.3)));
    // It comes again, since its answer was lost.
    write(vec![spend(1, 0.4), spend(2, 1.0), spend(1, 0.3)], true).await?;
    assert_eq!(agents.budgets().left(1), Some(Nanodollars(300_000_000)));
    write(vec![spend(1, 0.4)], false).await?;
    budgets::review(&op, hub, agents).await?;
    let reason = |name: &str| roster::show(&op, agents, name).unwrap().agent.suspended;
    assert_eq!(reason("ann").as_deref(), Some("Spend limit of $1 reached (current: $1.10)"));
    assert_eq!((farm.state("ann"), reason("bob")), (AgentState::Suspended, None));

    // A restart forgets nothing.
    let folder = farm.hub.folder();
    let config = HubConfig { database: farm.database.clone(), ..HubConfig::default() };
    let clock = farm.clock.clone();
    farm.hub.stop().await;
    let farm = Farm::on(Some(folder), config, clock).await?;
    let (op, hub, agents) = (farm.operator(), farm.hub(), &farm.agents);
    let suspended = |name: &str| roster::show(&op, agents, name).unwrap().agent.suspended;
    assert!(suspended("ann").is_some());
    assert_eq!(agents.budgets().left(1), Some(Nanodollars(0)));
    farm.clock.advance(std::time::Duration::from_hours(24));
    budgets::review(&op, hub, agents).await?;
    assert_eq!(suspended("ann"), None);
    assert_eq!(agents.budgets().left(1), Some(Nanodollars::from_dollars(1.0)));
    assert_eq!(
        agents.budgets().left(2),
        Some(Nanodollars::from_dollars(2.9)),
        "the global window never ends"
    );
    let from = NOW - Duration::hours(1);
    let sums = runs::cost_sums(&op, hub, agents, from, from + Duration::days(1), Duration::hours(2)).await?;
    let told: Vec<_> = sums.iter().map(|sum| (sum.agent.as_str(), sum.cost.0, sum.tokens[0])).collect();
    assert_eq!(told, [("ann", 1_100_000_000, 30), ("bob", 1_000_000_000, 10)]);
    Ok(())
}

#[tokio::test]
async fn mail_wakes_an_agent_and_one_that_does_not_start_is_left_in_peace_for_a_while() -> anyhow::Result<()>
{
    let farm = Farm::with(HubConfig::default()).await?;
    let (op, hub, agents) = (farm.operator(), farm.hub(), &farm.agents);
    let host = farm.host("one").await?;
    let letter = |to| Post { from: 3, to: vec![to], ..Post::default() };
    mail::send(&op, hub, agents, letter(1)).await?;
    mail::send(&op, hub, agents, letter(3)).await?;
    *host.link.refuses.lock().unwrap() = Some("no model".to_owned());
    assert_eq!(wake::wake(&hub.op("test"), hub, agents).await?, 1, "a person is not started");
    until("it failed", || async { (!agents.wakes().problems().is_empty()).then_some(()) }).await?;
    assert!(agents.wakes().problems()[&1].starts_with("no model (tried once"));
    assert_eq!(wake::wake(&hub.op("test"), hub, agents).await?, 0);
    farm.clock.advance(std::time::Duration::from_secs(11));
    *host.link.refuses.lock().unwrap() = None;
    assert_eq!(wake::wake(&hub.op("test"), hub, agents).await?, 1);
    until("it runs", || async { agents.wakes().problems().is_empty().then_some(()) }).await?;
    assert!(agents.live().is_active(1));
    Ok(())
}

#[tokio::test]
async fn agents_are_changed_with_care() -> anyhow::Result<()> {
    let farm = Farm::with(HubConfig::default()).await?;
    let (op, hub, agents) = (farm.operator(), farm.hub(), &farm.agents);
    let change = |change| roster::change(&op, hub, agents, "ann", change);
    let config = AgentConfig { title: "Chief".to_owned(), ..agent("ann") };
    let first = AgentChange { config: Some(config), from_revision: Some(1), ..AgentChange::default() };
    assert_eq!(change(first.clone()).await?.revision, 2);
    let stale = AgentChange { config: Some(agent("ann")), ..first };
    assert!(matches!(change(stale).await, Err(Error::Conflict(_))), "made from a state that is no more");
    let lead = |lead: &str| AgentChange { lead: Some(lead.to_owned()), ..AgentChange::default() };
    change(lead("bob")).await?;
    assert!(roster::change(&op, hub, agents, "bob", lead("ann")).await.is_err(), "in a circle");
    let taken = AgentChange { config: Some(agent("BOB")), ..AgentChange::default() };
    assert!(change(taken).await.unwrap_err().message().contains("already"));
    let archived = AgentChange { archived: Some(true), ..AgentChange::default() };
    assert_eq!(change(archived).await?.agent.state, AgentState::Archived);
    roster::create(&op, hub, agents, NewAgent { config: agent("ann"), lead: None }).await?;
    let told = roster::revisions(&op, hub, agents, "1").await?;
    assert_eq!(told.iter().map(|revision| revision.number).collect::<Vec<_>>(), [2, 1]);
    Ok(())
}

#[tokio::test]
async fn what_a_revoked_host_knew_of_agents_keys_is_worth_nothing() -> anyhow::Result<()> {
    let farm = Farm::with(HubConfig::default()).await?;
    let (op, hub, agents) = (farm.operator(), farm.hub(), &farm.agents);
    let (one, _two) = (farm.host("one").await?, farm.host("two").await?);
    roster::assign(&op, hub, agents, "bob", Assignment { hosts: vec!["two".to_owned()] }).await?;
    let hash_of = |agent| agents.directory().read().agent(agent).map(|row| row.api_key_hash.clone()).unwrap();
    let (ann, bob) = (hash_of(1), hash_of(2));
    nodes::revoke(&op, hub, "one").await?;
    until("ann has another key", || async { (hash_of(1) != ann).then_some(()) }).await?;
    assert!(agents.directory().read().agent_by_key(&ann).is_none(), "the old one opens nothing");
    assert_eq!(hash_of(2), bob, "a host is told no key of those that it cannot start");
    // It is the same after a restart.
    let (folder, clock, now) = (farm.hub.folder(), farm.clock.clone(), hash_of(1));
    drop(one);
    farm.hub.stop().await;
    let farm = Farm::on(Some(folder), HubConfig::default(), clock).await?;
    assert_eq!(farm.agents.directory().read().agent(1).unwrap().api_key_hash, now);
    Ok(())
}
