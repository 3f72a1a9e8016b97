//! Commands of a place: what is run before and after a reservation, and what switches its power. They are lines for the
//! shell from the place's description, which Nave alone reads; not-my-board's exporter passes these tables over.

mod described;
mod hooks;
mod kept;
mod run;

use std::path::PathBuf;
use std::time::Duration;

pub(super) use self::described::{DescribedHooks, DescribedPower};
pub use self::hooks::{Hooks, NotReady, Tell};
pub use self::kept::Tenant;
pub use self::run::Ran;
use crate::api::{Occasion, PowerCommand};

/// How long a command may take that says nothing else.
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// The commands of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    /// Where they are run: the folder of the description.
    pub folder: PathBuf,
    /// Run before a holder is let in.
    pub before: Option<String>,
    /// Run when a reservation has ended.
    pub after: Option<String>,
    /// How long each of these may take.
    pub hook_limit: Duration,
    /// What switches the power.
    pub power: Option<Power>,
}

/// What switches the power of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Power {
    /// Switches it on.
    pub on: String,
    /// Switches it off.
    pub off: String,
    /// Switches it off and on; without it, `off` and `on` are run.
    pub cycle: Option<String>,
    /// Prints how it stands.
    pub status: Option<String>,
    /// Whether it is switched off after each reservation.
    pub off_after: bool,
    /// How long each of these may take.
    pub limit: Duration,
}

impl Default for Commands {
    fn default() -> Self {
        Self { folder: PathBuf::new(), before: None, after: None, hook_limit: TIME_LIMIT, power: None }
    }
}

/// A line for the shell, and how long it may take.
type Line<'a> = (Occasion, &'a str, Duration);

impl Commands {
    /// Whether anything is run when reservations begin or end.
    pub fn has_hooks(&self) -> bool {
        self.before.is_some() || self.lines_after().next().is_some()
    }

    /// What is run before a holder is let in.
    fn lines_before(&self) -> impl Iterator<Item = Line<'_>> {
        self.before.iter().map(|line| (Occasion::Before, line.as_str(), self.hook_limit))
    }

    /// What is run when a reservation has ended, in this order.
    fn lines_after(&self) -> impl Iterator<Item = Line<'_>> {
        let after = self.after.iter().map(|line| (Occasion::After, line.as_str(), self.hook_limit));
        let off = self.power.iter().filter(|power| power.off_after);
        after.chain(off.map(|power| (Occasion::PowerOff, power.off.as_str(), power.limit)))
    }

    /// How long the commands between two reservations may take in all.
    pub fn hooks_within(&self) -> Duration {
        self.lines_before().chain(self.lines_after()).map(|(.., limit)| limit + run::MERCY).sum()
    }

    /// How the power can be switched.
    pub fn power_commands(&self) -> Vec<PowerCommand> {
        let Some(power) = &self.power else { return Vec::new() };
        let status = power.status.is_some().then_some(PowerCommand::Status);
        [PowerCommand::On, PowerCommand::Off, PowerCommand::Cycle].into_iter().chain(status).collect()
    }

    /// How long switching the power may take.
    pub fn power_within(&self) -> Duration {
        let parts = |power: &Power| if power.cycle.is_none() { 2 } else { 1 };
        self.power.as_ref().map_or(Duration::ZERO, |power| (power.limit + run::MERCY) * parts(power))
    }

    /// What is run to switch the power, one after the other as long as each succeeds; none where it cannot be done.
    fn lines_of(&self, command: PowerCommand) -> Vec<Line<'_>> {
        let Some(power) = &self.power else { return Vec::new() };
        let lines: Vec<&String> = match command {
            PowerCommand::On => vec![&power.on],
            PowerCommand::Off => vec![&power.off],
            PowerCommand::Cycle => match &power.cycle {
                Some(cycle) => vec![cycle],
                None => vec![&power.off, &power.on],
            },
            PowerCommand::Status => power.status.iter().collect(),
        };
        lines.into_iter().map(|line| (command.occasion(), line.as_str(), power.limit)).collect()
    }
}
