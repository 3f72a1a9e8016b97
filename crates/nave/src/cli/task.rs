//! `nave task …`: durable pieces of work for nodes.

use clap::{Subcommand, ValueEnum};
use nave_core::api::TaskState;

#[derive(Debug, Subcommand)]
pub enum Task {
    /// List the tasks, the newest first
    List {
        /// Those that stand there
        #[arg(long)]
        state: Option<State>,
        /// Those of this kind
        #[arg(long, value_name = "FLEET.WORD")]
        kind: Option<String>,
        /// Those that this node shall do, or took
        #[arg(long, value_name = "NAME")]
        node: Option<String>,
        /// At most so many
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        limit: u32,
    },
    /// Show one task, with what there is to do and what came of it
    Show {
        /// The task's id
        id: String,
    },
    /// Call tasks off
    Cancel {
        /// The tasks' ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum State {
    Queued,
    Taken,
    Finished,
    Failed,
    Cancelled,
}

impl From<State> for TaskState {
    fn from(state: State) -> Self {
        match state {
            State::Queued => Self::Queued,
            State::Taken => Self::Taken,
            State::Finished => Self::Finished,
            State::Failed => Self::Failed,
            State::Cancelled => Self::Cancelled,
        }
    }
}
