//! `nave agent …`: AI agents on a Nave hub.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum Agent {
    /// List the agents
    List {
        /// Also those that are kept for their history only
        #[arg(long)]
        archived: bool,
    },
    /// Show one agent: its state, its sessions, its configuration
    Show {
        /// The agent's name
        agent: String,
    },
    /// Make an agent from a file in YAML
    Create {
        /// The file; - reads it from standard input
        file: PathBuf,
        /// Whom it works for
        #[arg(long, value_name = "AGENT")]
        lead: Option<String>,
    },
    /// Start an agent, on the host that has the least to do
    Start {
        /// The agent's name
        agent: String,
        /// What it shall do: a mail that it finds
        #[arg(value_name = "TASK")]
        task: Option<String>,
    },
    /// Stop an agent; this waits for its last step
    Stop {
        /// The agent's name
        agent: String,
        /// Why; the agent reads it
        #[arg(value_name = "REASON")]
        reason: Option<String>,
    },
    /// Show what an agent has before it
    Peek {
        /// The agent's name
        agent: String,
        /// How many lines to leave out
        #[arg(long, value_name = "LINES")]
        skip: Option<i64>,
        /// How many lines to show
        #[arg(long, value_name = "LINES")]
        take: Option<i64>,
    },
    /// Show the log of an agent
    Logs(Logs),
    /// Show the configuration of an agent as YAML, or set it from a file
    Config(Config),
    /// Let an agent run
    Enable {
        /// The agent's name
        agent: String,
    },
    /// Let an agent run no more, and stop it
    Disable {
        /// The agent's name
        agent: String,
    },
    /// Say on which hosts an agent may run; without any, on all that are not restricted
    Assign {
        /// The agent's name
        agent: String,
        /// The hosts' names
        hosts: Vec<String>,
    },
    /// Read and write mail as an agent
    #[command(subcommand)]
    Mail(AgentMail),
    /// Let the model of an agent reach its mail, colleagues, budget and log: a server of the Model Context Protocol on standard input
    /// and output, started by a client of that protocol
    Mcp(Mcp),
    /// Add up what agents spent
    Cost {
        /// For how many hours until now
        #[arg(long, value_name = "HOURS", default_value_t = 24)]
        hours: u32,
        /// In how many spans
        #[arg(long, value_name = "SPANS", default_value_t = 1)]
        spans: u32,
    },
    /// Show what agents may spend, or change it
    Budget(Budget),
    /// Run agents on this machine, or show and change the machines that do
    Host(HostCommand),
    /// Run a command of an agent, and end with it whatever it started
    #[command(hide = true)]
    Keep(Keep),
    /// Keys of providers, and what else hosts are told
    #[command(subcommand)]
    Variable(Variable),
    /// Models that agents think and draw with
    #[command(subcommand)]
    Model(Model),
    /// Take over the agents, mail, logs, costs, files, certificate and access key of a NAISYS hub; this hub must not run
    Import {
        /// The `NAISYS_FOLDER` of that hub, which must not run either
        folder: PathBuf,
    },
    /// Write the configuration of every agent into a folder, as files of NAISYS
    Export {
        /// The folder, which must be empty or not there yet
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
pub struct Logs {
    /// The agent's name
    pub agent: String,
    /// Go on with what comes
    #[arg(short, long)]
    pub follow: bool,
    /// How many lines to begin with
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub lines: u32,
    /// Only this run
    #[arg(long)]
    pub run: Option<i64>,
    /// Only this session of the run
    #[arg(long, requires = "run")]
    pub session: Option<i64>,
}

#[derive(Debug, Args)]
pub struct Config {
    /// The agent's name
    pub agent: String,
    /// Set it from this file; - reads it from standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["revisions", "revision"])]
    pub set: Option<PathBuf>,
    /// List the states that it had
    #[arg(long)]
    pub revisions: bool,
    /// Show this state
    #[arg(long, value_name = "NUMBER")]
    pub revision: Option<i64>,
}

#[derive(Debug, Subcommand)]
pub enum AgentMail {
    /// List the messages of an agent
    List {
        /// The agent's name
        #[arg(default_value = "admin", env = "NAVE_AGENT", hide_env_values = true)]
        agent: String,
        /// Only those that it has still to read
        #[arg(long)]
        unread: bool,
        /// Only those that it sent
        #[arg(long)]
        sent: bool,
        /// Also those that it put away
        #[arg(long)]
        archived: bool,
        /// How many at most
        #[arg(short = 'n', long, value_name = "MESSAGES", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
    },
    /// Show a message
    Read {
        /// Its number
        mail: i64,
        /// Also save its files into this folder; nothing there is overwritten
        #[arg(long, value_name = "FOLDER")]
        save: Option<PathBuf>,
        /// As this agent, who has it then read
        #[arg(
            long = "as",
            value_name = "AGENT",
            default_value = "admin",
            env = "NAVE_AGENT",
            hide_env_values = true
        )]
        agent: String,
    },
    /// Send a message
    Send {
        /// Whom it is to
        #[arg(required = true)]
        to: Vec<String>,
        /// What it is about
        #[arg(short, long)]
        subject: String,
        /// Its text; without it, standard input is read
        #[arg(short, long)]
        body: Option<String>,
        /// A file that hangs on it, of at most 10 MiB (repeatable)
        #[arg(short, long = "file", value_name = "PATH")]
        files: Vec<PathBuf>,
        /// As this agent
        #[arg(
            long = "as",
            value_name = "AGENT",
            default_value = "admin",
            env = "NAVE_AGENT",
            hide_env_values = true
        )]
        agent: String,
    },
    /// Find messages in which all words stand, or begin
    Search {
        /// The words
        #[arg(required = true)]
        words: Vec<String>,
        /// Those of this agent
        #[arg(
            long = "as",
            value_name = "AGENT",
            default_value = "admin",
            env = "NAVE_AGENT",
            hide_env_values = true
        )]
        agent: String,
        /// Also those that it put away
        #[arg(long)]
        archived: bool,
    },
}

