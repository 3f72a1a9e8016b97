//! The command line of not-my-board 0.13.0, as its users know it: the same subcommands, arguments and defaults.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
#[command(infer_long_args = true)]
pub enum NotMyBoard {
    /// Start the board farm hub: this is `nave hub` here
    Hub,
    /// Make connected boards available in the board farm
    Export(Export),
    /// Start an agent
    Agent(Agent),
    /// Reserve a place
    Reserve(Reserve),
    /// Return a place
    Return(Return),
    /// Attach a reserved place
    Attach(Attach),
    /// Detach a reserved place
    Detach(Detach),
    /// List reserved places
    List(Table),
    /// List available boards
    Search(Search),
    /// Show a place
    Show(Show),
    /// Show the status of attached places and their interfaces
    Status(Table),
    /// Handle a uevent of the kernel for a USB device
    Uevent(Uevent),
    /// Log in to a hub
    Login(Login),
    /// Edit a reserved place
    Edit(Edit),
    /// Show who has reserved a place
    Who(Table),
}

/// Tells what is done.
#[derive(Clone, Copy, Debug, Args)]
pub struct Verbose {
    /// Log what is done
    #[arg(short, long)]
    pub verbose: bool,
}

/// The hub, and what it takes to reach it.
#[derive(Debug, Args)]
pub struct Hub {
    /// A file with certificates of authorities to trust (repeatable)
    #[arg(long, value_name = "CACERT")]
    pub cacert: Vec<PathBuf>,
    /// The http(s) URL of the hub
    #[arg(value_name = "hub_url")]
    pub hub_url: String,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_field_names, reason = "it is what the argument is called")]
pub struct Export {
    #[command(flatten)]
    pub hub: Hub,
    /// Make ID tokens with this shell command
    #[arg(long, value_name = "TOKEN_CMD")]
    pub token_cmd: Option<String>,
    /// The file that describes what is exported
    #[arg(value_name = "export_description")]
    pub export_description: PathBuf,
}

#[derive(Debug, Args)]
pub struct Agent {
    #[command(flatten)]
    pub hub: Hub,
    /// Make ID tokens with this shell command
    #[arg(long, value_name = "TOKEN_CMD")]
    pub token_cmd: Option<String>,
    /// Listen on the socket with this file descriptor
    #[arg(long, value_name = "FD")]
    pub fd: Option<RawFd>,
}

#[derive(Debug, Args)]
pub struct Reserve {
    #[command(flatten)]
    pub verbose: Verbose,
    /// Reserve it under another name
    #[arg(short = 'n', long, value_name = "WITH_NAME")]
    pub with_name: Option<String>,
    /// The name or the full path of an import description
    #[arg(value_name = "import_description")]
    pub import_description: String,
}

#[derive(Debug, Args)]
pub struct Return {
    #[command(flatten)]
    pub verbose: Verbose,
    /// The name of the place to return
    #[arg(value_name = "name")]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct Attach {
    #[command(flatten)]
    pub verbose: Verbose,
    /// Do not return all other reservations
    #[arg(short, long)]
    pub keep_others: bool,
    /// The name of a reserved place, or of an import description
    #[arg(value_name = "name")]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct Detach {
    #[command(flatten)]
    pub verbose: Verbose,
    /// Do not return the reservation
    #[arg(short, long)]
    pub keep: bool,
    /// The names of the places to detach [default: all]
    #[arg(value_name = "name")]
    pub names: Vec<String>,
}

/// What is shown as a table.
#[derive(Debug, Args)]
pub struct Table {
    #[command(flatten)]
    pub verbose: Verbose,
    /// Hide the table's header
    #[arg(short, long)]
    pub no_header: bool,
}

#[derive(Debug, Args)]
pub struct Search {
    #[command(flatten)]
    pub verbose: Verbose,
    /// The name or the full path of an import description
    #[arg(value_name = "import_description")]
    pub import_description: Option<String>,
}

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    pub verbose: Verbose,
    /// Format the output as JSON
    // Takes the place of the program's own --json, which has no short form.
    #[arg(short, long)]
    pub json: bool,
    /// The name of a reserved place, or @ and the name of a place
    #[arg(value_name = "name")]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct Uevent {
    #[command(flatten)]
    pub verbose: Verbose,
    /// The devpath of the uevent
    #[arg(value_name = "devpath")]
    pub devpath: String,
}

#[derive(Debug, Args)]
pub struct Login {
    #[command(flatten)]
    pub verbose: Verbose,
    #[command(flatten)]
    pub hub: Hub,
}

#[derive(Debug, Args)]
pub struct Edit {
    #[command(flatten)]
    pub verbose: Verbose,
    /// The name of the place to edit
    #[arg(value_name = "name")]
    pub name: String,
}
