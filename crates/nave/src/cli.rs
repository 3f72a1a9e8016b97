//! The command line: nouns, verbs and their arguments. What they do is in `commands`.

#![expect(
    rustdoc::broken_intra_doc_links,
    reason = "help texts show addresses in brackets, which are no links"
)]

pub mod agent;
pub mod board;
pub mod node;
pub mod not_my_board;
pub mod task;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use nave_core::hub::config::Period;
use nave_core::node::AllowRule;
use nave_link::address::{HubUrl, NodeTarget};
use nave_link::key::PublicKey;

pub use self::node::Node;
pub use self::task::Task;

/// One hub for machines that cannot be reached from outside.
#[derive(Debug, Parser)]
#[command(name = "nave", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// The data folder of hub and node [default: /var/lib/nave for root, $`XDG_DATA_HOME/nave` otherwise]
    #[arg(long = "dir", global = true, env = "NAVE_DIR", value_name = "FOLDER", hide_env_values = true)]
    pub dir: Option<PathBuf>,

    /// The hub to speak with, if this machine joined several
    #[arg(long, global = true, env = "NAVE_HUB", value_name = "URL", hide_env_values = true)]
    pub hub: Option<HubUrl>,

    /// Print JSON for programs
    #[arg(long, global = true)]
    pub json: bool,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a hub, a node and a small service on this machine, to see how it works
    Up(Up),
    /// Run the hub
    Hub(HubArgs),
    /// Check everything that the hub can see about itself; exit status 1 if anything fails
    Status,
    /// Show or replace the shared access key
    #[command(subcommand)]
    Key(Key),
    /// Make and use a private certificate authority
    #[command(subcommand)]
    Ca(Ca),
    /// Invite a machine: prints the line to paste there
    Invite(Invite),
    /// Join this machine to a hub and keep it connected
    Join(Join),
    /// List nodes and decide about them
    #[command(subcommand)]
    Node(Node),
    /// Bring a TCP port of another node to this machine
    Forward(Forward),
    /// List the streams under way, or end one
    #[command(subcommand)]
    Stream(Stream),
    /// Invite people and decide about them
    #[command(subcommand)]
    User(User),
    /// Sign in to a hub as a person, with the browser
    Login(Login),
    /// Sign out: this device is forgotten here and at the hub
    Logout,
    /// Make and end tokens, by which programs act for you
    Token(TokenArgs),
    /// See what the hub mailed, send it again, or test sending
    #[command(subcommand)]
    Mail(Mail),
    /// Look at the work that waits for nodes, and call it off
    #[command(subcommand)]
    Task(Task),
    /// Read the audit log
    Audit(Audit),
    /// Write a backup of the hub into a file
    Backup(Backup),
    /// Restore a hub from a backup
    Restore(Restore),
    /// Share boards: put them into the farm, reserve them, give them back
    #[command(subcommand)]
    Board(board::Board),
    /// Run AI agents on many machines: steer them, read their mail, logs and costs
    #[command(subcommand)]
    Agent(agent::Agent),
    /// Use a farm of boards with the command line of not-my-board
    #[command(subcommand)]
    NotMyBoard(not_my_board::NotMyBoard),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or the whole reference as Markdown
    Man {
        /// Write one page for every command into this folder instead
        #[arg(long, value_name = "FOLDER", conflicts_with = "markdown")]
        into: Option<PathBuf>,
        /// Print all commands as one Markdown page
        #[arg(long)]
        markdown: bool,
        /// Print the authorization table: every route and who may use it
        #[arg(long, conflicts_with_all = ["into", "markdown"])]
        authorization: bool,
        /// Print the description of the API (OpenAPI 3.1)
        #[arg(long, conflicts_with_all = ["into", "markdown", "authorization"])]
        openapi: bool,
    },
}

#[derive(Debug, Args)]
pub struct Up {
    /// Listen on this address
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:3101")]
    pub listen: SocketAddr,

