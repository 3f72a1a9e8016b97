//! `nave board import-config`: the settings of not-my-board's hub, into those of this one. What stands in the hub's file
//! stays as it is, letter by letter: the new tables are put behind it, or nothing is written.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use nave_boards::hub::config::{AuthTable, Imported, Note, import};
use nave_core::hub::config::HubConfig;
use serde::Serialize;
use serde_json::json;
use toml::{Table, Value};

use crate::cli::board::ImportConfig;
use crate::commands::hub::{DEFAULT_CONFIG, fleets};
use crate::commands::{BadConfiguration, Context};

/// What is put behind the hub's settings.
#[derive(Serialize)]
struct Tables {
    boards: Boards,
}

#[derive(Serialize)]
struct Boards {
    #[serde(skip_serializing_if = "Option::is_none")]
    uniqueness_tolerance: Option<f64>,
    not_my_board: NotMyBoard,
}

#[derive(Serialize)]
struct NotMyBoard {
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    open_to: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<AuthTable>,
}

pub fn run(context: &Context<'_>, args: &ImportConfig) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.file).with_context(|| args.file.display().to_string())?;
    let imported =
        import(&text).map_err(|error| BadConfiguration(format!("{}: {error}", args.file.display())))?;
    let config = args.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG));
    let before = match std::fs::read_to_string(&config) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| config.display().to_string()),
    };
    let had = boards_of(&before).with_context(|| config.display().to_string())?;
    let notes = imported.notes.clone();
    let tables = tables(imported, args, &had);
    let added = toml::to_string(&tables)?;
    let whole = if before.is_empty() {
        added.clone()
    } else {
        format!("{}\n\n{added}", before.trim_end_matches('\n'))
    };
    let fits = check(&before, &whole);
    if context.printer.is_json() {
        let problem = fits.as_ref().err().map(|error| format!("{error:#}"));
        let notes: Vec<_> =
            notes.iter().map(|note| json!({ "fate": note.fate.word(), "words": note.words })).collect();
        context.printer.value(&json!({ "toml": added, "notes": notes, "problem": problem }))?;
    } else {
        if !args.write {
            context.printer.data(added.trim_end());
        }
        tell(context, &notes);
    }
    fits.with_context(|| {
        format!("nothing was written: these tables do not go behind what stands in {}", config.display())
    })?;
    if !args.write {
        context
            .printer
            .talk(format!("nave: with --write, this is put behind what stands in {}", config.display()));
        return Ok(());
    }
    write(&config, &whole).with_context(|| config.display().to_string())?;
    context
        .printer
        .talk(format!("nave: written to {}; the hub reads it when it starts anew", config.display()));
    Ok(())
}

fn tell(context: &Context<'_>, notes: &[Note]) {
    for note in notes {
        context.printer.talk(format!("nave: {}: {}", note.fate.word(), note.words));
    }
}

/// `[boards]`, as far as the hub's file has it.
fn boards_of(text: &str) -> anyhow::Result<Table> {
    let whole: Table = text.parse()?;
    Ok(whole.get("boards").and_then(Value::as_table).cloned().unwrap_or_default())
}

/// What is not said already.
fn tables(imported: Imported, args: &ImportConfig, had: &Table) -> Tables {
    let dialect = had.get("not_my_board").and_then(Value::as_table);
    let says = |key: &str| dialect.is_some_and(|table| table.contains_key(key));
    Tables {
        boards: Boards {
            uniqueness_tolerance: imported.uniqueness_tolerance.filter(|tolerance| {
                had.get("uniqueness_tolerance").and_then(Value::as_float) != Some(*tolerance)
            }),
            not_my_board: NotMyBoard {
                enabled: (!says("enabled")).then_some(true),
                open_to: args.open_to.iter().map(ToString::to_string).collect(),
                auth: imported.auth,
            },
        },
    }
}

/// Whether the hub would start with it, and what stood there before still means the same.
fn check(before: &str, whole: &str) -> anyhow::Result<()> {
    let (old, new): (Table, Table) = (before.parse()?, whole.parse().map_err(|error| twice(&error))?);
    if !keeps(&Value::Table(old), &Value::Table(new)) {
        bail!("something that stands there would change");
    }
    let config = HubConfig::parse(whole).map_err(|error| BadConfiguration(error.to_string()))?;
    fleets(&config).map(drop)
}

/// TOML says a thing once.
fn twice(error: &toml::de::Error) -> anyhow::Error {
    anyhow::anyhow!("{}: it is said there already, so put it there by hand", error.message())
}

/// Whether everything that was said is still said.
fn keeps(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Table(old), Value::Table(new)) => {
            old.iter().all(|(key, old)| new.get(key).is_some_and(|new| keeps(old, new)))
        }
        (old, new) => old == new,
    }
}

/// Puts a text in the place of a file, whole or not at all, for whoever could read it before.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;

    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Through a link, so that the link stays.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().unwrap_or(folder);
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    match std::fs::metadata(&path) {
        Ok(known) => {
            let (uid, gid) =
                (std::os::unix::fs::MetadataExt::uid(&known), std::os::unix::fs::MetadataExt::gid(&known));
            std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
            file.as_file().set_permissions(known.permissions())?;
        }
        Err(_) => file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?,
    }
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_still_said() {
        let value = |text: &str| Value::Table(text.parse().unwrap());
        assert!(keeps(&value("a = 1\n[b]\nc = [1, 2]"), &value("d = 5\na = 1\n[b]\nc = [1, 2]\ne = 1")));
        for changed in ["", "a = 2\n[b]\nc = [1, 2]", "a = 1\n[b]\nc = [1]", "a = 1\nb = 5"] {
            assert!(!keeps(&value("a = 1\n[b]\nc = [1, 2]"), &value(changed)), "{changed}");
        }
    }
}
