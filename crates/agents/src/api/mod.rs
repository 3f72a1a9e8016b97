//! What hub, hosts and command line agree on. Names of fields in an agent's configuration are NAISYS's, so that its files
//! are ours.

mod agents;
mod config;
mod costs;
mod filters;
mod hosts;
mod mails;
mod runs;
mod settings;

pub use self::agents::{
    Agent, AgentChange, AgentDetail, AgentSelf, AgentState, Assignment, Colleague, NewAgent, Peek, Revision,
    StartRequest, Started, StopRequest,
};
pub use self::config::{AgentConfig, CommandProtection, ConfigProblem, url_safe};
pub use self::costs::{BudgetChange, BudgetView, CostEntry, CostSource, CostSum, Nanodollars, SpendWindow};
pub use self::filters::{AgentsFilter, CostFilter, LogFilter, PeekRange, ReadMail, SessionsFilter};
pub use self::hosts::{Host, HostChange, HostKind};
pub use self::mails::{
    Attachment, Conversation, LARGEST_FILE, Letter, Mail, MailFilter, MailHead, MailKind, NewFile, NewMail,
};
pub use self::runs::{LogLine, LogPage, LogRole, LogSource, LogType, NewLogLine, RunKey, Session};
pub use self::settings::{ImageModel, LlmModel, Model, ModelApi, NewVariable, Variable};
