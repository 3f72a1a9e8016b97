//! The pages of one agent, and of a new one.

use askama::Template;
use nave_web::shell::Shell;
use nave_web::ui::{self, Filled, Tone};
use nave_web::words;
use time::OffsetDateTime;

use super::super::config::SWITCHES;
use super::{
    Change, Chart, Choice, DiffLine, Line, Tab, dot, host_path, is_human, may_start, money, page_of, path_of,
    words_of,
};
use crate::api::{Agent, AgentConfig, AgentState, Host, HostKind, Session, SpendWindow};

/// The forms of an agent's page, as they are filled in.
#[derive(Clone, Debug, Default)]
pub struct Forms {
    /// Starting it.
    pub start: Filled,
    /// Stopping it.
    pub stop: Filled,
    /// Enabling, disabling, archiving and bringing it back.
    pub act: Filled,
    /// For whom it works.
    pub lead: Filled,
    /// Where it may run.
    pub hosts: Filled,
    /// What it may spend.
    pub budget: Filled,
}

impl Forms {
    /// With what stands now in those that did not come back.
    pub(in crate::hub::pages) fn filled(mut self, agent: &Agent, config: &AgentConfig) -> Self {
        let is_blank = |form: &Filled| form.iter().next().is_none();
        if is_blank(&self.lead) {
            self.lead = Filled::with([("lead", agent.lead.as_deref().unwrap_or_default())]);
        }
        if is_blank(&self.hosts) {
            self.hosts = Filled::with(agent.assigned.iter().map(|host| ("hosts", host.as_str())));
        }
        if is_blank(&self.budget) {
            let text = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
            let (dollars, hours) = (text(config.spend_limit_dollars), text(config.spend_limit_hours));
            self.budget = Filled::with([("dollars", dollars.as_str()), ("hours", hours.as_str())]);
        }
        self
    }
}

/// Lines of a log, and how to go on from them.
#[derive(Clone, Debug, Default)]
pub struct LogView {
    /// The agent's page.
    pub path: String,
    /// The run and session that are shown alone.
    pub of: Option<(i64, i64)>,
    /// Where older ones end.
    pub older: Option<i64>,
    /// The lines, the oldest first.
    pub lines: Vec<Line>,
    /// Whether new ones are added.
    pub follows: bool,
    /// Whether there are more new ones already.
    pub more: bool,
    /// The last line's number.
    pub last: i64,
    /// Its run and session.
    pub key: Option<(i64, i64)>,
}

impl LogView {
    fn session(&self) -> String {
        self.of.map(|(run, session)| format!("&run={run}&session={session}")).unwrap_or_default()
    }

    /// Where the lines before one are, on the agent's page or alone.
    pub fn before(&self, page: &str, line: &i64) -> String {
        format!("{}{page}?before={line}{}", self.path, self.session())
    }

    /// Where the lines after these are.
    fn after(&self) -> String {
        let seen = self.key.map(|(run, session)| format!("&seen={run}.{session}")).unwrap_or_default();
        format!("{}/log?after={}{}{seen}", self.path, self.last, self.session())
    }
}

/// When a line was written, for programs and for people.
fn rfc3339(line: &Line) -> String {
    line.at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}

fn clock(line: &Line) -> String {
    let at = line.at.to_offset(time::UtcOffset::UTC);
    format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
}

/// A part of a log.
#[derive(Debug, Template)]
#[template(path = "agents/lines.html")]
pub struct LogPart {
    /// The lines.
    pub log: LogView,
}

/// One agent.
#[derive(Debug, Template)]
#[template(path = "agents/agent.html")]
pub struct AgentPage {
    /// What stands around the page.
    pub shell: Shell,
    /// The agent's pages.
    pub tabs: Vec<Tab>,
    /// The agent.
    pub agent: Agent,
    /// Its log.
    pub log: LogView,
    /// Its sessions, the newest first.
    pub sessions: Vec<Session>,
    /// For whom it could work.
    pub leads: Vec<String>,
    /// All hosts.
    pub hosts: Vec<Host>,
    /// Its own limit, if it has one.
    pub window: Option<SpendWindow>,
    /// Whether a task can be given.
    pub has_admin: bool,
    /// Whether it may be steered.
    pub may: bool,
    /// The forms.
    pub forms: Forms,
}

