//! Commands that an exporter ran, in the words of a place's page.

use nave_web::ui::Tone;
use nave_web::words;

use crate::api::{CommandRun, Occasion, PowerCommand};

/// What its row is called on the page: one that somebody has unfolded stays so when another comes.
pub fn id(run: &CommandRun) -> String {
    format!("{}-{}", run.occasion.word(), run.began.unix_timestamp_nanos() / 1_000_000)
}

/// What was run for whom.
pub fn what(run: &CommandRun) -> String {
    let (subject, link) = match run.occasion {
        Occasion::Before => ("Before the reservation", "of"),
        Occasion::After => ("After the reservation", "of"),
        Occasion::PowerOn => ("Power on", "for"),
        Occasion::PowerOff => ("Power off", "for"),
        Occasion::PowerCycle => ("Power off and on", "for"),
        Occasion::PowerStatus => ("Power asked for", "by"),
    };
    if run.holder.is_empty() { subject.to_owned() } else { format!("{subject} {link} {}", run.holder) }
}

/// How it ended, and how long that took.
pub fn how(run: &CommandRun) -> String {
    let took = (run.ended - run.began).whole_seconds();
    let took = words::span(u64::try_from(took).unwrap_or_default().max(1));
    match run.outcome {
        // It says itself how long it took.
        crate::api::Outcome::TimedOut | crate::api::Outcome::NotStarted => run.ending(),
        _ => format!("{} after {took}", run.ending()),
    }
}

/// What its end says.
pub fn tone(run: &CommandRun) -> Tone {
    if run.is_done() { Tone::Good } else { Tone::Bad }
}

/// What a button says that does this.
pub const fn button(command: PowerCommand) -> &'static str {
    match command {
        PowerCommand::On => "On",
        PowerCommand::Off => "Off",
        PowerCommand::Cycle => "Off and on",
        PowerCommand::Status => "Is it on?",
    }
}
