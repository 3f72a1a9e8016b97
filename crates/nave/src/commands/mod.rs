//! What each command does.

pub mod agent;
mod backup;
mod board;
mod ca;
mod forward;
mod hub;
mod login;
mod mail;
mod node;
mod not_my_board;
mod operate;
mod reference;
mod task;
mod up;
mod user;

use std::path::PathBuf;

use nave_core::hub::edge::Inherited;
use nave_core::node::{FolderError, NodeFolder, person_folder};

use crate::cli::{Cli, Command};
use crate::client::HubClient;
use crate::paths;
use crate::printer::Printer;

/// The configuration is bad: exit status 64.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadConfiguration(pub String);

/// The command failed, and has said so itself.
#[derive(Debug, thiserror::Error)]
#[error("failed")]
pub struct AlreadySaid;

/// A command that was run has ended with this status, which is ours too; it has said why.
#[derive(Debug, thiserror::Error)]
#[error("the command ended with {0}")]
pub struct Ended(pub u8);

/// What every command is given.
pub struct Context<'a> {
    pub printer: &'a Printer,
    pub data: PathBuf,
    pub url: Option<nave_link::address::HubUrl>,
}

impl Context<'_> {
    async fn hub(&self) -> anyhow::Result<HubClient> {
        HubClient::find(&self.data, self.url.as_ref()).await
    }

    /// Whose key this machine shows to its hub: that of the person who signed in, else the node's.
    fn folder(&self) -> Result<NodeFolder, FolderError> {
        let person = NodeFolder::find(&person_folder(&self.data), self.url.as_ref());
        match person {
            Err(FolderError::NotJoined(_)) => NodeFolder::find(&self.data, self.url.as_ref()),
            found => found,
        }
    }
}

/// Runs a command.
pub async fn run(cli: Cli, printer: &Printer, handed_over: Inherited) -> anyhow::Result<()> {
    let data = paths::data_folder(cli.dir)?;
    let context = Context { printer, data, url: cli.hub };
    match cli.command {
        Command::Up(args) => up::run(&context, args).await,
        Command::Hub(args) => hub::run(&context, args, handed_over).await,
        Command::Status => operate::status(&context).await,
        Command::Key(command) => operate::key(&context, command).await,
        Command::Ca(command) => ca::run(&context, command),
        Command::Invite(args) => operate::invite(&context, args).await,
        Command::Join(args) => node::join(&context, args).await,
        Command::Node(command) => node::run(&context, command).await,
        Command::Forward(args) => forward::run(&context, args).await,
        Command::Stream(command) => operate::stream(&context, command).await,
        Command::User(command) => user::run(&context, command).await,
        Command::Login(args) => login::login(&context, args).await,
        Command::Logout => login::logout(&context).await,
        Command::Token(command) => user::token(&context, command).await,
        Command::Mail(command) => mail::run(&context, command).await,
        Command::Task(command) => task::run(&context, command).await,
        Command::Audit(args) => operate::audit(&context, args).await,
        Command::Agent(command) => agent::run(&context, command).await,
        Command::Board(command) => board::run(&context, command).await,
        Command::NotMyBoard(command) => not_my_board::run(&context, command, handed_over).await,
        Command::Completions { shell } => reference::completions(&context, shell),
        Command::Man { authorization: true, .. } => reference::authorization(&context),
        Command::Man { openapi: true, .. } => reference::openapi(&context),
        Command::Man { into, markdown, .. } => reference::man(&context, into, markdown),
        Command::Backup(args) => backup::write(&context, args).await,
        Command::Restore(args) => backup::restore(&context, args).await,
    }
}
