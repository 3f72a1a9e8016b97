//! `nave board export`: the boards of this machine in the farm, until it is told to stop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nave_boards::node::export::ExportDescription;
use nave_boards::node::native::{Doors, ExportHappening, Exporter};
use nave_boards::node::usb::Sysfs;
use nave_core::clock::Clock;
use nave_core::node::{NodeFolder, attach};
use nave_link::random::Random;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::super::node::{self, moment};
use super::Context;
use crate::cli::board::Export;
use crate::logging;
use crate::printer::Printer;

/// How often the descriptions are looked at.
const LOOK: Duration = Duration::from_secs(2);

pub async fn run(context: &Context<'_>, args: Export) -> anyhow::Result<()> {
    logging::start("warn");
    let printer = *context.printer;
    // Boards hang on a machine, not on a person: it is the node that offers them.
    let folder = NodeFolder::find(&context.data, context.url.as_ref())?;
    let doors = Doors::new(Sysfs::system(), Clock::system(), folder.path().to_owned(), args.allow_legacy);
    let (descriptions, problems) = read(&args.paths);
    if let (true, Some(problem)) = (descriptions.is_empty(), problems.first()) {
        bail!("{problem}");
    }
    if descriptions.is_empty() {
        printer
            .talk("nave: there is no description (*.toml) in the folder yet; one that is put there is taken");
    }
    let mut told = Told::default();
    told.tell(printer, problems);
    if let Some((place, error)) = doors.set(descriptions.clone()).await.into_iter().next() {
        // Whoever starts this is there and can mend it.
        doors.set(Vec::new()).await;
        return Err(anyhow::Error::new(error).context(format!("{place} cannot be exported")));
    }
    let stop = CancellationToken::new();
    let happen = move |happening| node::talk(printer, &happening);
    let attached = attach(folder, Random::system(), stop.clone(), |_| {}, happen)?;
    let exporter = Exporter::new(attached, Arc::clone(&doors), move |happening| say(printer, &happening));
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let outcome = tokio::select! {
        outcome = exporter.run() => outcome.map_err(anyhow::Error::new),
        () = watch(&args.paths, descriptions, &doors, printer, told) => Ok(()),
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = hangup.recv() => Ok(()),
    };
    stop.cancel();
    // Whatever happened, the devices go back to their drivers.
    doors.set(Vec::new()).await;
    outcome
}

fn say(printer: Printer, happening: &ExportHappening) {
    match happening {
        ExportHappening::Offered(place) => printer.data(format!("{place} is in the farm")),
        ExportHappening::Refused { place, problem } => {
            printer.talk(format!("nave: the hub does not take {place}: {problem}"));
        }
        ExportHappening::Held { place, lease: Some(lease) } => {
            let until = lease.until.map(|until| format!(" until {}", moment(until))).unwrap_or_default();
            printer.data(format!("{place} is reserved for {}{until}", lease.holder));
        }
        ExportHappening::Held { place, lease: None } => printer.data(format!("{place} is free")),
        ExportHappening::Ran { place, run } => {
            printer.talk(format!("nave: {place}: {} {}", run.occasion.words(), run.ending()));
            for line in run.output.lines() {
                printer.talk(format!("  {line}"));
            }
        }
        ExportHappening::Lost { problem, retry_in } => printer.talk(format!(
            "nave: the hub does not know of the places now ({problem}); trying again in {} s",
            retry_in.as_secs().max(1)
        )),
    }
}

/// Looks at the descriptions, and takes over what changes.
async fn watch(
    paths: &[PathBuf],
    mut known: Vec<ExportDescription>,
    doors: &Doors,
    printer: Printer,
    mut told: Told,
) {
    loop {
        tokio::time::sleep(LOOK).await;
        let (mut descriptions, problems) = read(paths);
        // A file that is being written is bad for a moment: what it described stays.
        for path in problems.by_file.keys() {
            let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            descriptions.extend(known.iter().find(|place| place.name == name).cloned());
        }
        told.tell(printer, problems);
        if descriptions != known {
            for (place, error) in doors.set(descriptions.clone()).await {
                printer.talk(format!("nave: {place} cannot be exported: {error}"));
            }
            known = descriptions;
        }
    }
}

/// What is wrong with which file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Problems {
    by_file: BTreeMap<PathBuf, String>,
}

impl Problems {
    fn first(&self) -> Option<&String> {
        self.by_file.values().next()
    }
}

/// What was told of that already.
#[derive(Default)]
struct Told(Problems);

impl Told {
    fn tell(&mut self, printer: Printer, problems: Problems) {
        for (path, problem) in &problems.by_file {
            if self.0.by_file.get(path) != Some(problem) {
                printer.talk(format!("nave: {problem}"));
            }
        }
        self.0 = problems;
    }
}

/// Reads every description, and says what is wrong with those that cannot be read. Two of one name are one too many.
fn read(paths: &[PathBuf]) -> (Vec<ExportDescription>, Problems) {
    let mut places: BTreeMap<String, ExportDescription> = BTreeMap::new();
    let mut problems = Problems::default();
    for path in paths {
        let files = match files(path) {
            Ok(files) => files,
            Err(error) => {
                problems.by_file.insert(path.clone(), format!("{error:#}"));
                continue;
            }
        };
        for file in files {
            match ExportDescription::read(&file) {
                Ok(place) if places.contains_key(&place.name) => {
                    let problem = format!(
                        "{}: there is another description of a place named {}",
                        file.display(),
                        place.name
                    );
                    problems.by_file.insert(file, problem);
                }
                Ok(place) => drop(places.insert(place.name.clone(), place)),
                Err(error) => drop(problems.by_file.insert(file, error.to_string())),
            }
        }
    }
    (places.into_values().collect(), problems)
}

/// A file itself, or the descriptions in a folder.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let cannot = || format!("cannot read the folder {}", path.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(cannot)? {
        let file = entry.with_context(cannot)?.path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