    /// Run these agents here, by the `command` in each one's file or by `host.toml` beside them: a file in YAML, or a folder
    /// of them
    #[arg(long, value_name = "FILE_OR_FOLDER")]
    pub agents: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct HubArgs {
    /// Listen on this address (repeatable) [default: [::]:3101]
    #[arg(
        long,
        value_name = "ADDR:PORT",
        env = "NAVE_LISTEN",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub listen: Vec<SocketAddr>,

    /// Take over a listening socket that whoever started the hub opened: 0, or 3 and up (repeatable)
    #[arg(long, value_name = "NUMBER")]
    pub fd: Vec<std::os::fd::RawFd>,

    /// The configuration file [default: /etc/nave/hub.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "NAVE_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,

    /// Serve this certificate (PEM, with its chain) instead of the hub's own
    #[arg(long, value_name = "FILE", env = "NAVE_TLS_CERT", requires = "tls_key", hide_env_values = true)]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key
    #[arg(long, value_name = "FILE", env = "NAVE_TLS_KEY", requires = "tls_cert", hide_env_values = true)]
    pub tls_key: Option<PathBuf>,

    /// Keep the data in PostgreSQL (<postgres://USER@HOST/NAME>, or <postgres:///NAME?host=/run/postgresql>)
    #[arg(long, value_name = "URL", env = "NAVE_DATABASE", hide_env_values = true)]
    pub database: Option<String>,

    /// The address that invitations name [default: the listened one, or this machine's name or address]
    #[arg(long, value_name = "URL", env = "NAVE_URL", hide_env_values = true)]
    pub url: Option<HubUrl>,

    /// Make these agents, if there are none yet: a file in YAML, or a folder of them
    #[arg(long, value_name = "FILE_OR_FOLDER", env = "NAVE_AGENTS", hide_env_values = true)]
    pub agents: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Key {
    /// Print the shared access key
    Show {
        /// With the whole fingerprint: for hostile networks
        #[arg(long)]
        full: bool,
    },
    /// Make a new secret; live connections stay
    Rotate {
        /// Let the old key in for this long
        #[arg(long, value_name = "PERIOD", default_value = "0s")]
        grace: Period,
    },
    /// Replace the master key, which seals what the hub must be able to read again
    RotateMaster,
}

#[derive(Debug, Subcommand)]
pub enum Ca {
    /// Make the authority
    Init {
        /// For how many days its certificate is good
        #[arg(long, default_value_t = nave_core::hub::identity::ca::DEFAULT_DAYS)]
        days: u32,
    },
    /// Issue a certificate for a host name (and the names below it) or an address
    Issue {
        /// The host name or address
        host: String,
        /// For how many days it is good
        #[arg(long, default_value_t = nave_core::hub::identity::ca::DEFAULT_DAYS)]
        days: u32,
        /// Remove the authority's key afterwards: nobody can then issue another certificate
        #[arg(long)]
        forget_root_key: bool,
    },
    /// Make this machine trust the authority (or the hub's own certificate, if there is none); needs root
    Trust {
        /// The certificate, where the hub is another machine: its ca/root-cert.pem [default: that of the hub here]
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct Invite {
    /// The node's name; without it, the machine chooses
    #[arg(long)]
    pub name: Option<String>,
    /// A role of the node: exporter, importer, site or host (repeatable)
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// Let the node open this service of another node (repeatable)
    #[arg(long, value_name = "NODE:[HOST:]PORT")]
    pub open: Vec<NodeTarget>,
    /// For how long the invitation is good
    #[arg(long, value_name = "PERIOD", default_value = "1h")]
    pub ttl: Period,
    /// How many machines may use it
    #[arg(long, default_value_t = 1)]
    pub uses: u32,
}

#[derive(Debug, Args)]
pub struct Join {
    /// The hub's address
    pub url: HubUrl,
    /// The join token; without it, the access key in `HUB_ACCESS_KEY` is used
    #[arg(long)]
    pub token: Option<String>,
    /// The name that this machine would like [default: its host name]
    #[arg(long)]
    pub name: Option<String>,
    /// Let others open this service, if the hub grants it to them (repeatable; HOST:* allows every port)
    #[arg(long, value_name = "HOST:PORT")]
    pub allow: Vec<AllowRule>,
    /// Also listen here for streams that do not pass the hub
    #[arg(long, value_name = "ADDR:PORT")]
    pub direct: Option<SocketAddr>,
    /// Tell people something about this machine (repeatable)
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
    /// Join and return, instead of staying connected
    #[arg(long)]
    pub once: bool,
}

#[derive(Debug, Args)]
pub struct Forward {
    /// The service
    #[arg(value_name = "NODE:[HOST:]PORT")]
    pub target: NodeTarget,
    /// The local port, or address and port [default: an unused port of 127.0.0.1]
    #[arg(value_name = "LOCAL")]
    pub local: Option<String>,
    /// The key that the other node must have
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub peer_key: Option<PublicKey>,
}

#[derive(Debug, Subcommand)]
pub enum Stream {
    /// List the streams under way
    List,
    /// End a stream
    Cut {
        /// Its id
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Mail {
    /// List the mails of the last 30 days, without what stands in them
    List,
    /// Send a test mail, and wait for what becomes of it
    Test {
        /// To whom
        address: String,
    },
    /// Send mails now that failed or wait; without ids, all of them
    Retry {
        /// Their ids
        ids: Vec<String>,
    },
    /// Forget mails, sent or not
    Discard {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum User {
    /// Print the one-time link by which the first administrator comes in
    Setup,
    /// Invite a person
    Add {
        /// The address by which the person will sign in
        email: String,
        /// What others will call the person
        #[arg(long, default_value = "")]
        name: String,
        /// A role: admin, operator, researcher or viewer; of one node alone with @node:NAME (repeatable)
        #[arg(long = "role", value_name = "ROLE[@SCOPE]", required = true)]
        roles: Vec<RoleText>,
    },
    /// List people
    List,
    /// Show one person
    Show {
        /// The person's address
        who: String,
    },
    /// Give a person all roles anew
    Roles {
        /// The person's address
        who: String,
        /// The roles from now on
        #[arg(value_name = "ROLE[@SCOPE]")]
        roles: Vec<RoleText>,
    },
    /// Give a person a right, or take it
    Grant {
        /// The person's address
        who: String,
        /// What the person may do: open
        action: String,
        /// Where: NODE, NODE:[HOST:]PORT, or * for everything
        scope: String,
        /// Take the right instead of giving it
        #[arg(long)]
        remove: bool,
    },
    /// Take an account out of use: sessions, tokens and devices end at once
    Disable {
        /// The person's address
        who: String,
    },
    /// Take an account back into use
    Enable {
        /// The person's address
        who: String,
    },
    /// Make a one-time link for a new password
    ResetPassword {
        /// The person's address
        who: String,
    },
    /// Take off a second factor that was lost; the person sets up another at the next sign-in
    ResetMfa {
        /// The person's address
        who: String,
    },
    /// List those who ask to be let in
    Requests,
    /// Let somebody in who asked
    Accept {
        /// The request's id
        id: String,
        /// A role that the person gets (repeatable)
        #[arg(long = "role", value_name = "ROLE[@SCOPE]", required = true)]
        roles: Vec<RoleText>,
    },
    /// Do not let somebody in who asked
    Decline {
        /// The request's id
        id: String,
    },
}

#[derive(Debug, Args)]
pub struct Login {
    /// The hub's address
    pub url: HubUrl,
    /// What this device will be called [default: this machine's name]
    #[arg(long)]
    pub name: Option<String>,
    /// The fingerprint of the hub's certificate, or its first 16 characters or more
    #[arg(long, value_name = "HEX")]
    pub fingerprint: Option<String>,
}

#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true)]
pub struct TokenArgs {
    /// Print an ID token by which this program knows who you are, or which node this is: `not-my-board`
    #[arg(long = "for", value_name = "PROGRAM", required = true)]
    pub program: Option<String>,
    #[command(subcommand)]
    pub command: Option<Token>,
}

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token and print it, once
    Create {
        /// What it is for
        name: String,
        /// It may do what you may, and no more than this role
        #[arg(long, default_value = "viewer")]
        role: String,
        /// Where it may do so: *, or node:NAME
        #[arg(long, default_value = "*")]
        scope: String,
        /// For how long it is good
        #[arg(long, value_name = "PERIOD", default_value = "30d")]
        ttl: Period,
    },
    /// List your tokens
    List,
    /// End a token
    Revoke {
        /// Its id
        id: String,
    },
}

/// A role and where it holds, as `ROLE` or `ROLE@SCOPE`.
#[derive(Clone, Debug)]
pub struct RoleText(pub nave_core::api::RoleHeld);

impl std::str::FromStr for RoleText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (role, scope) = text.split_once('@').unwrap_or((text, "*"));
        let role = nave_core::api::Role::from_word(role).ok_or_else(|| {
            format!("{role:?} is no role: there are admin, operator, researcher and viewer")
        })?;
        Ok(Self(nave_core::api::RoleHeld { role, scope: scope.to_owned() }))
    }
}

#[derive(Debug, Args)]
pub struct Audit {
    /// Only this action (node.joined), or those of a noun (node)
    #[arg(long)]
    pub action: Option<String>,
    /// Only by this actor
    #[arg(long)]
    pub actor: Option<String>,
    /// Only about this object: a name, an id or a kind
    #[arg(long)]
    pub object: Option<String>,
    /// Only from the last so much time
    #[arg(long, value_name = "PERIOD")]
    pub since: Option<Period>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// Print everything that passes the filter as JSON lines, the oldest first
    #[arg(long)]
    pub export: bool,
}

#[derive(Debug, Args)]
pub struct Backup {
    /// The file; it must not exist
    pub file: PathBuf,
    /// The configuration file, if the hub's database is not in the data folder
    #[arg(long, value_name = "FILE", env = "NAVE_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// The hub's database, if it is not in the data folder
    #[arg(long, value_name = "URL", env = "NAVE_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
    /// Read the passphrase from this file instead of asking
    #[arg(long, value_name = "FILE", conflicts_with = "plain")]
    pub passphrase_file: Option<PathBuf>,
    /// Do not encrypt: whoever reads the file then has the hub's keys
    #[arg(long)]
    pub plain: bool,
    /// Take the bulk data too: log lines and metrics, which can be much
    #[arg(long)]
    pub with_logs: bool,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// The backup
    pub file: PathBuf,
    /// The configuration file, if the database shall not be in the data folder
    #[arg(long, value_name = "FILE", env = "NAVE_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// The database, if it shall not be in the data folder: also the way from SQLite to PostgreSQL
    #[arg(long, value_name = "URL", env = "NAVE_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
    /// Read the passphrase from this file instead of asking
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Replace what is there
    #[arg(long)]
    pub force: bool,
}
