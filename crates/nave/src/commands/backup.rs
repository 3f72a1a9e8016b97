//! `nave backup` and `nave restore`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use nave_core::clock::Clock;
use nave_core::hub::backup::{self, Origin, Protection, Summary, Target};
use nave_core::hub::config::HubConfig;
use nave_core::hub::op::{Actor, Op};
use nave_core::hub::running::{bulk_sets, database_url, migration_sets};
use nave_core::hub::store::DatabaseUrl;
use nave_core::id::RequestId;
use nave_link::random::Random;

use super::{BadConfiguration, Context, hub};
use crate::cli::{Backup, Restore};
use crate::logging;
use crate::secret::Passphrase;

pub async fn write(context: &Context<'_>, args: Backup) -> anyhow::Result<()> {
    logging::start("warn");
    if !context.data.join("hub.key").exists() {
        bail!("no hub was ever started on {}: there is nothing to back up", context.data.display());
    }
    let url = database(context, args.config.as_deref(), args.database)?;
    let passphrase = if args.plain {
        context.printer.talk("nave: the backup is not encrypted: whoever reads the file has the hub's keys");
        None
    } else {
        Some(passphrase(args.passphrase_file.as_deref(), true)?)
    };
    let uid = nix::unistd::geteuid().as_raw();
    let op = Op {
        actor: Actor::Operator { uid },
        source: None,
        request: RequestId::new(),
        clock: Clock::system(),
    };
    let protection = match &passphrase {
        Some(passphrase) => Protection::Passphrase(passphrase.secret().clone()),
        None => Protection::Plain,
    };
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let fleets = hub::fleets(&HubConfig::default())?.all;
    let bulk = bulk_sets(&fleets);
    let origin = Origin {
        folder: &context.data,
        url: &url,
        sets: &migration_sets(&fleets),
        bulk: args.with_logs.then_some(&bulk),
        credentials: credentials.as_deref(),
    };
    let progress = crate::printer::Progress::start("writing the backup");
    let summary = backup::write(&op, &origin, protection, &args.file, &Random::system()).await;
    progress.finish();
    say(context, "wrote", &args.file, &summary?);
    Ok(())
}

pub async fn restore(context: &Context<'_>, args: Restore) -> anyhow::Result<()> {
    logging::start("warn");
    let url = match (&args.database, &args.config) {
        (None, None) => DatabaseUrl::in_folder(&context.data),
        _ => database(context, args.config.as_deref(), args.database)?,
    };
    let encrypted = backup::is_encrypted(&args.file)?;
    let passphrase = if encrypted { Some(passphrase(args.passphrase_file.as_deref(), false)?) } else { None };
    let secret = passphrase.map(|passphrase| passphrase.secret().clone());
    let fleets = hub::fleets(&HubConfig::default())?.all;
    let target = Target {
        folder: &context.data,
        url: &url,
        sets: &migration_sets(&fleets),
        bulk_sets: &bulk_sets(&fleets),
        force: args.force,
        clock: &Clock::system(),
    };
    let progress = crate::printer::Progress::start("restoring");
    let summary = backup::restore(&args.file, secret, &target).await;
    progress.finish();
    let summary = summary?;
    say(context, "restored", &args.file, &summary);
    if let Some(kept) = &summary.replaced {
        context.printer.talk(format!("nave: what was there before is in {}", kept.display()));
    }
    context.printer.talk("nave: start the hub as before; nodes come back by themselves");
    Ok(())
}

fn say(context: &Context<'_>, did: &str, file: &Path, summary: &Summary) {
    let rows = summary.manifest.rows();
    context.printer.talk(format!("nave: {did} {}: {rows} rows, {} files", file.display(), summary.files));
}

fn database(
    context: &Context<'_>,
    config: Option<&Path>,
    given: Option<String>,
) -> anyhow::Result<DatabaseUrl> {
    let mut config = hub::configuration(config)?;
    config.database = given.or(config.database);
    database_url(&context.data, &config).map_err(|error| BadConfiguration(error.message()).into())
}

fn passphrase(file: Option<&Path>, new: bool) -> anyhow::Result<Passphrase> {
    if let Some(file) = file {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        return Passphrase::new(text.lines().next().unwrap_or_default().to_owned());
    }
    if let Ok(text) = std::env::var("NAVE_PASSPHRASE") {
        return Passphrase::new(text);
    }
    if !std::io::stdin().is_terminal() {
        bail!(
            "the backup is encrypted: give its passphrase with --passphrase-file or NAVE_PASSPHRASE{}",
            if new { ", or say --plain" } else { "" }
        );
    }
    let first = ask("Passphrase: ")?;
    if new && ask("Once more: ")? != first {
        bail!("the two passphrases differ: nothing was written");
    }
    Passphrase::new(first)
}

/// Reads a line without showing it.
fn ask(prompt: &str) -> anyhow::Result<String> {
    use nix::sys::termios::{self, LocalFlags, SetArg};
    let mut out = std::io::stderr().lock();
    write!(out, "{prompt}")?;
    out.flush()?;
    let stdin = std::io::stdin();
    let before = termios::tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    termios::tcsetattr(&stdin, SetArg::TCSANOW, &silent)?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    termios::tcsetattr(&stdin, SetArg::TCSANOW, &before)?;
    writeln!(out)?;
    read?;
    Ok(line.trim_end_matches('\n').to_owned())
}