impl AgentPage {
    fn path(&self) -> String {
        page_of(&self.agent)
    }

    /// For whom it may work, with the words.
    fn lead_choices(&self) -> Vec<(String, String)> {
        let nobody = (String::new(), "Nobody".to_owned());
        std::iter::once(nobody).chain(self.leads.iter().map(|lead| (lead.clone(), lead.clone()))).collect()
    }

    /// The log of a session.
    fn session_path(&self, session: &Session) -> String {
        format!("{}?run={}&session={}", self.path(), session.key.run, session.key.session)
    }

    fn lines(session: &Session) -> u64 {
        u64::try_from(session.lines).unwrap_or(0)
    }
}

/// What one agent costs.
#[derive(Debug, Template)]
#[template(path = "agents/agent_costs.html")]
pub struct AgentCosts {
    /// What stands around the page.
    pub shell: Shell,
    /// The agent's pages.
    pub tabs: Vec<Tab>,
    /// The agent.
    pub agent: Agent,
    /// For how many days.
    pub choices: Vec<Choice>,
    /// What was spent.
    pub chart: Chart,
    /// Whether it is told by agent.
    pub by_agent: bool,
}

/// A state of a configuration.
#[derive(Clone, Debug)]
pub struct History {
    /// Counts from 1.
    pub number: i64,
    /// Who made it so.
    pub by: String,
    /// When.
    pub at: OffsetDateTime,
    /// The fields that were changed.
    pub fields: Vec<String>,
}

/// An agent's configuration.
#[derive(Debug, Template)]
#[template(path = "agents/config.html")]
pub struct ConfigPage {
    /// What stands around the page.
    pub shell: Shell,
    /// The agent's pages.
    pub tabs: Vec<Tab>,
    /// The agent.
    pub agent: Agent,
    /// Which revision it is.
    pub revision: i64,
    /// As a form.
    pub form: Filled,
    /// As YAML.
    pub yaml: Filled,
    /// Fields that the form does not have, and keeps.
    pub other: Vec<String>,
    /// Models that it could think with.
    pub models: Vec<(String, String)>,
    /// Models that it could draw with.
    pub image_models: Vec<(String, String)>,
    /// What it was before.
    pub history: Vec<History>,
    /// What is another than in a revision.
    pub compared: Option<(i64, Vec<DiffLine>)>,
    /// Whether it may be changed.
    pub may: bool,
}

impl ConfigPage {
    fn is_same(lines: &[DiffLine]) -> bool {
        lines.iter().all(|line| line.change == Change::Same)
    }

    fn path(&self) -> String {
        format!("{}/config", page_of(&self.agent))
    }
}

/// A new agent.
#[derive(Debug, Template)]
#[template(path = "agents/new.html")]
pub struct NewAgentPage {
    /// What stands around the page.
    pub shell: Shell,
    /// The form.
    pub form: Filled,
    /// Models that it could think with.
    pub models: Vec<(String, String)>,
    /// Models that it could draw with.
    pub image_models: Vec<(String, String)>,
    /// For whom it could work.
    pub leads: Vec<String>,
}

impl NewAgentPage {
    fn lead_choices(&self) -> Vec<(String, String)> {
        let nobody = (String::new(), "Nobody".to_owned());
        std::iter::once(nobody).chain(self.leads.iter().map(|lead| (lead.clone(), lead.clone()))).collect()
    }
}

/// What a switch of a configuration can say.
const SWITCH: [(&str, &str); 3] = [("", "As its runner has it"), ("on", "Yes"), ("off", "No")];
/// Who can look at its commands.
const PROTECTIONS: [(&str, &str); 5] = [
    ("", "As its runner has it"),
    ("none", "Nobody"),
    ("manual", "A person"),
    ("semi-auto", "A model, and a person where it doubts"),
    ("auto", "A model"),
];
