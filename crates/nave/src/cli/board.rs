//! `nave board …`: the board farm of a Nave hub.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use nave_boards::api::PowerCommand;
use nave_core::hub::config::{NetworkText, Period};

#[derive(Debug, Subcommand)]
pub enum Board {
    /// Put the boards of this machine into the farm, for as long as this runs
    Export(Export),
    /// Keep places attached to this machine, for whoever asks on it
    Agent,
    /// Reserve a place, unless that is done, and bring its interfaces to this machine
    Attach(Attach),
    /// Take the interfaces of places off this machine, and return the places
    Detach(Detach),
    /// Show what is attached to this machine, and where
    Status,
    /// Change the import description of a reserved place, in an editor
    Edit {
        /// The reservation's name
        name: String,
    },
    /// Tell the exporter on this machine of a USB device that appeared; for rules of udev and mdev
    Uevent {
        /// The devpath of the kernel's event
        devpath: String,
    },
    /// List the places of the farm
    Search {
        /// Only those that this import description fits: its name, or its file
        #[arg(value_name = "DESCRIPTION")]
        description: Option<String>,
    },
    /// List what is reserved for you
    List,
    /// Show who has which place, who waits, and who has booked
    Who,
    /// Show one place: its parts, who has it, who had it
    Show {
        /// The place's name
        place: String,
    },
    /// Switch the power of a place that is reserved for you; of any place, for whoever may manage places
    Power(Power),
    /// Reserve a place, or several at once
    Reserve(Reserve),
    /// List what is booked for later, or cancel or move some of it
    Bookings {
        #[command(subcommand)]
        command: Option<Bookings>,
    },
    /// Return a place, or cancel a booking; also somebody else's, for whoever may manage places
    Return {
        /// The reservation's name, or the place's; or the booking's name, or its id
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Say anew until when a place is reserved
    Extend {
        /// The reservation's name, or the place's
        name: String,
        /// For how long from now
        #[arg(long = "for", value_name = "PERIOD")]
        period: Period,
    },
    /// Hand a reservation over to somebody else
    Handover {
        /// The reservation's name, or the place's
        name: String,
        /// A person's address, or a node's name
        to: String,
    },
    /// Take a place out of service: whoever has it keeps it, and nobody else is given it
    Close {
        /// The place's name
        place: String,
        /// Why, for those who want it
        reason: String,
    },
    /// Put a place into service again
    Open {
        /// The place's name
        place: String,
    },
    /// Take over the settings of not-my-board's hub: prints them as settings of this one, and says what is different
    ImportConfig(ImportConfig),
    /// Print shell completions: those of `nave completions`
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub enum Bookings {
    /// Cancel bookings: one's own, or anybody's, for whoever may manage places
    Cancel {
        /// The bookings' names, or their ids; or a place, of which one has a single booking
        #[arg(value_name = "NAME|ID|PLACE", required = true)]
        names: Vec<String>,
    },
    /// Move a booking to other times, on the same place: where that cannot be, it stays as it was
    #[command(group = clap::ArgGroup::new("what").args(["from", "period"]).required(true).multiple(true))]
    Change {
        /// The booking's name, or its id; or a place, of which one has a single booking
        #[arg(value_name = "NAME|ID|PLACE")]
        name: String,
        /// From when: 2026-12-01T14:00 or 14:00 in this machine's time zone, or with a zone 2026-12-01T14:00:00Z
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// For how long from then on
        #[arg(long = "for", value_name = "PERIOD")]
        period: Option<Period>,
    },
}

#[derive(Debug, Args)]
pub struct ImportConfig {
    /// The settings of not-my-board's hub, as in /etc/not-my-board/hub.toml
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A network whose clients need no sign-in (repeatable)
    #[arg(long, value_name = "NETWORK")]
    pub open_to: Vec<NetworkText>,
    /// The settings of this hub [default: /etc/nave/hub.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Put them behind what stands in the settings of this hub
    #[arg(long)]
    pub write: bool,
}

#[derive(Debug, Args)]
pub struct Export {
    /// Descriptions of places (TOML), and folders of them; a folder is watched
    #[arg(value_name = "FILE|FOLDER", required = true)]
    pub paths: Vec<PathBuf>,
    /// Also let agents of not-my-board in, on the port that the description names: nothing is encrypted there, and who may
    /// come is decided by the address
    #[arg(long)]
    pub allow_legacy: bool,
}

#[derive(Debug, Args)]
pub struct Power {
    /// What to do; `status` asks how it stands
    pub command: PowerVerb,
    /// The reservation's name, or the place's
    pub place: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PowerVerb {
    On,
    Off,
    Cycle,
    Status,
}

impl From<PowerVerb> for PowerCommand {
    fn from(verb: PowerVerb) -> Self {
        match verb {
            PowerVerb::On => Self::On,
            PowerVerb::Off => Self::Off,
            PowerVerb::Cycle => Self::Cycle,
            PowerVerb::Status => Self::Status,
        }
    }
}

#[derive(Debug, Args)]
pub struct Attach {
    /// The name of a reservation, or an import description: its name, or its file; with @PLACE for one place alone
    #[arg(value_name = "DESCRIPTION", required_unless_present = "place")]
    pub name: Option<String>,
    /// This place with everything that it has, without a description: TCP services on their own ports (from 8000 on for
    /// those below 1024), USB devices on the first ports
    #[arg(long, value_name = "PLACE", conflicts_with = "name")]
    pub place: Option<String>,
    /// Do not return what else the agent has reserved
    #[arg(short, long)]
    pub keep_others: bool,
    /// For how long [default: the description's `auto_return_time`, else 10h]; where an agent runs, its description says
    #[arg(long = "for", value_name = "PERIOD")]
    pub period: Option<Period>,
    /// How long to wait for a place that others have [default: 24h]; 0s not at all; an agent that runs waits a day
    #[arg(long, value_name = "PERIOD")]
    pub timeout: Option<Period>,
    /// Run this command while it is attached, and return the place when it ends; its exit status is that of this command
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "keep_others")]
    pub command: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
pub struct Detach {
    /// The names of the reservations [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Do not return them
    #[arg(short, long)]
    pub keep: bool,
}

#[derive(Debug, Args)]
pub struct Reserve {
    /// Import descriptions: their names, or their files; with @PLACE for one place alone. Of several, each gets a place
    /// of its own, all of them at once or none
    #[arg(value_name = "DESCRIPTION", required_unless_present = "place")]
    pub descriptions: Vec<String>,
    /// One of these places, instead of any that a description fits (repeatable)
    #[arg(long, value_name = "PLACE")]
    pub place: Vec<String>,
    /// Not one of the places of --place, but all of them at once, or none
    #[arg(long, requires = "place", conflicts_with = "descriptions")]
    pub all: bool,
    /// What the reservation is called [default: as the description is]
    #[arg(short = 'n', long, value_name = "NAME")]
    pub with_name: Option<String>,
    /// For how long [default: the description's `auto_return_time`, else 10h]
    #[arg(long = "for", value_name = "PERIOD")]
    pub period: Option<Period>,
    /// Not now, but from then on: 2026-12-01T14:00 or 14:00 in this machine's time zone, or with a zone
    /// 2026-12-01T14:00:00Z. A place is chosen now and kept free for you
    #[arg(long, value_name = "TIME", conflicts_with = "all")]
    pub from: Option<String>,
    /// How long to wait for a place that others have; 0s not at all
    #[arg(long, value_name = "PERIOD", default_value = "24h", conflicts_with = "from")]
    pub timeout: Period,
}