#[derive(Debug, Args)]
pub struct Mcp {
    /// As this agent; where `NAVE_AGENT_KEY` is set, the key says which agent it is
    #[arg(
        long = "as",
        value_name = "AGENT",
        default_value = "admin",
        env = "NAVE_AGENT",
        hide_env_values = true
    )]
    pub agent: String,
}

#[derive(Debug, Args)]
pub struct Budget {
    /// The agent's name; without it, the budget that all share
    pub agent: Option<String>,
    /// What may be spent in a window, in dollars; 0 takes the limit away
    #[arg(long, value_name = "DOLLARS")]
    pub dollars: Option<f64>,
    /// How long a window is, in hours; 0 for one that never ends
    #[arg(long, value_name = "HOURS")]
    pub hours: Option<f64>,
    /// What was spent so far counts no more
    #[arg(long, requires = "agent")]
    pub reset: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct HostCommand {
    #[command(subcommand)]
    pub command: Option<AgentHost>,
    #[command(flatten)]
    pub run: RunHost,
}

#[derive(Debug, Args)]
pub struct RunHost {
    /// What is run for which agent: a file in TOML
    #[arg(long, value_name = "FILE", required_unless_present = "command", conflicts_with = "command")]
    pub config: Option<PathBuf>,
    /// What is run, by `/bin/sh -c`
    #[arg(long, value_name = "COMMAND")]
    pub command: Option<String>,
    /// For which agent (repeatable) [default: for all]
    #[arg(long = "agent", value_name = "AGENT", requires = "command")]
    pub agents: Vec<String>,
    /// Where the agents' working folders lie [default: the folder agents in the data folder]
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Keep {
    /// The process id of the host
    #[arg(long)]
    pub host: Option<i32>,
    /// How long the command may take to end by itself, in seconds
    #[arg(long, default_value_t = 10)]
    pub grace: u64,
    /// How much address space each of its processes may have, in bytes
    #[arg(long)]
    pub memory: Option<u64>,
    /// Become the command
    #[arg(long)]
    pub inner: bool,
    /// The command
    #[arg(last = true, required = true)]
    pub command: Vec<std::ffi::OsString>,
}

#[derive(Debug, Subcommand)]
pub enum AgentHost {
    /// List the hosts
    List,
    /// Let only those agents run on a host that are assigned to it
    Restrict {
        /// The host's name
        host: String,
        /// Let all run there again
        #[arg(long)]
        off: bool,
    },
    /// Say how many agents may run on a host at once; 0 for as many as come
    Capacity {
        /// The host's name
        host: String,
        /// How many
        agents: i64,
    },
}

#[derive(Debug, Subcommand)]
pub enum Variable {
    /// List the variables; their values are shown to nobody
    List,
    /// Set a variable; its value is read from standard input
    Set {
        /// Its name
        key: String,
        /// Let agents find it in their shell
        #[arg(long)]
        export: bool,
    },
    /// Take a variable away
    Unset {
        /// Its name
        key: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Model {
    /// List the models
    List,
    /// Set a model from a file in YAML, with the names of its fields as NAISYS has them
    Set {
        /// What it is
        kind: ModelKind,
        /// The file; - reads it from standard input
        file: PathBuf,
    },
    /// Take a model away; one of Nave's own comes back as it was
    Unset {
        /// Its key
        key: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ModelKind {
    /// That agents think with
    Llm,
    /// That agents draw with
    Image,
}
